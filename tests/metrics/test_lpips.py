from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lpips
import pytest
import torch
import torch.nn.functional as F

from fedleak.metrics.base import MetricUnavailableError
from fedleak.metrics.lpips import Lpips, _loaded

SLICES = {"slice1.0": 0, "slice2.3": 3, "slice3.6": 6, "slice4.8": 8, "slice5.10": 10}


@pytest.fixture(autouse=True)
def _fresh_network() -> Iterator[None]:
    _loaded.cache_clear()
    yield
    _loaded.cache_clear()


@pytest.fixture(scope="module")
def reference(alexnet_file: Path) -> Any:
    """The authors' network with the file's weights put in by hand, layer by layer."""
    network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    state = torch.load(alexnet_file, weights_only=True)
    for own, number in SLICES.items():
        layer = network.net.get_submodule(own)
        layer.weight.data.copy_(state[f"features.{number}.weight"])
        layer.bias.data.copy_(state[f"features.{number}.bias"])
    return network


def images(side: int, *, channels: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.rand(4, channels, side, side, generator=torch.Generator().manual_seed(seed))


def test_equals_the_authors_network_with_the_same_weights(alexnet_file: Path, reference: Any) -> None:
    guess, truth = images(64), images(64, seed=1)
    with torch.no_grad():
        expected = reference(2 * guess - 1, 2 * truth - 1).flatten()
    torch.testing.assert_close(Lpips(backbone=str(alexnet_file)).evaluate(guess, truth), expected)
    assert (expected > 0).all()


@pytest.mark.parametrize("side", [31, 32, 64])
def test_images_from_31_pixels_on_keep_their_size(alexnet_file: Path, reference: Any, side: int) -> None:
    guess, truth = images(side), images(side, seed=1)
    with torch.no_grad():
        expected = reference(2 * guess - 1, 2 * truth - 1).flatten()
    torch.testing.assert_close(Lpips(backbone=str(alexnet_file)).evaluate(guess, truth), expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "enlarged"), [((8, 8), (31, 31)), ((28, 28), (31, 31)), ((16, 40), (31, 78))])
def test_smaller_images_are_enlarged_to_31_and_grey_ones_repeated(
    alexnet_file: Path, reference: Any, size: tuple[int, int], enlarged: tuple[int, int], channels: int
) -> None:
    draws = torch.Generator().manual_seed(2)
    pair = [torch.rand(2, channels, *size, generator=draws) for _ in range(2)]
    large = [F.interpolate(x, size=enlarged, mode="bilinear").expand(-1, 3, -1, -1) for x in pair]
    with torch.no_grad():
        expected = reference(*(2 * x - 1 for x in large)).flatten()
    metric = Lpips(backbone=str(alexnet_file))
    torch.testing.assert_close(metric.evaluate(*pair), expected)
    assert "images are enlarged to 31 pixels" in metric.note((channels, *size))


def test_the_note_tells_whether_values_are_comparable(alexnet_file: Path) -> None:
    note = Lpips(backbone=str(alexnet_file)).note((3, 32, 32))
    assert note == (
        "lpips: AlexNet from a file in metrics.lpips.backbone (weights other than torchvision's, so not comparable)"
    )


def test_other_weights_give_another_value(alexnet_file: Path, tmp_path: Path) -> None:
    state = torch.load(alexnet_file, weights_only=True)
    torch.save({name: 2 * tensor for name, tensor in state.items()}, tmp_path / "other.pth")
    first, second = (
        Lpips(backbone=str(path)).evaluate(images(64), images(64, seed=1))
        for path in (alexnet_file, tmp_path / "other.pth")
    )
    assert not torch.allclose(first, second)


@pytest.mark.usefixtures("offline")
def test_without_network_the_metric_is_unavailable_and_says_what_to_do() -> None:
    with pytest.raises(MetricUnavailableError, match=r"no network in tests.*metrics\.lpips\.backbone"):
        Lpips().evaluate(images(64), images(64))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(MetricUnavailableError, match=r"nowhere\.pth cannot be read"):
        Lpips(backbone="nowhere.pth").evaluate(images(64), images(64))


class Payload:
    """Unpickling it would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    file, target = tmp_path / "evil.pth", tmp_path / "pwned"
    torch.save({"features.0.weight": Payload(target)}, file)
    with pytest.raises(MetricUnavailableError, match="does not contain plain tensors"):
        Lpips(backbone=str(file)).evaluate(images(64), images(64))
    assert not target.exists()


FOREIGN = {
    "empty": b"",
    "text": b"hello world",
    "noise": bytes(range(256)),
    "bare pickle": pickle.dumps({"features.0.weight": 1}, protocol=2),
    "cut zip": b"PK\x03\x04 cut short",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_foreign_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(MetricUnavailableError, match=r"file\.pth"):
        Lpips(backbone=str(tmp_path / "file.pth")).evaluate(images(64), images(64))


@pytest.mark.parametrize("state", [{"other": torch.zeros(1)}, [torch.zeros(1)]], ids=["other names", "a list"])
def test_other_tensors_are_no_alexnet(tmp_path: Path, state: object) -> None:
    torch.save(state, tmp_path / "file.pth")
    with pytest.raises(MetricUnavailableError, match="not an AlexNet state dict"):
        Lpips(backbone=str(tmp_path / "file.pth")).evaluate(images(64), images(64))


def test_weights_of_another_shape_are_no_alexnet(alexnet_file: Path, tmp_path: Path) -> None:
    state = torch.load(alexnet_file, weights_only=True)
    state["features.3.weight"] = state["features.3.weight"][:-1]
    torch.save(state, tmp_path / "file.pth")
    with pytest.raises(MetricUnavailableError, match="not an AlexNet state dict"):
        Lpips(backbone=str(tmp_path / "file.pth")).evaluate(images(64), images(64))


def test_building_the_network_prints_nothing(alexnet_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Lpips(backbone=str(alexnet_file)).evaluate(images(64), images(64))
    assert capfd.readouterr() == ("", "")
