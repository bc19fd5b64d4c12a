"""The run directory: its files, its lock, and the content hashes that identify finished work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedleak.errors import InputError
from fedleak.locks import sole_lock
from fedleak.records import write_atomically
from fedleak.results.running import RUNNING_JSON
from fedleak.scenario.file import load_scenario, to_yaml
from fedleak.scenario.schema import Scenario
from fedleak.tasks.classification import CLASSIFICATION
from fedleak.threat import CAPABILITIES
from fedleak.transcript.manifest import VERSION, digest_of

SCENARIO = "scenario.yaml"
LOCK = ".lock"
RECORDING = "recording"
"""Folder of the messages of a Flower app, from which the run was made; nothing removes it."""
ERRORS = "errors.log"
INPUTS = "inputs.json"
"""Hashes of the code and files that the federation depended on."""
OWN_FILES = (ERRORS, INPUTS, RUNNING_JSON, "environment.json", "results.json", "results.csv", "report.html")
OWN_FOLDERS = ("transcript", "truth", "attacks", "pictures")


@dataclass(frozen=True)
class RunDirectory:
    """The files of one run."""

    root: Path

    @property
    def transcript(self) -> Path:
        """Folder of what the adversary observed."""
        return self.root / "transcript"

    @property
    def truth(self) -> Path:
        """Folder of the ground truth, which the adversary never sees."""
        return self.root / "truth"

    @property
    def attacks(self) -> Path:
        """One folder per attack."""
        return self.root / "attacks"

    @property
    def errors(self) -> Path:
        """Tracebacks of attacks, label inferences and metrics that failed unexpectedly, for their authors."""
        return self.root / ERRORS

    def scenario(self, *, overrides: Sequence[str] = ()) -> Scenario:
        """The resolved scenario of the run, with ``path=value`` overrides.

        Raises:
            InputError: if this is not a run directory, or an override is wrong.
        """
        path = self.root / SCENARIO
        if not path.is_file():
            raise InputError("RUN_DIR", str(self.root), "not a fedleak run directory (scenario.yaml is missing)")
        return load_scenario(path, overrides=overrides)

    def check(self, scenario: Scenario, *, force: bool) -> None:
        """Check that ``scenario`` may be run here; write nothing.

        Raises:
            InputError: if the directory holds another run, or files that are not fedleak's.
        """
        if self.root.exists() and not self.root.is_dir():
            raise InputError("--out", str(self.root), "it is a file; expected a directory")
        present = {path.name for path in self.root.iterdir()} if self.root.exists() else set()
        foreign = sorted(name for name in present if not _harmless(name))
        if foreign and SCENARIO not in present:
            raise InputError("--out", str(self.root), f"it holds other files ({foreign[0]}); choose another")
        if SCENARIO in present and not force and not self._same(scenario):
            raise InputError("--out", str(self.root), "it holds a run of another scenario; --force replaces it")

    @contextmanager
    def claim(self, scenario: Scenario, *, force: bool) -> Iterator[None]:
        """Lock the directory for ``scenario`` inside the block; ``force`` removes the files of an earlier run.

        Raises:
            InputError: as ``check`` and ``lock``.
        """
        self.check(scenario, force=force)
        with self.lock():
            if force:
                self.clear()
            self.store(scenario)
            yield

    def store(self, scenario: Scenario) -> None:
        """Write the resolved scenario."""
        write_atomically(self.root / SCENARIO, to_yaml(scenario))

    def _same(self, scenario: Scenario) -> bool:
        try:
            return scenario_fingerprint(self.scenario()) == scenario_fingerprint(scenario)
        except InputError:
            return False

    def clear(self) -> None:
        """Remove the files that fedleak wrote and no others; the scenario, which marks a run, is removed last."""
        for name in OWN_FOLDERS:
            shutil.rmtree(self.root / name, ignore_errors=True)
        for name in (*OWN_FILES, SCENARIO):
            (self.root / name).unlink(missing_ok=True)

    @contextmanager
    def lock(self, *, recorded: bool = False) -> Iterator[None]:
        """Keep other fedleak processes out of the directory inside the block, which may write and delete there.

        Args:
            recorded: the block only reads transcript and truth, which may then be links, as in the cells of a study.

        Raises:
            InputError: if another process is already working there, or anything in it is a symbolic link.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        refuse_links(self.root, but={self.transcript, self.truth} if recorded else set())
        with sole_lock(self.root / LOCK, option="RUN_DIR"):
            yield


def refuse_links(root: Path, *, but: Set[Path] = frozenset()) -> None:
    """Refuse symbolic links below a directory in which fedleak writes and deletes; ``root`` itself may be one.

    A run directory may come from somebody else, and what is written through a link ends up outside of it.

    Raises:
        InputError: naming the first link that is not in ``but``.
    """
    for folder, folders, files in os.walk(root):
        for name in sorted([*folders, *files]):
            path = Path(folder, name)
            if path.is_symlink() and path not in but:
                allowed = f"a link to {os.readlink(path)}; fedleak writes nothing through links: remove it"
                raise InputError("RUN_DIR", str(path), allowed)


def _harmless(name: str) -> bool:
    """Whether a file may exist in a directory without a run: the lock, a recording, or a half-written scenario."""
    return name in (LOCK, RECORDING) or name.startswith(f".{SCENARIO}.")


def federation_fingerprint(scenario: Scenario) -> str:
    """Content hash of everything that a transcript depends on."""
    raw = scenario.model_dump(mode="json", include={"seed", "dataset", "model", "federation", "adversary"})
    if scenario.task != CLASSIFICATION:  # runs recorded before tasks existed keep their fingerprint
        raw["task"] = scenario.task.model_dump(mode="json")
    _drop_defaults(raw["federation"])
    for key in ("level", "grants", "label_inference"):
        raw["adversary"].pop(key)
    recorded = sorted(name for name in scenario.adversary.granted if CAPABILITIES[name].by_name)
    extra = {"recorded": recorded} if recorded else {}  # other grants do not change a transcript
    return digest_of({"transcript": VERSION, **extra, **raw})


def _drop_defaults(federation: dict[str, Any]) -> None:
    """Remove the engine, which changes no result but by its data, and settings that older scenarios lack, if unused."""
    if federation.pop("engine")["data"] == "own":
        federation["data"] = "own"
    if federation["randomness"] == "repeatable":
        federation.pop("randomness")


def scenario_fingerprint(scenario: Scenario) -> str:
    """Content hash of a whole scenario, without the engine."""
    raw = scenario.model_dump(mode="json", exclude={"budgets", "budget", "description"})
    if scenario.task != CLASSIFICATION:  # runs recorded before tasks existed keep their fingerprint
        raw["task"] = scenario.task.model_dump(mode="json")
    _drop_defaults(raw["federation"])
    raw["metrics"] = {n: value for n, value in raw["metrics"].items() if type(scenario.metrics).leaves_trace(n, value)}
    for name in ("analyses", "theory"):  # as for metrics: unused settings do not change the hash
        if not raw[name]:
            raw.pop(name)
    return digest_of(raw)
