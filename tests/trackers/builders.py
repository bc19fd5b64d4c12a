"""Finished things to log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from fedleak.results.schema import Interval
from fedleak.trackers.base import TrackedEntry


def entry(folder: Path, **changes: object) -> TrackedEntry:
    """An entry with something of everything."""
    files = (folder / "original.png", folder / "reconstruction.png")
    for level, file in enumerate(files):
        Image.new("L", (4, 3), color=200 * level).save(file)
    report = folder / "report.html"
    report.write_text("<p>a report</p>", encoding="utf-8")
    made = TrackedEntry(
        key="0123456789abcdef",
        group="a study",
        name="pairs=30, seed 0",
        report=report,
        settings={"federation.clients": 4, "model.kind": "mlp"},
        scores={"lti/mse": Interval(mean=0.25, low=0.2, high=0.3), "lti/psnr": Interval(mean=6.0)},
        curves={"lti/held_out": [0.5, 0.4, 0.3]},
        costs={"lti/training_seconds": 1.5},
        pictures={"lti/round-1-victim-1-image-0": files},
        facts={"claim 1": "reproduced: it holds"},
    )
    return replace(made, **changes)  # type: ignore[arg-type]
