"""The ledger: one file for every study run that is kept. Files are added, never changed. Torch-free."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from fedleak.errors import InputError
from fedleak.records import Record, naming, read_json
from fedleak.results.schema import Interval
from fedleak.studies.claims.base import Claim, ClaimCheck, VerdictState
from fedleak.studies.matrix import Point
from fedleak.studies.records import PrivacySpent

FOLDER = "results"
"""Folder of the ledger in the folder of a paper; below it is one folder for each study."""
WITHDRAWN = ".withdrawn.json"
METHOD = (
    "Intervals of 95 % by Student's t over seeds or updates, binomial for accuracies. Claims about leakage are judged "
    "only where an attack beats the baselines. P-values are corrected for the number of claims of the study (Holm)."
)
"""How intervals and verdicts are made today."""
Day = r"^\d{4}-\d\d-\d\d$"
Moment = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$"


class Machine(Record):
    """Hardware of a run, without its name."""

    cores: int
    memory_gib: float | None
    gpus: tuple[str, ...] = ()


class LedgerVerdict(Record):
    """A verdict with the claim that it judges.

    Attributes:
        claim: all settings of the claim; None where they are not known.
        digest: content hash of the claim, by which one that changed is told from one that did not.
    """

    statement: str
    state: VerdictState
    claim: dict[str, Any] | None
    digest: str | None
    p: float | None = None
    adjusted_p: float | None = None
    reason: str = ""
    checks: tuple[ClaimCheck, ...] = ()


class LedgerLine(Record):
    """Scores of one attack or baseline at one point, over all seeds; None is what is not known."""

    point: Point
    attack: str
    is_baseline: bool = False
    adaptive: bool | None = None
    images: int | None = None
    seeds: int | None = None
    failures: int | None = None
    privacy: PrivacySpent | None = None
    metrics: dict[str, Interval]
    published: dict[str, float] = {}


class LedgerCell(Record):
    """One cell: a point and a seed, with the scores of every attack and baseline."""

    point: Point
    seed: int
    status: Literal["ok", "failed", "waiting"]
    seconds: float | None = None
    commit: str | None = None
    accuracy: float | None = None
    """Test accuracy of the global model after the last round."""
    scores: dict[str, dict[str, Interval]] = {}
    """Attack -> metric -> mean over the images of the cell."""


class LedgerEntry(Record):
    """One study run that is kept.

    Attributes:
        source: ``run`` if a command made it of a study's directory; ``history`` if it was entered by hand from the
            commits that documented the run. What these do not say is None.
        date: of the last cell (UTC); of the commit that documented it, if from history.
        finished: the same to the second, by which entries of one day are sorted.
        commit: of the code of the last cell; of the documentation, if from history.
        judged_by: commit of the code that judged the claims.
        method: how intervals and verdicts were made.
        settings: the study as it was run, its budget and overrides applied; paths are replaced.
        cell_seconds: time of all cells without their federations.
        metrics: metrics of the table.
    """

    format: Literal["fedleak-ledger"] = "fedleak-ledger"
    version: Literal[1] = 1
    source: Literal["run", "history"]
    study: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*$")
    budget: str | None
    date: str = Field(pattern=Day)
    finished: str | None = Field(None, pattern=Moment)
    commit: str | None = Field(pattern=r"^[\w.-]+$")
    commits: tuple[str, ...] = ()
    judged_by: str | None = None
    fedleak: str | None
    method: str
    settings: dict[str, Any] | None
    seeds: tuple[int, ...] | None
    machines: tuple[Machine, ...] | None
    cell_seconds: float | None
    duration: str | None = None
    """How long it took, in the words of the documentation; only from history."""
    metrics: tuple[str, ...]
    published_source: str = ""
    verdicts: tuple[LedgerVerdict, ...]
    lines: tuple[LedgerLine, ...]
    round_lines: tuple[LedgerLine, ...] = ()
    cells: tuple[LedgerCell, ...] | None
    notes: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """``<date>-<budget>-<commit>.json``."""
        budget = re.sub(r"[^\w.-]+", "_", self.budget or "default")
        return f"{self.date}-{budget}-{self.commit or 'unknown'}.json"


class Withdrawal(Record):
    """Why an entry no longer counts; it stays in its file."""

    format: Literal["fedleak-withdrawal"] = "fedleak-withdrawal"
    version: Literal[1] = 1
    date: str = Field(pattern=Day)
    reason: str = Field(min_length=1)


@dataclass(frozen=True)
class KeptRun:
    """An entry with the file that holds it."""

    path: Path
    entry: LedgerEntry
    withdrawal: Withdrawal | None = None


def claim_settings(claim: Claim) -> dict[str, Any]:
    """All settings of a claim, as JSON values."""
    return claim.model_dump(mode="json")


def claim_digest(claim: Claim) -> str:
    """Content hash of a claim, of its words, too; settings that are as by default do not count."""
    written = {"kind": claim.kind, **claim.model_dump(mode="json", exclude_defaults=True)}
    canonical = json.dumps(written, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def add_entry(folder: Path, entry: LedgerEntry) -> Path:
    """Add an entry to the ledger of a paper's folder, and return its file.

    Raises:
        InputError: if there is a file for that study, date, budget and commit already.
    """
    path = folder / FOLDER / entry.study / entry.file_name
    known = entry.model_dump(mode="json", exclude_defaults=True)
    content = {"format": entry.format, "version": entry.version, **known}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    _add(path, text, option="STUDY_DIR")
    return path


def withdraw(path: Path, reason: str) -> Path:
    """Say beside an entry that it no longer counts, and return the new file.

    Raises:
        InputError: if there is no such entry, it is withdrawn already, or no reason is given.
    """
    if path.name.endswith(WITHDRAWN):
        raise InputError("FILE", str(path), "it is a withdrawal; expected the file of an entry")
    load_entry(path)
    if not reason.strip():
        raise InputError("--reason", reason, "expected why the run no longer counts")
    beside = path.with_name(path.stem + WITHDRAWN)
    withdrawal = Withdrawal(date=datetime.now(UTC).date().isoformat(), reason=reason.strip())
    _add(beside, withdrawal.model_dump_json(indent=1) + "\n", option="FILE")
    return beside


def _add(path: Path, text: str, *, option: str) -> None:
    """Write a file that must not exist."""
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        reason = "it is in the ledger already, whose files are added and never changed; withdraw it if it is wrong"
        raise InputError(option, str(path), reason) from None


def load_entry(path: Path) -> LedgerEntry:
    """Read an entry.

    Raises:
        InputError: if the file is missing or no entry, or its name is not that of its content.
    """
    entry: LedgerEntry = _load(path, LedgerEntry)
    if path.name != entry.file_name or path.resolve().parent.name != entry.study:
        raise InputError("FILE", str(path), f"its content belongs to {entry.study}/{entry.file_name}")
    return entry


def load_ledger(folder: Path) -> Iterator[KeptRun]:
    """All entries of a paper's folder, by study and date.

    Raises:
        InputError: if a file is no entry, or a withdrawal has no entry.
    """
    found = sorted((folder / FOLDER).glob("*/*.json"))
    entries = [path for path in found if not path.name.endswith(WITHDRAWN)]
    withdrawn = {path for path in found if path.name.endswith(WITHDRAWN)}
    for path in entries:
        beside = path.with_name(path.stem + WITHDRAWN)
        yield KeptRun(path, load_entry(path), _load(beside, Withdrawal) if beside in withdrawn else None)
        withdrawn.discard(beside)
    if withdrawn:
        raise InputError(
            "FOLDER", str(min(withdrawn)), "it withdraws an entry that is not there; files are never removed"
        )


def _load(path: Path, kind: type[Any]) -> Any:
    try:
        return kind.model_validate(read_json(path))
    except FileNotFoundError:
        raise InputError("FILE", str(path), "there is no such file") from None
    except (OSError, ValueError, ValidationError) as error:
        reason = f"it is no readable file of the ledger ({str(error).splitlines()[0]})"
        raise InputError("FILE", str(path), reason) from error
