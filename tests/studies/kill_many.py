"""Twenty random ``kill -9`` during a study of a hundred cells: ``python -m tests.studies.kill_many [KILLS] [SEED]``."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.studies.builders import write_study
from tests.studies.killing import Victim, rows

HUNDRED = {
    "matrix": {"adversary.injection.pairs": [20, 30, 40, 50, 60], "attacks.lti.hidden": list(range(4, 24))},
    "claims": [{"monotone": {"metric": "mse", "along": "pairs", "direction": "decreasing"}}],
}
LONGEST_WAIT = 4.0


def main(kills: int = 20, seed: int = 0) -> None:
    """Kill drivers and workers at random moments, continue, compare with a study that nobody disturbed."""
    choose = random.Random(seed)  # noqa: S311 - nothing secret
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["FEDLEAK_CACHE"] = str(root / "cache")
        study = write_study(root, **HUNDRED)
        victim = Victim(study, root / "killed", ("--jobs", "2"))
        began = time.monotonic()
        _kill_often(victim, kills, choose)
        code = victim.start("--retry-failed").wait()
        victim.look()
        seconds = time.monotonic() - began
        os.environ["FEDLEAK_CACHE"] = str(root / "fresh-cache")
        undisturbed = Victim(study, root / "undisturbed", ("--serial",))
        reference = undisturbed.start().wait()
        got, expected = rows(victim.out), rows(undisturbed.out)
        facts = {
            "kills": dict(victim.kills),
            "exit codes": (code, reference),
            "cells": len(victim.seen),
            "rows": len(got) - 1,
            "rows doubled": len(got) - len(set(got)),
            "rows lost": len(set(expected) - set(got)),
            "rows that differ": len(set(got) - set(expected)),
            "processes left behind": len(victim.survivors()),
            "seconds": round(seconds),
        }
    for name, value in facts.items():
        sys.stdout.write(f"{name:<24} {value}\n")
    clean = not any(facts[n] for n in ("rows doubled", "rows lost", "rows that differ", "processes left behind"))
    sys.exit(0 if clean and code == reference == 0 else 1)


def _kill_often(victim: Victim, kills: int, choose: random.Random) -> None:
    """Each time wait until the study works again, then a random while, then kill a worker or the driver."""
    while victim.kills.total() < kills:
        if victim.driver is None or victim.driver.poll() is not None:
            done = len(victim.seen)
            victim.start("--retry-failed")
            victim.wait(lambda done=done: len(victim.seen) > done)
        pause = time.monotonic() + choose.uniform(0, LONGEST_WAIT)
        victim.wait(lambda pause=pause: time.monotonic() > pause)
        if victim.driver is not None and victim.driver.poll() is None:
            if choose.random() < 0.5 or not victim.kill_worker(choose):
                victim.kill_driver()
        elif len(victim.seen) >= 100:
            sys.stdout.write("every cell was done before the kills were\n")
            return


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
