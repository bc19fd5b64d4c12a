"""A federation to score attacks on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fedleak.run_directory import RunDirectory
from fedleak.stages.score.analyse import Analyses
from fedleak.stages.score.batches import LeakedBatches
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.scorer import ImageScorer
from tests.scenarios import run_federation, scenario

SETTINGS = {
    "attacks": [{"kind": "dlg", "iterations": 1}],
    "adversary": {"level": 1, "public_images": 60},
    "federation__clients": 3,
    "federation__client": {"batch_size": 2},
    "metrics": dict.fromkeys(("lpips", "psnr", "ssim", "fft_2d", "registered_psnr")),
}


@pytest.fixture(scope="session")
def _federation(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return run_federation(tmp_path_factory.mktemp("federation") / "run", scenario(**SETTINGS))


@pytest.fixture
def recorded(_federation: RunDirectory, tmp_path: Path) -> RecordedRun:
    """Victims 1 and 2, two rounds, two images in each update; mean squared error is the only metric."""
    shutil.copytree(_federation.root, tmp_path / "run")
    return RecordedRun.open(scenario(**SETTINGS), RunDirectory(tmp_path / "run"))


@pytest.fixture
def scorer(recorded: RecordedRun) -> ImageScorer:
    """Scores that run."""
    return ImageScorer(recorded, Analyses(recorded, LeakedBatches(recorded)))
