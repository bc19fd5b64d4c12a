"""SPEAR: exact recovery of the batch behind the gradient of a linear first layer before a ReLU."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, fx, nn

from fedleak import limits
from fedleak.attacks.analytic.disaggregation import ReluLayer, disaggregated, low_rank
from fedleak.attacks.analytic.linear_layer import first_layer, to_pixels
from fedleak.attacks.base import Attack, Reconstruction
from fedleak.errors import AttackFailedError
from fedleak.steps import Steps
from fedleak.threat import GlobalModel, ModelArchitecture, PixelPrior, SharedUpdate

RESHAPING = (torch.flatten, torch.reshape, "flatten", "reshape", "view", "contiguous", operator.getitem, "size")
RELUS = (F.relu, torch.relu, "relu", "relu_")


class Spear(Attack):
    """SPEAR: a batch from a ReLU layer's low-rank, sparse gradient (Dimitrov et al. 2024, arXiv 2403.03945).

    At a linear layer ``Z = W X + b`` the gradient of ``b`` images is ``dL/dW = dL/dZ X^T``, of rank ``b``, and a ReLU
    sets about half of ``dL/dZ`` to zero. From ``dL/dW = L R`` (singular values) follows ``dL/dZ = L Q`` and
    ``X^T = Q^-1 R`` for one matrix ``Q``. Each of its columns lies in the kernel of the rows of ``L`` on which its
    image switches the units off: kernels of random ``b - 1`` rows are kept if their column of ``dL/dZ`` vanishes on at
    least ``sparsity`` of the units, the sparsest independent ones are put together, scaled by ``dL/db``, and exchanged
    one by one while more of the recovered ReLUs are off exactly where the gradient vanishes. A column is hit with
    probability about ``2^-(b-1)``, so the time is exponential in the batch.

    A weight delta of several steps of SGD on the same images keeps the rank and most of the zeros, and a factor such as
    a learning rate cancels. Labels are not needed and not given. Of the paper the abstract and summaries were at hand.
    Our choices: double precision; directions are solved for again from all rows where they vanish; what counts as zero
    follows from the singular values beyond the batch; candidates are exchanged once, at the end. ``curve.match`` is
    the share of matching ReLUs, near 1 if the batch is exact; the batch that matches best is returned even if it is
    lower.

    Fails as batches grow beyond some twenty images, without a ReLU right after the first linear layer, and on updates
    that lost their low rank to noise, pruning or clipping of single values.
    """

    kind: Literal["spear"] = "spear"
    samples: int = Field(default=20_000_000, ge=1, le=limits.ITERATIONS * 1000)
    """Most samples of random submatrices; a batch of 10 images needs thousands, one of 20 millions."""
    seconds: float | None = Field(default=None, gt=0, le=limits.SECONDS)
    """Most seconds of the search for one batch (default: no limit); a search that ends by the clock may not be repeated
    exactly."""
    largest_batch: int = Field(default=25, ge=1, le=limits.WIDTH)
    """Larger batches are refused, because the number of submatrices doubles with every image."""
    sparsity: float = Field(default=0.2, ge=0, lt=1)
    """Least share of the units on which a column of ``dL/dZ`` vanishes."""
    enough: float = Field(default=0.9995, gt=0, le=1)
    """Share of matching ReLUs at which the search ends."""

    def reconstruct(
        self,
        update: SharedUpdate,
        architecture: ModelArchitecture,
        model: GlobalModel,
        pixels: PixelPrior,
        *,
        generator: torch.Generator,
    ) -> Reconstruction:
        """The images ``(B, C, H, W)``.

        Raises:
            AttackFailedError: if the network does not start with a linear layer with bias before a ReLU, the batch is
                too large for the layer or for ``largest_batch``, the gradient has not the rank of the batch, or no
                batch was found.
        """
        weight, bias = (tensor.double() for tensor in first_layer(architecture, update))
        name = relu_layer(architecture)
        count = self._count(update, weight)
        layer = ReluLayer(*(model.state[f"{name}.{own}"].double().to(weight.device) for own in ("weight", "bias")))
        if not (weight.isfinite().all() and bias.isfinite().all()):
            raise AttackFailedError("the gradient of the first layer is not finite")
        if not bias.abs().max() > 0:
            raise AttackFailedError("the gradient of the first layer is zero")
        found = disaggregated(
            low_rank(weight, count),
            layer,
            bias,
            samples=self.samples,
            sparsity=self.sparsity,
            enough=self.enough,
            generator=generator,
            reached=self._watch(),
        )
        if found is None:
            raise AttackFailedError(
                f"the samples gave fewer than {count} independent sparse columns; raise samples, or lower sparsity"
            )
        images = to_pixels(found.inputs.float(), architecture.input_shape, pixels)
        return Reconstruction(images=images, curve={"match": [found.match]})

    def _count(self, update: SharedUpdate, weight: Tensor) -> int:
        """Number of images behind the update, by its own word or by the rank of the gradient."""
        units, values = weight.shape
        count = update.samples
        if count is None:
            count = max(1, int(torch.linalg.matrix_rank(weight, rtol=1e-5)))
        if count > min(units, values):
            raise AttackFailedError(
                f"SPEAR needs no more images than the first layer has units ({units}) and inputs ({values}); the "
                f"update comes from {count}"
            )
        if count > self.largest_batch:
            raise AttackFailedError(
                f"{count} images are more than largest_batch = {self.largest_batch}; every image doubles the search"
            )
        return count

    def _watch(self) -> Callable[[int, float], bool]:
        """Reports of the search, which tell it to end when its seconds are over."""
        steps, begun = Steps("submatrix", self.samples, measure="matching ReLUs"), time.monotonic()

        def reached(done: int, match: float) -> bool:
            steps.done(done, lambda: match)
            return self.seconds is not None and time.monotonic() - begun > self.seconds

        return reached


def relu_layer(architecture: ModelArchitecture) -> str:
    """Name of the linear layer that reads the image and is followed by a ReLU and nothing else.

    Raises:
        AttackFailedError: if there is none.
    """
    network = architecture.build(seed=0)
    try:
        traced = fx.symbolic_trace(network)
    except (fx.proxy.TraceError, TypeError, ValueError, RuntimeError) as error:
        raise AttackFailedError(f"{type(network).__name__} cannot be traced: {error}") from error
    (node,) = traced.graph.find_nodes(op="placeholder")[:1]
    while not _is_linear(traced, node):
        readers = [user for user in node.users if user.op != "call_method" or user.target != "size"]
        if len(readers) != 1 or not _keeps_values(traced, readers[0]):
            raise AttackFailedError(f"SPEAR needs a linear layer on the image, but {readers[0].name} reads it")
        node = readers[0]
    readers = list(node.users)
    if not readers or not all(_is_relu(traced, reader) for reader in readers):
        names = ", ".join(reader.name for reader in readers)
        raise AttackFailedError(f"SPEAR needs a ReLU, and nothing else, after {node.target}; it is read by {names}")
    return str(node.target)


def _is_linear(traced: fx.GraphModule, node: fx.Node) -> bool:
    return node.op == "call_module" and isinstance(traced.get_submodule(str(node.target)), nn.Linear)


def _keeps_values(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether an operation before the first layer only reshapes, or is that layer."""
    if node.op == "call_module":
        module = traced.get_submodule(str(node.target))
        return isinstance(module, nn.Linear | nn.Flatten | nn.Identity | nn.Dropout)
    return node.target in RESHAPING


def _is_relu(traced: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(traced.get_submodule(str(node.target)), nn.ReLU)
    return node.target in RELUS
