"""What a run depends on besides its settings: if it changes, the same command computes anew and says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from fedleak.run_directory import RunDirectory
from fedleak.stages.federate import is_current
from fedleak.stages.inputs import changed_inputs
from tests.scenarios import tiny

FACTORY = '''
import torch
from torch import nn
from helper_of_mine import activation

def network(shape, classes):
    """Comments and docstrings do not count."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], 6), activation(), nn.Linear(6, classes))
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


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a factory with a helper and a checkpoint, a folder of images, a scenario, and its run."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "models_of_mine.py").write_text(FACTORY)
    (folder / "helper_of_mine.py").write_text("from torch import nn\nactivation = nn.Sigmoid\n")
    torch.save(network().state_dict(), folder / "checkpoint.pt")
    draw = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(20):
            pixels = draw.integers(0, 255, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{number:02}.png")
    data = {"kind": "image_folder", "root": "photos", "size": 8, "channels": 1}
    model = {"kind": "factory", "path": "models_of_mine:network"}
    (folder / "mine.yaml").write_text(yaml.safe_dump(tiny(dataset=data, model=model, **LIGHT)))
    said = run(folder)
    assert not any(words in said for words in REUSED)
    return folder


def run(folder: Path) -> str:
    """What ``fedleak run`` says, in a process of its own."""
    environment = {
        "FEDLEAK_TRUSTED_FACTORIES": "models_of_mine:network",
        "OMP_NUM_THREADS": "1",
        "PATH": "/usr/bin:/bin",
    }
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-m", "fedleak", "run", "mine.yaml", "--out", "run"],
        cwd=folder,
        env=environment | {"PYTHONPATH": f"{folder}:{root}", "FEDLEAK_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.timeout(300)
def test_what_changed_is_computed_anew_and_named(home: Path) -> None:
    said = run(home)
    assert all(words in said for words in REUSED)
    rewrite(home / "models_of_mine.py", "Comments and docstrings do", "# Neither do they, they do")
    (home / "photos/cats/00.png").touch()
    said = run(home)
    assert all(words in said for words in REUSED), "nothing changed but a docstring and a time"
    rewrite(home / "models_of_mine.py", "return model", "return nn.Sequential(*model, nn.Identity())")
    check_anew(run(home), "the code of models_of_mine changed")
    rewrite(home / "helper_of_mine.py", "Sigmoid", "Tanh")
    check_anew(run(home), "the code of helper_of_mine changed")
    torch.save(network().state_dict(), home / "checkpoint.pt")
    check_anew(run(home), "the initial weights of models_of_mine:network changed")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(home / "photos/dogs/03.png")
    check_anew(run(home), "photos changed")
    said = run(home)
    assert all(words in said for words in REUSED)


def check_anew(said: str, words: str) -> None:
    flat = " ".join(said.split())
    assert words in flat, said
    assert "it is recorded anew" in flat
    assert not any(reused in flat for reused in REUSED)


def test_a_run_whose_inputs_were_not_kept_is_current(home: Path, tmp_path: Path) -> None:
    """Such as one written by something other than fedleak's federation."""
    assert changed_inputs(RunDirectory(home / "run").scenario(), RunDirectory(tmp_path)) == ""
    assert not is_current(RunDirectory(home / "run").scenario(), RunDirectory(tmp_path))


def test_inputs_that_cannot_be_read_count_as_changed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_bytes(b"\xff")
    assert "inputs.json" in changed_inputs(RunDirectory(home / "run").scenario(), RunDirectory(tmp_path))
