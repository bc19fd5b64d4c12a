from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fedleak.attacks.generative.features import GradientFeatures, LayerColumns
from fedleak.attacks.generative.versions import VersionedFeatures, fit_versions, restore_versions
from fedleak.threat import InjectedPairs
from fedleak.transcript.layout import Layout
from fedleak.transcript.rows import RowFile, create_rows

WIDTH = 3
COLUMNS = (LayerColumns(((0, WIDTH),), None, None, WIDTH),)
UNFITTED = GradientFeatures(COLUMNS, None)


@pytest.fixture
def moved(tmp_path: Path) -> InjectedPairs:
    """Thirty pairs of version 2, thirty of version 5, whose updates point elsewhere."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(60, WIDTH)).astype(np.float32)
    rows[30:, 0] += 20
    create_rows(tmp_path / "updates.npy", rows.shape, "float32")
    RowFile(tmp_path / "updates.npy", writable=True).write(0, rows)
    layout = Layout.of([("weight", torch.zeros(WIDTH))])
    images = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    index = np.zeros((60, 1), dtype=np.int64)
    return InjectedPairs(images, index, RowFile(tmp_path / "updates.npy"), layout, "fedsgd", "test", (2, 5))


def test_pairs_know_the_version_of_their_share(moved: InjectedPairs) -> None:
    assert moved.versions(np.array([0, 29, 30, 59])).tolist() == [2, 2, 5, 5]
    uneven = replace(moved, model_versions=(0, 1, 4, 9))  # shares of 15
    assert uneven.versions(np.array([14, 15, 29, 30, 44, 45])).tolist() == [0, 1, 1, 4, 4, 9]


def test_each_version_is_standardised_with_its_own_pairs(moved: InjectedPairs) -> None:
    rows = np.arange(60)
    features = fit_versions(moved, rows, UNFITTED)
    values = features(moved.read_updates(rows), moved.versions(rows))
    for part in (slice(0, 30), slice(30, 60)):
        torch.testing.assert_close(values[part].mean(dim=0), torch.zeros(WIDTH), atol=1e-3, rtol=0)
    updates = moved.read_updates(rows[:30])
    naive = updates / updates.norm(dim=1, keepdim=True)
    naive = (naive - naive.mean(dim=0)) / naive.std(dim=0, correction=0)
    torch.testing.assert_close(values[:30], naive, atol=1e-4, rtol=1e-4)


def test_a_version_without_pairs_takes_the_latest_before_it(moved: InjectedPairs) -> None:
    features = fit_versions(moved, np.arange(60), UNFITTED)
    assert features.of(4) is features.by_version[2]
    assert features.of(7) is features.by_version[5]
    assert features.of(0) is features.by_version[2]


def test_the_maps_are_rebuilt_from_what_is_kept(moved: InjectedPairs) -> None:
    rows = np.arange(60)
    features = fit_versions(moved, rows, UNFITTED)
    rebuilt = restore_versions(UNFITTED, features.statistics())
    assert isinstance(rebuilt, VersionedFeatures)
    assert sorted(rebuilt.by_version) == [2, 5]
    updates, versions = moved.read_updates(rows), moved.versions(rows)
    assert torch.equal(rebuilt(updates, versions), features(updates, versions))
