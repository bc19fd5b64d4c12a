"""Comparison of a transcript's tensors with the network of its scenario, which is not allocated for that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import nn

from fedleak import seeds
from fedleak.errors import InputError
from fedleak.models.factory import Factory
from fedleak.scenario.schema import Scenario
from fedleak.transcript.manifest import Manifest
from fedleak.transcript.reader import TranscriptReader
from fedleak.transcript.writer import MODELS, SENT

Shapes = Mapping[str, tuple[int, ...]]


def check_layout(scenario: Scenario, manifest: Manifest) -> Shapes:
    """Check that the layout of updates fits the network that the scenario describes.

    Returns:
        The shape of every parameter and buffer of the network; tied ones once.

    Raises:
        InputError: naming the tensor that does not fit.
    """
    network = _outline(scenario, manifest)
    _compare(manifest, network)
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}  # as in models.state.whole_state
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def check_models(reader: TranscriptReader, shapes: Shapes) -> None:
    """Check that every recorded model holds exactly the tensors of the network.

    Raises:
        InputError: naming the file and the tensor that does not fit.
    """
    for name in reader.manifest.checksums:
        if name.startswith((MODELS, SENT)):
            for tensor, found, wanted in _unlike(reader.shapes(name), shapes):
                allowed = f"the tensor is {found} there; the network of the scenario has {wanted}"
                raise InputError(f"transcript/{name}", tensor, allowed)


def _outline(scenario: Scenario, manifest: Manifest) -> nn.Module:
    """The network without memory for its tensors; a user's own factory may need them and builds a real one.

    Raises:
        InputError: if it cannot be built for the images and classes of the transcript.
    """
    outputs = scenario.task.outputs(manifest.classes)
    if outputs > manifest.parameters.size:
        raise InputError(
            "transcript.classes", manifest.classes, f"the updates hold only {manifest.parameters.size} values"
        )
    own = isinstance(scenario.model.innermost, Factory)
    try:
        with seeds.global_torch_seed(0), torch.device("cpu" if own else "meta"):
            return scenario.served_model.module(manifest.input_shape, outputs)
    except (ValueError, RuntimeError) as error:
        raise InputError(
            "transcript.input_shape",
            manifest.input_shape,
            f"the model {scenario.served_model.kind} cannot be built for such images: {error}",
        ) from error


def _compare(manifest: Manifest, network: nn.Module) -> None:
    shapes = {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}
    for number, slot in enumerate(manifest.parameters.slots):
        if shapes.get(slot.name) != slot.shape:
            raise InputError(
                f"transcript.parameters.slots.{number}",
                f"{slot.name} {slot.shape}",
                f"the network of the scenario has {shapes.get(slot.name, 'no such parameter')}",
            )
    slots = {slot.name for slot in manifest.parameters.slots}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and name not in slots:
            raise InputError("transcript.parameters.slots", sorted(slots), f"the network also trains {name}")
    known = {name for name, _ in network.named_buffers()} | shapes.keys()
    for name in manifest.buffers:
        if name not in known:
            raise InputError("transcript.buffers", name, "the network of the scenario has no such buffer")


def _unlike(found: Shapes, expected: Shapes) -> Iterator[tuple[str, object, object]]:
    """Tensors that only one of the two has, or with other shapes: name, shape found, shape expected."""
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            yield name, found.get(name, "absent"), expected.get(name, "none")
