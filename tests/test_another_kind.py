"""A throw-away kind of examples, readings of sensors: what a newcomer adds, and a run from federation to pictures.

The additions are made to a copy of the package, as the processes of a run must find them, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

import fedleak
from fedleak.results.schema import Results
from tests.scenarios import tiny

SENSORS = 12
KIND = '''

class ReadingKind(ExampleKind):
    """Vectors of floats, shown as a strip of grey squares."""

    name = "readings"
    axes = ("D",)
    stored = np.dtype(np.float32)
    metrics = frozenset({"values"})

    def to_picture(self, example: Tensor) -> Stored:
        return (example.clamp(0, 1) * 255).round().byte().repeat(4, 1).numpy()


READINGS = ReadingKind()
KINDS = (IMAGES, READINGS)
'''
SOURCE = '''
from typing import Literal

import numpy as np

from fedleak.data.sources.base import Dataset, DatasetSplits, LabelledImages
from fedleak.examples import READINGS, Normalisation


class Readings(Dataset):
    """Three noisy patterns of twelve sensors."""

    kind: Literal["readings"] = "readings"
    examples = READINGS

    def load(self):
        draws = np.random.default_rng(5)
        patterns = draws.random((3, 12))

        def some(count):
            labels = np.arange(count, dtype=np.int64) % 3
            return LabelledImages((0.8 * patterns[labels] + 0.2 * draws.random((count, 12))).astype("float32"), labels)

        return DatasetSplits(some(120), some(30), ("a", "b", "c"), Normalisation((0.5,), (0.25,)))
'''
NETWORK = """
from torch import nn

def network(shape, classes):
    return nn.Sequential(nn.Linear(*shape, 16), nn.Sigmoid(), nn.Linear(16, classes))
"""
SCENARIO = tiny(
    dataset="readings",
    model={"kind": "factory", "path": "sensor_network:network"},
    federation__client={"protocol": "fedsgd", "batch_size": 1},
    adversary={"level": 3, "public_images": 30, "label_inference": "row_sum"},
    attacks=[
        {"kind": "inverting_gradients", "priors": {"total_variation": 0}, "iterations": 200, "restarts": 2},
        {"kind": "linear_layer"},
    ],
    metrics={},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with one class in ``examples.py`` and a data set more."""
    folder = tmp_path_factory.mktemp("copy")
    package = folder / "fedleak"
    shutil.copytree(Path(fedleak.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / "examples.py").open("a") as file:
        file.write(KIND)
    (package / "data" / "sources" / "readings.py").write_text(SOURCE)
    (folder / "sensor_network.py").write_text(NETWORK)
    return folder


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "FEDLEAK_ISOLATION"}  # attacks run isolated
    environment = {**kept, "PYTHONPATH": str(folder), "FEDLEAK_TRUSTED_FACTORIES": "sensor_network:network"}
    done = [sys.executable, "-m", "fedleak", *arguments]
    return subprocess.run(done, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_readings_are_federated_attacked_scored_and_shown(folder: Path) -> None:
    (folder / "readings.yaml").write_text(yaml.safe_dump(SCENARIO))
    done = command(folder, "run", "readings.yaml", "--out", "run")
    assert done.returncode == 0, done.stderr
    results = Results.model_validate_json((folder / "run" / "results.json").read_text())
    attacks = {summary.attack: summary for summary in results.attacks}
    assert results.higher_is_better == ("psnr",)
    for name in ("inverting_gradients", "linear_layer"):
        assert set(attacks[name].metrics) == {"mse", "psnr"}
        assert attacks[name].metrics["psnr"].mean > attacks["baseline_mean_image"].metrics["psnr"].mean
    assert attacks["linear_layer"].metrics["mse"].mean < 1e-9
    shown = Image.open(folder / "run" / "pictures" / attacks["linear_layer"].pictures[0].original)
    assert shown.size == (SENSORS, 4)
    assert "left out, as they compare images, not readings: fft_2d" in (folder / "run" / "report.html").read_text()


def test_a_metric_of_images_is_refused_by_name(folder: Path) -> None:
    (folder / "asked.yaml").write_text(yaml.safe_dump(SCENARIO | {"metrics": {"leaked_ssim": {}}}))
    done = command(folder, "validate", "asked.yaml")
    assert done.returncode == 2
    assert "compares images; the data set readings holds readings" in " ".join(done.stderr.split())
