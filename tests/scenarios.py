"""Tiny scenarios for tests of the system, and ways to run them."""

from __future__ import annotations

import copy
import hashlib
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedleak.cli.app import main
from fedleak.federation.streams import Streams, stored_secret
from fedleak.progress import QuietProgress
from fedleak.run_directory import RunDirectory
from fedleak.scenario.file import load_scenario, set_path
from fedleak.scenario.schema import Scenario
from fedleak.stages.federate import federate, plan_federation, seal

RAW: dict[str, Any] = {
    "name": "tiny",
    "dataset": "digits",
    "model": {"kind": "mlp", "hidden": [6]},
    "federation": {"clients": 3, "rounds": 2, "engine": {"kind": "serial"}},
    "adversary": {"level": 5, "public_images": 60, "injection": {"pairs": 60, "rounds": [1]}},
    "attacks": [
        {"kind": "lti", "hidden": 8, "training": {"epochs": 2}},
        {"kind": "git_coarse", "hidden": 4, "training": {"epochs": 1}},
    ],
    "metrics": {"lpips": None},
    "threads": 1,
    "bootstrap_resamples": 100,
    "budgets": {"long": {"federation.rounds": 7}},
}


def tiny(**changes: Any) -> dict[str, Any]:
    """The raw scenario with changes; ``federation__rounds=3`` sets ``federation.rounds``."""
    raw = copy.deepcopy(RAW)
    for path, value in changes.items():
        set_path(raw, path.replace("__", "."), value)
    return raw


def scenario(**changes: Any) -> Scenario:
    """The same, checked."""
    return load_scenario(tiny(**changes))


def write_scenario(folder: Path, **changes: Any) -> Path:
    """The same, as a file."""
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny(**changes)))
    return path


def run_federation(root: Path, checked: Scenario) -> RunDirectory:
    """The first stage of a scenario, begun or continued in ``root``."""
    run = RunDirectory(root)
    plan = plan_federation(checked, run)
    with run.claim(checked, force=False):
        if plan is not None:
            federate(plan, run, QuietProgress())
        else:
            seal(run)
    return run


def streams(root: Path) -> Streams:
    """The roots of the random streams of a run in ``root``."""
    secret = stored_secret(root / "truth")
    assert secret is not None
    return Streams(secret)


def tree(folder: Path) -> dict[str, str]:
    """Relative name -> SHA-256 of every file below ``folder``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """Lines of standard error that are error messages."""
        return [line.removeprefix("error: ") for line in self.err.splitlines() if line.startswith("error: ")]


def command(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Outcome:
    """``fedleak ARGUMENTS`` in this process."""
    handler = signal.getsignal(signal.SIGTERM)
    capsys.readouterr()
    try:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
    finally:
        signal.signal(signal.SIGTERM, handler)
    captured = capsys.readouterr()
    code = caught.value.code
    return Outcome(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)


def set_options(overrides: Sequence[str]) -> list[str]:
    """``--set`` before each override."""
    return [part for override in overrides for part in ("--set", override)]
