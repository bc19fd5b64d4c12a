"""What a run depends on besides its settings: if it changes, the same command computes anew and says so."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from fedleak.federation import client
from fedleak.run_directory import RunDirectory
from fedleak.stages.federate import is_current
from fedleak.stages.inputs import changed_inputs
from fedleak.stages.source import code_of
from tests.scenarios import command, scenario, tiny

FACTORY = '''
import torch
from torch import nn
from helper_of_mine import activation

def network(shape, classes):
    """Comments and docstrings do not count."""
    pixels = shape[0] * shape[1] * shape[2]
    model = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 6), activation(), nn.Linear(6, classes))
    model.load_state_dict(torch.load("checkpoint.pt", weights_only=True))
    return model
'''
LIGHT: dict[str, Any] = {
    "attacks": [{"kind": "dlg", "iterations": 2}],
    "adversary": {"level": 1, "public_images": 6},
    "federation__rounds": 1,
    "metrics": dict.fromkeys(("lpips", "psnr", "ssim")),
}
REUSED = ("transcript reused", "reconstructions reused")


def network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 6), torch.nn.Sigmoid(), torch.nn.Linear(6, 2))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: a factory with a helper and a checkpoint, a folder of images, and a scenario."""
    monkeypatch.setenv("FEDLEAK_TRUSTED_FACTORIES", "models_of_mine:network")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models_of_mine.py").write_text(FACTORY)
    (tmp_path / "helper_of_mine.py").write_text("from torch import nn\nactivation = nn.Sigmoid\n")
    torch.save(network().state_dict(), tmp_path / "checkpoint.pt")
    draw = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = draw.integers(0, 255, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number:02}.png")
    data = {"kind": "image_folder", "root": "photos", "size": 8, "channels": 1}
    model = {"kind": "factory", "path": "models_of_mine:network"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tiny(dataset=data, model=model, **LIGHT)))
    return tmp_path


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Runs the scenario as a new process would, and tells what it said."""

    def again() -> str:
        for name in ("models_of_mine", "helper_of_mine"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        shutil.rmtree(home / "__pycache__", ignore_errors=True)
        client._module.cache_clear()
        outcome = command(capsys, "run", home / "mine.yaml", "--out", home / "run")
        assert outcome.code == 0, outcome.err
        return " ".join(outcome.err.split())

    return again


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_changed_is_computed_anew_and_named(home: Path, run: Callable[[], str]) -> None:
    said = run()
    assert not any(words in said for words in REUSED)
    said = run()
    assert all(words in said for words in REUSED)
    rewrite(home / "models_of_mine.py", "Comments and docstrings do", "# Neither do they, they do")
    (home / "photos/cats/00.png").touch()
    said = run()
    assert all(words in said for words in REUSED), "nothing changed but a docstring and a time"
    rewrite(home / "models_of_mine.py", "return model", "return nn.Sequential(*model, nn.Identity())")
    said = run()
    check_anew(said, "the code of models_of_mine changed")
    assert "attack dlg: its settings, its code or the transcript changed; it runs anew" in said
    rewrite(home / "helper_of_mine.py", "Sigmoid", "Tanh")
    check_anew(run(), "the code of helper_of_mine changed")
    torch.save(network().state_dict(), home / "checkpoint.pt")
    check_anew(run(), "the initial weights of models_of_mine:network changed")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(home / "photos/dogs/03.png")
    check_anew(run(), "photos changed")
    said = run()
    assert all(words in said for words in REUSED)


def check_anew(said: str, words: str) -> None:
    assert words in said
    assert "it is recorded anew" in said
    assert not any(reused in said for reused in REUSED)


def test_a_run_whose_inputs_were_not_kept_is_current(tmp_path: Path) -> None:
    """Such as one written by something other than fedleak's federation."""
    assert changed_inputs(scenario(), RunDirectory(tmp_path)) == ""
    assert not is_current(scenario(), RunDirectory(tmp_path))


def test_inputs_that_cannot_be_read_count_as_changed(tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_bytes(b"\xff")
    assert "inputs.json" in changed_inputs(scenario(), RunDirectory(tmp_path))


def test_what_is_installed_is_left_out_and_each_kind_is_there() -> None:
    found = code_of([scenario().model, scenario().federation])
    assert {"fedleak.models.mlp", "fedleak.data.partition.iid", "fedleak.server.staleness.fixed"} <= found.keys()
    assert not any(name.startswith(("torch", "pydantic")) for name in found)
