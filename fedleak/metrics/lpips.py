"""LPIPS, learned perceptual image patch similarity, computed with its authors' package."""

from __future__ import annotations

import contextlib
import io
import pickle
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F

from fedleak import seeds
from fedleak.metrics.base import Metric, MetricUnavailableError

MIN_SIDE = 64
"""Smaller images are enlarged first, because AlexNet's strides would reduce them to nothing."""

NO_WEIGHTS = (pickle.UnpicklingError, EOFError, RuntimeError, ValueError, LookupError, AttributeError, TypeError)
"""Errors that torch's restricted unpickler raises on files that are damaged, of another format, or contain code."""


class Lpips(Metric):
    """LPIPS with AlexNet features, version 0.1 (Zhang et al. 2018, arXiv 1801.03924)."""

    kind: Literal["lpips"] = "lpips"
    higher_is_better: ClassVar[bool] = False
    backbone: str = "alex"
    """``alex`` (torchvision's weights, downloaded on first use) or a local file with AlexNet's state dict."""

    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """``(N,)``, 0 is perfect; grey images are repeated to three channels."""
        network = _network(self.backbone)
        with torch.no_grad():
            value: torch.Tensor = network(_prepare(reconstruction), _prepare(truth), normalize=True)
        return value.reshape(-1)


def _prepare(images: torch.Tensor) -> torch.Tensor:
    if images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    if min(images.shape[-2:]) < MIN_SIDE:
        scale = MIN_SIDE / min(images.shape[-2:])
        images = F.interpolate(images, scale_factor=scale, mode="bilinear", align_corners=False).clamp(0, 1)
    return images


@lru_cache(maxsize=2)
def _network(backbone: str) -> Any:
    from torchvision.models import AlexNet_Weights

    url = AlexNet_Weights.IMAGENET1K_V1.url
    state = read_weights(backbone, name="alex", url=url, setting="metrics.lpips.backbone")  # before the costly network
    network = _build()
    own = network.net.state_dict()  # 'slice2.3.weight' is torchvision's 'features.3.weight'
    try:
        network.net.load_state_dict({name: state["features." + name.split(".", 1)[1]] for name in own})
    except (KeyError, RuntimeError, TypeError) as error:
        raise MetricUnavailableError(
            f"metrics.lpips.backbone: {backbone} is not an AlexNet state dict ({error})"
        ) from error
    return network


def read_weights(source: str, *, name: str, url: str, setting: str) -> Any:
    """A state dict: torchvision's from ``url`` if ``source`` is ``name``, else from a local file.

    Raises:
        MetricUnavailableError: if it cannot be loaded; the message names the ``setting``.
    """
    if source == name:
        return _fetch(name, url, setting)
    return _read(Path(source).expanduser(), setting)


def _fetch(name: str, url: str, setting: str) -> Any:
    try:
        return torch.hub.load_state_dict_from_url(
            url, progress=False, check_hash=True, map_location="cpu", weights_only=True
        )
    except (OSError, RuntimeError) as error:  # no connection; a damaged download
        raise MetricUnavailableError(
            f"the weights of {name} could not be downloaded ({error}); set {setting} to a local file"
        ) from error


def _read(file: Path, setting: str) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise MetricUnavailableError(f"{setting}: {file} cannot be read ({error})") from error
    except NO_WEIGHTS as error:
        reason = type(error).__name__  # the messages are long and advise the user to trust the file
        raise MetricUnavailableError(f"{setting}: {file} does not contain plain tensors ({reason})") from error


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
