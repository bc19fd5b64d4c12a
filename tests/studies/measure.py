"""What a study costs beside its work, on an idle machine: ``python -m tests.studies.measure``; prints one JSON object.

- ``parallel``: wall time of forty cells on digits with two workers over that with one, each with Ray's start.
- ``overhead_seconds``: per cell, of a study in one process, beyond its cells' and federations' own time.
- ``report_seconds``, ``report_mib``: wall time and peak memory of the command on a study of a thousand finished cells.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedleak.cli.live import QuietWatcher
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.records import load_cell, save_cell
from fedleak.studies.run import run_study
from fedleak.studies.study import Study, load_study, resolved_text
from fedleak.studies.work import UnitOutcome
from tests.studies.builders import write_study

FORTY = {"adversary.injection.pairs": [300, 400], "attacks.lti.hidden": list(range(64, 84))}
THOUSAND = {"attacks.lti.hidden": list(range(4, 1004))}
ATTACKS = [{"kind": "lti", "hidden": 8, "training": {"epochs": 150, "patience": 150}}]
QUICK_ATTACKS = [{"kind": "lti", "hidden": 8, "training": {"epochs": 1}}]


def main() -> None:
    """Measure all of it in a folder that is then removed."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        large = {"matrix": FORTY, "attacks": ATTACKS, "adversary": _adversary(pairs=400)}
        one, two = (_timed(write_study(root, **large), root / f"jobs-{n}", "--jobs", str(n)) for n in (1, 2))
        facts = {
            "cpus": os.cpu_count(),
            "jobs_1_seconds": one,
            "jobs_2_seconds": two,
            "parallel": two / one,
            "overhead_seconds": _overhead(load_study(write_study(root, **large)), root / "serial"),
            **_report(root),
        }
        sys.stdout.write(json.dumps({name: round(value, 3) for name, value in facts.items() if value}) + "\n")


def _adversary(*, pairs: int) -> dict[str, Any]:
    return {"level": 5, "public_images": pairs, "injection": {"pairs": pairs, "rounds": [1]}}


def _command(file: Path, out: Path, *options: str) -> Sequence[str]:
    return [sys.executable, "-m", "fedleak", "study", str(file), "--out", str(out), "--quiet", *options]


def _timed(file: Path, out: Path, *options: str) -> float:
    """Wall time of a study with nothing in the cache."""
    os.environ["FEDLEAK_CACHE"] = str(out.with_name(f"{out.name}-cache"))
    begin = time.perf_counter()
    subprocess.run(_command(file, out, *options), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


class _Clock(QuietWatcher):
    """Adds up what the units took."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def ended(self, outcome: UnitOutcome, *, again: bool) -> None:
        self.seconds += outcome.seconds


def _overhead(study: Study, out: Path) -> float:
    os.environ["FEDLEAK_CACHE"] = str(out.with_name("serial-cache"))
    clock = _Clock()
    begin = time.perf_counter()
    run_study(study, StudyDirectory(out), clock, serial=True)
    return (time.perf_counter() - begin - clock.seconds) / len(study.keys)


def _report(root: Path) -> dict[str, float]:
    """One cell is run, and stands for a thousand."""
    blocks = {"attacks": QUICK_ATTACKS, "claims": [], "figure": {"metric": "mse", "along": "hidden"}}
    file, out = write_study(root, matrix=THOUSAND, **blocks), root / "thousand"
    study, directory = load_study(file), StudyDirectory(out)
    single = load_study(write_study(root, matrix={"attacks.lti.hidden": [4]}, **blocks))
    run_study(single, directory, QuietWatcher(), serial=True)
    (done,) = single.keys
    record = load_cell(directory.cell(done).root)
    if record is None:
        raise RuntimeError("the cell that was to be copied failed")
    for key in study.keys:
        if key != done:
            shutil.copytree(directory.cell(done).root, directory.cell(key).root, symlinks=True)
            save_cell(directory.cell(key).root, record.model_copy(update={"key": key}))
    with directory.claim(resolved_text(study)):
        pass
    begin = time.perf_counter()
    command = _command(write_study(root, matrix=THOUSAND, **blocks), out, "--serial")
    measured = subprocess.run(
        [sys.executable, "-c", _PEAK, *command],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = re.search(r"peak (\d+)", measured.stderr)
    return {"report_seconds": time.perf_counter() - begin, "report_mib": float(peak.group(1)) / 1024 if peak else 0.0}


_PEAK = (
    "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode;"
    "sys.stderr.write(f'peak {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}'); sys.exit(code)"
)


if __name__ == "__main__":
    main()
