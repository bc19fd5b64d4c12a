from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fedleak.attacks.generative import feature_table as module
from fedleak.attacks.generative.feature_table import FeatureTable
from fedleak.attacks.generative.features import GradientFeatures, fit_features, layer_columns
from fedleak.attacks.generative.training import (
    TrainingOutcome,
    TrainingSettings,
    _schedule,
    evaluate,
    split_pairs,
    train_generator,
)
from fedleak.attacks.generative.versions import VersionedFeatures
from fedleak.attacks.matching import permutation_invariant_mse
from fedleak.errors import AttackFailedError
from fedleak.progress import QuietProgress
from fedleak.threat import InjectedPairs
from tests.builders import architecture, injected_pairs

COUNT = 80
ROWS = (np.arange(0, 60), np.arange(60, COUNT))
QUICK = TrainingSettings(epochs=6, batch_size=16, learning_rate=5e-3)


@pytest.fixture
def pairs(tmp_path: Path) -> InjectedPairs:
    return injected_pairs(tmp_path, architecture(), pairs=COUNT)


def features_of(pairs: InjectedPairs) -> VersionedFeatures:
    columns = layer_columns(pairs.layout, [[slot.name] for slot in pairs.layout.slots], max_width=10_000, seed=0)
    return VersionedFeatures({0: fit_features(pairs, ROWS[0], GradientFeatures(columns, None))})


class Linear(nn.Module):
    """The smallest generator: one image of 8x8."""

    def __init__(self, width: int, images: int = 1) -> None:
        super().__init__()
        self.layer = nn.Linear(width, images * 64)
        nn.init.zeros_(self.layer.weight)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.layer(features)).reshape(len(features), -1, 1, 8, 8)


def train(pairs: InjectedPairs, settings: TrainingSettings = QUICK) -> TrainingOutcome:
    features = features_of(pairs)
    torch.manual_seed(0)
    return train_generator(
        Linear(features.of(0).size, pairs.index.shape[1]),
        pairs,
        features,
        ROWS,
        settings,
        generator=torch.Generator().manual_seed(0),
        progress=QuietProgress(),
        name="test",
    )


def with_other_images(pairs: InjectedPairs, rows: np.ndarray) -> InjectedPairs:
    """The same pairs, but the images behind ``rows`` are inverted."""
    images = pairs.images.clone()
    touched = torch.from_numpy(pairs.index[rows].ravel())
    images[touched] = 255 - images[touched]
    return replace(pairs, images=images)


@pytest.mark.parametrize(("count", "share", "held"), [(10, 0.1, 1), (100, 0.25, 25), (2, 0.01, 1), (5, 0.5, 2)])
def test_split_is_disjoint_complete_sorted_and_never_empty(
    count: int, share: float, held: int, generator: torch.Generator
) -> None:
    training, held_out = split_pairs(count, share, generator)
    assert len(held_out) == held
    assert sorted([*training, *held_out]) == list(range(count))
    assert training.tolist() == sorted(training)
    assert held_out.tolist() == sorted(held_out)


def test_split_follows_the_generator() -> None:
    splits = [split_pairs(50, 0.2, torch.Generator().manual_seed(seed))[1].tolist() for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_too_few_pairs_are_a_failed_attack(generator: torch.Generator) -> None:
    with pytest.raises(AttackFailedError, match="1 injected pairs are too few"):
        split_pairs(1, 0.1, generator)


def test_training_from_disk_gives_the_same_generator(
    pairs: InjectedPairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = train(pairs)
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "IN_MEMORY_BYTES", 0)
    from_disk = train(pairs)
    assert from_disk.held_out_curve == in_memory.held_out_curve
    assert torch.equal(from_disk.generator.layer.weight, in_memory.generator.layer.weight)  # type: ignore[union-attr]


def test_evaluation_equals_a_loop_over_pairs(tmp_path: Path) -> None:
    pairs = injected_pairs(tmp_path, architecture(), pairs=COUNT, batch=2, public=40)
    features = features_of(pairs)
    torch.manual_seed(1)
    network = Linear(features.of(0).size, images=2)
    nn.init.normal_(network.layer.weight, std=0.1)
    rows = ROWS[1][:7]
    with torch.no_grad():
        losses = [
            float(
                permutation_invariant_mse(
                    network(features(pairs.read_updates(r), pairs.versions(r))), pairs.read_images(r)
                )
            )
            for r in rows[:, None]
        ]
    assert evaluate(network, pairs, FeatureTable(pairs, features), rows, 3) == pytest.approx(np.mean(losses), rel=1e-5)


def test_the_result_is_the_epoch_with_the_least_held_out_loss(pairs: InjectedPairs) -> None:
    outcome = train(pairs, TrainingSettings(epochs=60, batch_size=16, learning_rate=0.05, patience=60))
    least = min(outcome.held_out_curve)
    assert outcome.best_epoch < len(outcome.held_out_curve) == len(outcome.train_curve) == 60  # it over-fits
    assert outcome.held_out_curve[outcome.best_epoch - 1] == least
    table = FeatureTable(pairs, features_of(pairs))
    assert evaluate(outcome.generator, pairs, table, ROWS[1], 16) == pytest.approx(least, rel=1e-6)
    assert not outcome.generator.training


def test_training_stops_after_so_many_epochs_without_progress(pairs: InjectedPairs) -> None:
    settings = TrainingSettings(epochs=60, batch_size=16, learning_rate=0.05, patience=4)
    outcome = train(pairs, settings)
    assert len(outcome.held_out_curve) == outcome.best_epoch + 4 < 60


def test_a_stepped_schedule_falls_to_a_tenth_after_three_quarters() -> None:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    schedule = _schedule(optimiser, TrainingSettings(epochs=8, learning_rate=0.4, schedule="step"), 3)
    rates = []
    for _ in range(24):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx([0.4] * 18 + [0.04] * 6)


def test_gradients_are_clipped_only_if_a_norm_is_given(pairs: InjectedPairs) -> None:
    tight, loose, none = (train(pairs, QUICK.model_copy(update={"clip": c})) for c in (1e-8, 1e8, None))
    assert loose.train_curve == none.train_curve
    assert tight.train_curve != none.train_curve


def test_held_out_pairs_choose_the_epoch_but_are_never_trained_on(pairs: InjectedPairs) -> None:
    settings = TrainingSettings(epochs=8, batch_size=16, learning_rate=5e-3, patience=8)
    outcome, other = train(pairs, settings), train(with_other_images(pairs, ROWS[1]), settings)
    assert other.train_curve == outcome.train_curve
    assert other.held_out_curve != outcome.held_out_curve
    assert other.best_epoch != outcome.best_epoch


def test_training_pairs_are_trained_on(pairs: InjectedPairs) -> None:
    assert train(with_other_images(pairs, ROWS[0])).train_curve != train(pairs).train_curve


@pytest.mark.parametrize("batch", [1, 2])
def test_a_loss_that_is_not_finite_is_a_failed_attack(tmp_path: Path, batch: int) -> None:
    pairs = injected_pairs(tmp_path, architecture(), pairs=COUNT, batch=batch, public=40)
    with pytest.raises(AttackFailedError, match=r"training test diverged in epoch \d+; lower the learning rate"):
        train(pairs, TrainingSettings(epochs=3, batch_size=16, learning_rate=1e30))
