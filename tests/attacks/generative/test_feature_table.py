from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fedleak.attacks.generative import feature_table as module
from fedleak.attacks.generative import features as features_module
from fedleak.attacks.generative.feature_table import FeatureTable
from fedleak.attacks.generative.features import GradientFeatures, fit_features, layer_columns
from fedleak.attacks.generative.versions import VersionedFeatures
from fedleak.threat import InjectedPairs
from tests.builders import architecture, injected_pairs

COUNT = 30
ROWS = np.array([3, 27, 0, 12, 13, 14])


@pytest.fixture
def pairs(tmp_path: Path) -> InjectedPairs:
    return injected_pairs(tmp_path, architecture(), pairs=COUNT)


@pytest.fixture
def features(pairs: InjectedPairs) -> VersionedFeatures:
    columns = layer_columns(pairs.layout, [[slot.name] for slot in pairs.layout.slots], max_width=50, seed=0)
    return VersionedFeatures({0: fit_features(pairs, np.arange(COUNT), GradientFeatures(columns, None))})


@pytest.fixture
def cache(tmp_path: Path, pairs: InjectedPairs, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where tables go that are too large, which all are now, in pieces of four pairs."""
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(features_module, "CHUNK_BYTES", 4 * pairs.layout.size * 4)
    return tmp_path / "cache"


def test_a_table_in_memory_holds_the_features(pairs: InjectedPairs, features: VersionedFeatures) -> None:
    expected = features(pairs.read_updates(ROWS), pairs.versions(ROWS))
    torch.testing.assert_close(FeatureTable(pairs, features).read(ROWS), expected)


def test_a_table_on_disk_holds_the_same(pairs: InjectedPairs, features: VersionedFeatures, cache: Path) -> None:
    on_disk = FeatureTable(pairs, features)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "IN_MEMORY_BYTES", 2**30)
        in_memory = FeatureTable(pairs, features)
    assert torch.equal(on_disk.read(ROWS), in_memory.read(ROWS))


def test_every_update_is_read_once_however_often_its_features_are(
    pairs: InjectedPairs, features: VersionedFeatures, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: Counter[int] = Counter()
    read_updates = InjectedPairs.read_updates

    def counted(self: InjectedPairs, rows: NDArray[np.int64]) -> torch.Tensor:
        reads.update(rows.tolist())
        return read_updates(self, rows)

    monkeypatch.setattr(InjectedPairs, "read_updates", counted)
    table = FeatureTable(pairs, features)
    for _ in range(3):
        table.read(ROWS)
    assert reads == Counter(range(COUNT))


def test_a_table_on_disk_leaves_no_file(pairs: InjectedPairs, features: VersionedFeatures, cache: Path) -> None:
    FeatureTable(pairs, features)
    assert list((cache / "features").iterdir()) == []
