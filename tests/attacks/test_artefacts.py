from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fedleak.attacks import artefacts
from fedleak.attacks.base import Artefact


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path))
    return tmp_path / "artefacts"


def test_every_field_survives_the_file(cache: Path) -> None:
    """Names may hold dots and slashes, and be the same in several fields."""
    artefact = Artefact(
        parameters={"3.weight": torch.arange(3.0), "a/b": torch.ones(2, dtype=torch.float64)},
        parameter_count=5,
        by_version={0: {"3.weight": torch.zeros(2)}, 12: {"a/b": torch.ones(1), "mean": torch.zeros(1)}},
        estimates={"3.weight": torch.ones(2, 3)},
        curves={"held_out": [0.1, 1 / 3]},
        facts={"n": 3, "shape": [1, 8, 8]},
        training_seconds=0.7,
    )
    artefacts.store("k", artefact)
    found = artefacts.find("k")
    assert found is not None
    rest = ("parameter_count", "curves", "facts", "training_seconds")
    assert [getattr(found, name) for name in rest] == [getattr(artefact, name) for name in rest]
    assert found.by_version.keys() == artefact.by_version.keys()
    pairs = [(found.parameters, artefact.parameters), (found.estimates, artefact.estimates)]
    for read, written in [*pairs, *((found.by_version[v], artefact.by_version[v]) for v in (0, 12))]:
        assert read.keys() == written.keys()
        assert all(read[name].dtype == written[name].dtype and torch.equal(read[name], written[name]) for name in read)
    assert [path.name for path in cache.iterdir()] == ["k.safetensors"]


def test_what_is_absent_or_damaged_or_laid_out_otherwise_is_not_found(cache: Path) -> None:
    assert artefacts.find("k") is None
    cache.mkdir()
    (cache / "damaged.safetensors").write_bytes(b"nonsense")
    save_file({"w": torch.ones(1)}, cache / "other.safetensors", metadata={"facts": "{}"})
    assert artefacts.find("damaged") is None
    assert artefacts.find("other") is None
