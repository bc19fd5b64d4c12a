from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fedleak.attacks.generative import features as module
from fedleak.attacks.generative.features import (
    CLIP,
    GradientFeatures,
    OutputLayer,
    chunks,
    fit_features,
    layer_columns,
)
from fedleak.threat import InjectedPairs
from fedleak.transcript.layout import Layout
from tests.builders import architecture, injected_pairs, stored_pairs

# A first layer of 6 + 3 values and a last one of 4 classes with 2 inputs: 8 + 4.
LAYOUT = Layout.of(
    [
        ("a.weight", torch.zeros(3, 2)),
        ("a.bias", torch.zeros(3)),
        ("b.weight", torch.zeros(4, 2)),
        ("b.bias", torch.zeros(4)),
    ]
)
LAYERS = (("a.weight", "a.bias"), ("b.weight", "b.bias"))
LAST_BIAS = (17, 21)
COLUMNS = layer_columns(LAYOUT, LAYERS, max_width=100, seed=0)


def updates(count: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Rows whose scale differs by orders of magnitude; coordinate 2 is always zero."""
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((count, 21)) * 10.0 ** draw.uniform(-4, 2, (count, 1))
    rows[:, 2] = 0
    return rows.astype(np.float32)


def pairs_of(folder: Path, rows: NDArray[np.float32]) -> InjectedPairs:
    images = np.zeros((len(rows), 1, 2, 2), dtype=np.uint8)
    return stored_pairs(folder, images, np.arange(len(rows))[:, None], rows, LAYOUT)


def naive_features(
    rows: NDArray[np.float32], train: NDArray[np.int64], scale: tuple[int, int] | None
) -> NDArray[np.float64]:
    """Standardised by the training rows' own mean and deviation, all in float64."""
    wide = rows.astype(np.float64)
    raw = np.stack([row / np.linalg.norm(row[slice(*scale)] if scale else row) for row in wide])
    mean, std = raw[train].mean(axis=0), raw[train].std(axis=0)
    result = np.zeros_like(raw)
    result[:, std > 0] = (raw - mean)[:, std > 0] / std[std > 0]
    return np.clip(result, -CLIP, CLIP)


@pytest.mark.parametrize("scale", [LAST_BIAS, None])
def test_standardisation_equals_naive_numpy(tmp_path: Path, scale: tuple[int, int] | None) -> None:
    rows, train = updates(60), np.arange(0, 60, 2)
    fitted = fit_features(pairs_of(tmp_path, rows), train, GradientFeatures(COLUMNS, scale))
    np.testing.assert_allclose(fitted(torch.from_numpy(rows)), naive_features(rows, train, scale), atol=2e-4, rtol=1e-4)


def test_training_features_have_mean_zero_and_deviation_one(tmp_path: Path) -> None:
    rows, train = updates(200), np.arange(100)
    fitted = fit_features(pairs_of(tmp_path, rows), train, GradientFeatures(COLUMNS, None))
    values = fitted(torch.from_numpy(rows[train]))
    constant = values.std(dim=0) == 0
    assert int(constant.sum()) == 1
    torch.testing.assert_close(values.mean(dim=0), torch.zeros(21), atol=1e-4, rtol=0)
    torch.testing.assert_close(values.std(dim=0, correction=0)[~constant], torch.ones(20), atol=1e-4, rtol=0)


def test_the_scale_of_an_update_drops_out(tmp_path: Path) -> None:
    rows = updates(30)
    fitted = fit_features(pairs_of(tmp_path, rows), np.arange(30), GradientFeatures(COLUMNS, LAST_BIAS))
    torch.testing.assert_close(
        fitted(torch.from_numpy(1000 * rows)), fitted(torch.from_numpy(rows)), atol=1e-4, rtol=1e-4
    )


def test_only_the_given_rows_enter_the_statistics(tmp_path: Path) -> None:
    """Neither held-out pairs nor victims can move them: every other row may be anything."""
    first, second = updates(40), updates(40, seed=1)
    train = np.arange(0, 40, 2)
    second[train] = first[train]
    fitted = []
    for name, rows in (("first", first), ("second", second)):
        (tmp_path / name).mkdir()
        fitted.append(fit_features(pairs_of(tmp_path / name, rows), train, GradientFeatures(COLUMNS, LAST_BIAS)))
    assert torch.equal(fitted[0].mean, fitted[1].mean)
    assert torch.equal(fitted[0].std, fitted[1].std)


def test_applying_leaves_statistics_and_argument_alone(tmp_path: Path) -> None:
    rows = updates(20)
    fitted = fit_features(pairs_of(tmp_path, rows), np.arange(10), GradientFeatures(COLUMNS, LAST_BIAS))
    mean, std, victim = fitted.mean.clone(), fitted.std.clone(), torch.from_numpy(rows[10:]) * 1e6
    kept = victim.clone()
    fitted(victim)
    assert torch.equal(fitted.mean, mean)
    assert torch.equal(fitted.std, std)
    assert torch.equal(victim, kept)


def test_each_update_is_read_on_its_own(tmp_path: Path) -> None:
    rows = torch.from_numpy(updates(20))
    fitted = fit_features(pairs_of(tmp_path, rows.numpy()), np.arange(10), GradientFeatures(COLUMNS, LAST_BIAS))
    torch.testing.assert_close(torch.cat([fitted(row[None]) for row in rows]), fitted(rows))


@pytest.mark.parametrize("budget", [1, 4 * 21 * 7, 4 * 21 * 1000])
def test_streaming_in_small_chunks_gives_the_same_statistics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    pairs, train = pairs_of(tmp_path, updates(60)), np.arange(0, 60, 2)
    whole = fit_features(pairs, train, GradientFeatures(COLUMNS, LAST_BIAS))
    monkeypatch.setattr(module, "CHUNK_BYTES", budget)
    streamed = fit_features(pairs, train, GradientFeatures(COLUMNS, LAST_BIAS))
    torch.testing.assert_close(streamed.mean, whole.mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(streamed.std, whole.std, rtol=1e-6, atol=1e-12)


def test_a_large_constant_offset_does_not_hide_a_small_spread(tmp_path: Path) -> None:
    """The one-pass variance must not cancel: deviation 1e-3 beside a mean of 1 (all rows have norm near one)."""
    rows = np.zeros((500, 21), dtype=np.float32)
    rows[:, 0] = 1.0
    rows[:, 1] = 1e-3 * np.random.default_rng(0).standard_normal(500)
    fitted = fit_features(pairs_of(tmp_path, rows), np.arange(500), GradientFeatures(COLUMNS, None))
    assert float(fitted.std[1]) == pytest.approx(float(rows[:, 1].std()), rel=1e-4)


def test_outliers_are_cut_and_a_zero_update_is_finite(tmp_path: Path) -> None:
    rows = updates(30)
    fitted = fit_features(pairs_of(tmp_path, rows), np.arange(30), GradientFeatures(COLUMNS, LAST_BIAS))
    strange = torch.stack([torch.zeros(21), torch.full((21,), 1e6)])
    strange[1, slice(*LAST_BIAS)] = 1e-3
    values = fitted(strange)
    assert values.isfinite().all()
    assert values.abs().max() == CLIP


def test_no_training_pairs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no training pairs"):
        fit_features(pairs_of(tmp_path, updates(3)), np.arange(0), GradientFeatures(COLUMNS, None))


def test_feature_hashing_equals_a_naive_loop() -> None:
    columns = layer_columns(LAYOUT, LAYERS, max_width=5, seed=0)
    rows = torch.from_numpy(updates(4))
    start = 0
    for layer in columns:
        assert layer.bins is not None
        assert layer.signs is not None
        expected = torch.zeros(4, 5)
        for position, (bin_, sign) in enumerate(zip(layer.bins.tolist(), layer.signs.tolist(), strict=True)):
            expected[:, bin_] += sign * rows[:, start + position]
        torch.testing.assert_close(layer.select(rows), expected)
        start += len(layer.bins)
    assert start == 21


def test_hashes_are_fair_fixed_and_differ_between_layers() -> None:
    layout = Layout.of([("a", torch.zeros(20_000)), ("b", torch.zeros(20_000))])
    first, second = layer_columns(layout, [("a",), ("b",)], max_width=10, seed=0)
    again = layer_columns(layout, [("a",), ("b",)], max_width=10, seed=0)[0]
    assert first.bins is not None
    assert first.signs is not None
    assert second.bins is not None
    assert again.bins is not None
    assert torch.equal(first.bins, again.bins)
    assert not torch.equal(first.bins, second.bins)
    assert set(first.signs.tolist()) == {-1.0, 1.0}
    assert abs(float(first.signs.mean())) < 0.05
    assert torch.bincount(first.bins, minlength=10).min() > 1800


def test_narrow_layers_are_not_folded() -> None:
    narrow, wide = layer_columns(LAYOUT, LAYERS, max_width=9, seed=0)
    assert (narrow.bins, narrow.width) == (None, 9)
    assert wide.bins is not None
    assert wide.width == 9


def test_columns_follow_the_names_not_the_order_of_the_row() -> None:
    (layer,) = layer_columns(LAYOUT, [("b.bias", "a.bias")], max_width=100, seed=0)
    row = torch.arange(21.0)[None]
    assert layer.select(row)[0].tolist() == [17.0, 18.0, 19.0, 20.0, 6.0, 7.0, 8.0]


OUTPUT = OutputLayer(weight=(9, 17), bias=LAST_BIAS)


@pytest.mark.parametrize("scale", [1.0, -0.01, 1e-7])
def test_the_last_layers_input_is_solved_exactly_whatever_the_scale(scale: float) -> None:
    """One image: ``G_W = d a^T``. A weight delta is a negative multiple of it, a confident model's gradient tiny."""
    d, a = torch.tensor([0.3, -0.9, 0.4, 0.2]), torch.tensor([2.0, -1.5])
    row = scale * torch.cat([torch.full((9,), 5.0), torch.outer(d, a).flatten(), d])
    torch.testing.assert_close(OUTPUT.solve(row[None])[0], a)


def test_of_a_batch_the_solved_input_is_a_weighted_mean_by_hand() -> None:
    """d = (1, 0, 0, 0) with a = (2, 0), and (0, 1, 0, 0) with (0, 4), averaged: weights 1/2 and 1/2."""
    weight = torch.tensor([[2.0, 0.0], [0.0, 4.0], [0.0, 0.0], [0.0, 0.0]]) / 2
    row = torch.cat([torch.zeros(9), weight.flatten(), torch.tensor([0.5, 0.5, 0.0, 0.0])])
    assert OUTPUT.solve(row[None]).tolist() == [[1.0, 2.0]]


def test_a_zero_gradient_solves_to_zero() -> None:
    assert OUTPUT.solve(torch.zeros(1, 21)).tolist() == [[0.0, 0.0]]


def test_the_solved_input_comes_last_and_is_not_scaled() -> None:
    rows = torch.from_numpy(updates(5))
    raw = GradientFeatures(COLUMNS, LAST_BIAS, OUTPUT).raw(rows)
    assert raw.shape == (5, 23)
    assert torch.equal(raw[:, 21:], OUTPUT.solve(rows))
    assert torch.equal(raw[:, :21], GradientFeatures(COLUMNS, LAST_BIAS).raw(rows))


def test_the_solved_input_is_what_the_leaked_model_computed(tmp_path: Path) -> None:
    leaked = architecture()
    pairs = injected_pairs(tmp_path, leaked, pairs=5)
    slots = {slot.name: (slot.start, slot.stop) for slot in pairs.layout.slots}
    model = leaked.build(seed=7)
    with torch.no_grad():
        expected = model[:-1]((pairs.read_images(np.arange(5))[:, 0] - 0.5) / 0.5)  # type: ignore[index]
    output = OutputLayer(weight=slots["7.weight"], bias=slots["7.bias"])
    torch.testing.assert_close(output.solve(pairs.read_updates(np.arange(5))), expected, atol=1e-4, rtol=1e-4)


def test_chunks_cut_rows_to_the_byte_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 4 * 10 * 3)
    assert [part.tolist() for part in chunks(np.array([5, 1, 2, 9, 4, 0, 7]), 10)] == [[5, 1, 2], [9, 4, 0], [7]]
    assert [len(part) for part in chunks(np.arange(3), 10_000)] == [1, 1, 1]
