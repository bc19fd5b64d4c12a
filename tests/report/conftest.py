"""A run that never happened, in numbers and pictures that look as if it had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fedleak.report.build import write_report
from fedleak.results.schema import (
    PICTURES,
    AttackSummary,
    CapabilityNote,
    FederationRound,
    Interval,
    Picture,
    ResultRow,
    Results,
    RoundSummary,
    save_results,
)

LEVELS = {"git_coarse": 0.012, "git_exact": 0.017, "lti": 0.024}
BASELINES = {"baseline_nearest_class": 0.050, "baseline_mean_image": 0.066, "baseline_random_image": 0.131}
GRANTS = (
    ("shared_update", 0, "The tensors that one client sent in one round."),
    ("global_model", 0, "Parameters and buffers that the server broadcast in the round of the update."),
    ("public_data", 2, "The adversary's own images and labels."),
    ("injected_pairs", 5, "Input-update pairs from the one client whose channel the adversary controls."),
    ("inferred_labels", None, "Labels that an inference attack read off the update."),
)
PER_RANK = 6
LPIPS_NOTE = "lpips is absent: AlexNet's weights could not be fetched; name a local file in metrics.lpips.backbone"
SCENARIO: dict[str, object] = {
    "name": "digits-git",
    "seed": 0,
    "dataset": {"kind": "digits"},
    "model": {"kind": "lenet"},
    "federation": {"clients": 6, "rounds": 10, "partition": {"kind": "dirichlet", "alpha": 0.5}},
    "attacks": [{"kind": kind, "epochs": 60} for kind in LEVELS],
}


def interval(values: list[float]) -> Interval:
    """Mean with two standard errors; enough for a picture of a bootstrap interval."""
    half = 1.96 * float(np.std(values)) / len(values) ** 0.5
    mean = float(np.mean(values))
    return Interval(mean=mean, low=mean - half, high=mean + half) if len(values) > 1 else Interval(mean=mean)


def make_rows(attack: str, level: float, *, rounds: int, seed: int) -> list[ResultRow]:
    """Four victims, one image a round, harder to rebuild as the model learns (unless it is a baseline)."""
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(1, rounds + 1):
        drift = 1.0 if attack in BASELINES else 0.7 + 0.6 * number / rounds
        for victim in range(1, 5):
            mse = float(level * drift * draw.lognormal(-0.1, 0.45))
            metrics = {
                "mse": mse,
                "psnr": float(-10 * np.log10(mse)),
                "ssim": float(np.exp(-14 * mse)),
                "lpips": None,
            }
            row = {
                "victim": victim,
                "round": number,
                "image": 0,
                "label_true": 3,
                "label_guess": 3,
                "seconds": 0.004,
            }
            rows.append(ResultRow(attack=attack, kind=attack, metrics=metrics, **row))
    return rows


def means(rows: list[ResultRow]) -> dict[str, Interval]:
    """Interval of every metric but the absent LPIPS."""
    return {n: interval([float(row.metrics[n] or 0) for row in rows]) for n in ("mse", "psnr", "ssim")} if rows else {}


def write_pictures(folder: Path, attack: str, rows: list[ResultRow], *, side: int) -> tuple[Picture, ...]:
    """Best, median and worst rows as PNG files: rings, and the same with noise."""
    folder.mkdir(parents=True, exist_ok=True)
    ordered = sorted(rows, key=lambda row: row.metrics["mse"] or 0)
    pictures = []
    count = min(PER_RANK, -(-len(ordered) // 3))
    middle = (len(ordered) - count) // 2
    ranked = {"best": ordered[:count], "median": ordered[middle : middle + count], "worst": ordered[-count:]}
    for rank, row in ((rank, row) for rank, some in ranked.items() for row in some):
        y, x = np.mgrid[0:side, 0:side] / side
        centre = 0.3 + 0.1 * row.victim
        image = np.clip(1.3 * np.exp(-30 * (np.hypot(x - centre, y - 0.5) - 0.25) ** 2), 0, 1)
        draw = np.random.default_rng(row.round * 10 + row.victim)
        noisy = np.clip(image + draw.normal(0, (row.metrics["mse"] or 0) ** 0.5, image.shape), 0, 1)
        names = (f"original-{row.round}-{row.victim}.png", f"{attack}-{row.round}-{row.victim}.png")
        for name, array in zip(names, (image, noisy), strict=True):
            Image.fromarray((array * 255).astype(np.uint8)).save(folder / name)
        place = {"victim": row.victim, "round": row.round, "image": row.image or 0, "metrics": row.metrics}
        pictures.append(Picture(rank=rank, original=names[0], reconstruction=names[1], **place))
    return tuple(pictures)


def make_summary(folder: Path, attack: str, level: float, *, rounds: int, seed: int, side: int) -> Any:
    """One attack or baseline and its rows."""
    rows = make_rows(attack, level, rounds=rounds, seed=seed)
    is_baseline = attack in BASELINES
    by_round = [[row for row in rows if row.round == number] for number in range(1, rounds + 1)]
    steps = np.arange(60)
    curves = {"train": (0.09 * np.exp(-steps / 9) + level * 0.6).tolist()}
    curves["held_out"] = (0.09 * np.exp(-steps / 8) + level + steps * 2e-5).tolist()
    learnt: dict[str, Any] = {"training_seconds": 41.7 + seed, "parameters": 1_230_000, "curves": curves}
    learnt |= {"peak_memory_bytes": 310 << 20, "label_accuracy": 0.975, "label_source": "inferred"}
    learnt |= {"seconds_per_reconstruction": 0.0042, "training_cached": seed == 1}
    learnt["rounds"] = tuple(RoundSummary(round=part[0].round, metrics=means(part)) for part in by_round)
    learnt["pictures"] = write_pictures(folder, f"a{seed}", rows, side=side)
    summary = AttackSummary(
        attack=attack,
        kind=attack,
        is_baseline=is_baseline,
        description="" if is_baseline else "A generator that turns updates into images (Author & Author 2025).",
        images=len(rows),
        metrics=means(rows),
        **({} if is_baseline else learnt),
    )
    return summary, rows


def build_results(run: Path, *, levels: dict[str, float] | None = None, rounds: int = 10, side: int = 8) -> Results:
    """Realistic results; the pictures are written below ``run/pictures``."""
    names = {**(LEVELS if levels is None else levels), **BASELINES}
    made = [
        make_summary(run / PICTURES, name, level, rounds=rounds, seed=i, side=side)
        for i, (name, level) in enumerate(names.items())
    ]
    attacks = tuple(name for name in names if name not in BASELINES)
    federation = [
        FederationRound(round=r, accuracy=0.93 - 0.8 * float(np.exp(-r / 3)), loss=2.3 / r)
        for r in range(1, rounds + 1)
    ]
    return Results(
        fingerprint="3f9c1b7a2d",
        name="digits-git",
        description="Generators trained on input-update pairs rebuild digits from FedSGD gradients.",
        scenario=SCENARIO,
        environment={"python": "3.11.9", "device": "cpu", "packages": {"torch": "2.11.0", "flwr": "1.41.0"}},
        protocol="fedsgd",
        compromised=0,
        pairs=8000,
        capabilities=tuple(CapabilityNote(name=n, level=v, summary=s, used_by=attacks) for n, v, s in GRANTS),
        federation=tuple(federation),
        attacks=tuple(summary for summary, _ in made),
        higher_is_better=("psnr", "ssim"),
        withheld=(CapabilityNote(name="pixel_prior", level=1, summary="Bounds of the images.", used_by=()),),
        notes=(LPIPS_NOTE,),
        rows=tuple(row for _, rows in made for row in rows),
    )


@pytest.fixture
def make_results(tmp_path: Path) -> Callable[..., Results]:
    """``build_results`` in the test's own directory."""
    return lambda **options: build_results(tmp_path, **{"rounds": 3, **options})


@pytest.fixture
def report_of(tmp_path: Path) -> Callable[[Results], str]:
    """Save results, write their report, return its text."""

    def write(results: Results) -> str:
        save_results(tmp_path, results)
        return write_report(tmp_path).read_text("utf-8")

    return write


@pytest.fixture(scope="session")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run with saved results, not to be changed."""
    run = tmp_path_factory.mktemp("run")
    save_results(run, build_results(run, levels={"dlg": 0.01}, rounds=1))
    return run


@pytest.fixture(scope="session")
def ordinary_report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of the report of three trained attacks over three rounds."""
    run = tmp_path_factory.mktemp("run")
    save_results(run, build_results(run, rounds=3))
    return write_report(run).read_text("utf-8")
