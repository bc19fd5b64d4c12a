from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file, save_model
from torch import nn

import fedleak
from fedleak.errors import InputError
from fedleak.models.checkpoint import load_checkpoint
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.transcript.reader import TranscriptReader
from tests.user_models import Tied, frozen

SHAPE = (1, 8, 8)


def network(seed: int = 1) -> nn.Module:
    return ConvNet(widths=(3,)).build(SHAPE, 4, seed=seed)


def test_a_torch_file_and_a_safetensors_file_give_the_same(tmp_path: Path) -> None:
    saved = network().state_dict()
    torch.save(saved, tmp_path / "net.pt")
    save_file(saved, tmp_path / "net.safetensors")
    for name in ("net.pt", "net.safetensors"):
        loaded = ConvNet(widths=(3,), weights=tmp_path / name).first(SHAPE, 4, seed=2).state_dict()
        assert all(torch.equal(loaded[key], saved[key]) for key in saved)


def test_tied_weights_may_be_saved_under_one_name(tmp_path: Path) -> None:
    saved, loaded = Tied(SHAPE, 4), Tied(SHAPE, 4)
    save_model(saved, str(tmp_path / "tied.safetensors"))
    load_checkpoint(loaded, tmp_path / "tied.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), loaded.parameters(), strict=True))
    assert loaded.b.weight is loaded.a.weight


def test_values_take_the_precision_of_the_model(tmp_path: Path) -> None:
    saved = network().half().state_dict()
    torch.save(saved, tmp_path / "net.pt")
    loaded = network(seed=2)
    load_checkpoint(loaded, tmp_path / "net.pt")
    assert all(t.dtype == torch.float32 for t in loaded.parameters())
    assert all(torch.equal(t, saved[n].float()) for n, t in loaded.named_parameters())


def changed(**changes: Any) -> dict[str, Any]:
    state = {**network().state_dict(), **changes}
    return {name: value for name, value in state.items() if value is not None}


CONTENTS: dict[str, tuple[Any, str]] = {
    "missing": (changed(**{"0.bias": None}), "it does not fit the model; missing from the file: 0.bias"),
    "unknown": (changed(fc=torch.zeros(2)), "it does not fit the model; unknown to the model: fc"),
    "prefix": (
        {f"module.{name}": value for name, value in network().state_dict().items()},
        "without the prefix 'module.' the names fit",
    ),
    "shape": (
        changed(**{"0.bias": torch.zeros(5)}),
        "0.bias is torch.float32 of shape (5,), in the model torch.float32",
    ),
    "type": (changed(**{"0.bias": torch.zeros(3, dtype=torch.int64)}), "0.bias is torch.int64 of shape (3,)"),
    "training": ({"epoch": 3, "state_dict": network().state_dict()}, "a dict with epoch, state_dict, not a state dict"),
    "tensor": (torch.zeros(3), "it holds a Tensor, not a state dictionary"),
    "nothing": ({}, "it holds a dict with nothing in it, not a state dictionary"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_what_does_not_fit_is_said(name: str, tmp_path: Path) -> None:
    content, message = CONTENTS[name]
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load_checkpoint(network(), tmp_path / "net.pt")
    assert caught.value.path == "model.weights"


class Payload:
    def __reduce__(self) -> Any:
        return (print, ("executed",))


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_files_that_are_no_checkpoints(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"net.{suffix}"
    with pytest.raises(InputError, match="there is no such file"):
        load_checkpoint(network(), path)
    for content in (b"", b"not a checkpoint", pickle.dumps(Payload()), bytes(range(256))):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"model\.weights: got .*(readable|more than tensors)"):
            load_checkpoint(network(), path)
    torch.save({"payload": Payload()}, path)
    with pytest.raises(InputError, match=r"model\.weights"):
        load_checkpoint(network(), path)
    with pytest.raises(InputError, match=r"model\.weights"):
        load_checkpoint(network(), tmp_path)
    assert "executed" not in capsys.readouterr().out


def test_an_initialisation_beside_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="weights replaces initialisation"):
        LeNet(weights=tmp_path / "net.pt", initialisation="xavier")


def test_the_settings_say_nothing_of_what_is_not_chosen() -> None:
    assert set(Mlp().model_dump()) == {"kind", "initialisation", "hidden", "activation", "bias"}


def test_a_frozen_model_is_loaded_whole(tmp_path: Path) -> None:
    saved, loaded = frozen(SHAPE, 4), frozen(SHAPE, 4)
    torch.save(saved.state_dict(), tmp_path / "net.pt")
    load_checkpoint(loaded, tmp_path / "net.pt")
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), loaded.parameters(), strict=True))
    assert not loaded.get_parameter("conv1.weight").requires_grad


@pytest.mark.parametrize("precision", ["default", "float64", "float16", "bfloat16"])
def test_the_federation_starts_from_it_in_the_chosen_precision(precision: str, tmp_path: Path) -> None:
    saved = Mlp(hidden=(5,)).build((3, 8, 8), 5, seed=9).state_dict()
    torch.save(saved, tmp_path / "net.pt")
    raw = {
        "name": "own",
        "dataset": {"kind": "synthetic", "size": 8, "images": 40},
        "model": {"kind": "mlp", "hidden": [5], "weights": str(tmp_path / "net.pt"), "precision": precision},
        "federation": {"clients": 2, "rounds": 1, "engine": {"kind": "serial"}},
        "adversary": {"level": 1},
        "attacks": [{"kind": "inverting_gradients", "iterations": 2, "compile": "never"}],
        "metrics": {"lpips": None, "ssim": None},
        "bootstrap_resamples": 100,
        "device": "cpu",
        "threads": 1,
    }
    results = fedleak.run(raw, out=tmp_path / "run")
    (attack,) = [summary for summary in results.attacks if not summary.is_baseline]
    assert (attack.images, attack.failures) == (1, 0)
    first = TranscriptReader(tmp_path / "run/transcript").model(0)
    dtype = torch.float32 if precision == "default" else getattr(torch, precision)
    assert all(first[name].dtype == dtype and torch.equal(first[name], saved[name].to(dtype)) for name in saved)
