from __future__ import annotations

import io

import pytest
from rich.console import Console

from fedleak.cli.tables import results_table
from fedleak.results.schema import AttackSummary, Interval, Results


@pytest.fixture
def results() -> Results:
    def summary(attack: str, mse: float, *, is_baseline: bool) -> AttackSummary:
        return AttackSummary(
            attack=attack,
            kind=attack,
            is_baseline=is_baseline,
            description="",
            images=30,
            failures=0 if is_baseline else 2,
            metrics={"mse": Interval(mean=mse, low=mse / 2, high=2 * mse), "fft_2d": Interval(mean=0.5)},
            training_seconds=None if is_baseline else 12.34,
            training_cached=not is_baseline,
            label_accuracy=None if is_baseline else 0.75,
        )

    return Results(
        fingerprint="",
        name="demo",
        description="",
        scenario={},
        environment={},
        protocol="fedsgd",
        compromised=0,
        pairs=1,
        capabilities=(),
        federation=(),
        attacks=(summary("lti", 0.0114, is_baseline=False), summary("baseline_mean_image", 0.08, is_baseline=True)),
        higher_is_better=(),
        notes=(),
        rows=(),
    )


def shown(results: Results, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(results_table(results, width=width))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_wide_terminal_shows_intervals(results: Results) -> None:
    text = shown(results, 180)
    assert "0.0114 [0.0057, 0.0228]" in text
    assert "30 (2 failed)" in text
    assert "12.3 s (cached)" in text
    assert "75%" in text


def test_a_narrow_terminal_shows_means_only(results: Results) -> None:
    text = shown(results, 100)
    assert "0.0114" in text
    assert "[" not in text


def test_absent_metrics_are_dashes_and_further_ones_are_left_to_the_report(results: Results) -> None:
    text = shown(results, 180)
    assert "LPIPS" in text
    assert "FFT_2D" not in text
    assert text.count(" - ") >= 6  # psnr, ssim and lpips of two lines


@pytest.mark.parametrize("width", [80, 100])
def test_a_usual_terminal_shows_every_number_whole(results: Results, width: int) -> None:
    metrics = {name: Interval(mean=12.3456) for name in ("mse", "psnr", "ssim", "lpips")}
    filled = tuple(
        each.model_copy(update={"metrics": metrics, "seconds_per_reconstruction": 600.0}) for each in results.attacks
    )
    text = shown(results.model_copy(update={"attacks": filled}), width)
    assert "…" not in text
    assert text.count("12.3456") == 6
    assert text.count("10 min 0 s") == 2
    assert "LPIPS" in text
    assert "LPIPS" not in shown(results, width), "no attack has it"


def test_times_are_in_units_that_people_read(results: Results) -> None:
    first, baseline = results.attacks
    slow = first.model_copy(update={"seconds_per_reconstruction": 90.671, "training_seconds": 4000.0})
    text = shown(results.model_copy(update={"attacks": (slow, baseline)}), 180)
    assert "90.7 s" in text
    assert "1 h 6 min" in text


def test_the_caption_names_bytes_and_privacy(results: Results) -> None:
    private = {"encoded_bytes": 1234.0, "epsilon": float("inf"), "delta": 1e-5, "privacy_unit": "example"}
    text = shown(results.model_copy(update=private), 180)
    assert "1,234 bytes per update; ε infinite at δ 1e-05, example" in text
