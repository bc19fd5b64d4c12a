"""Everything that is wrong with a transcript, and with the scenario and the ground truth beside it, in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedleak.errors import InputError, InputErrors
from fedleak.run_directory import SCENARIO, RunDirectory
from fedleak.stages.agreement import open_transcript
from fedleak.stages.score.recorded import RecordedRun
from fedleak.transcript.manifest import MANIFEST, Manifest, file_digest, load_manifest
from fedleak.transcript.reader import TranscriptReader


@dataclass(frozen=True)
class Validation:
    """What was found.

    Attributes:
        folder: the transcript.
        problems: one line each; none if the transcript can be attacked.
        facts: what it holds, by name, as far as it could be read.
        remarks: what is no problem, and worth knowing.
    """

    folder: Path
    problems: tuple[str, ...]
    facts: dict[str, str]
    remarks: tuple[str, ...]


def validate_transcript(place: Path) -> Validation:
    """Check a transcript, or the one of a run directory together with its scenario and truth.

    Args:
        place: ``transcript/``, or the run directory that holds it.
    """
    run = RunDirectory(place) if (place / "transcript").is_dir() else None
    folder = run.transcript if run is not None else place
    try:
        manifest = load_manifest(folder)
    except InputError as error:
        return Validation(folder, _lines(error), {}, ())
    problems = [*_files(folder, manifest)] or [*_arrays(folder)]
    has_scenario = run is not None and (run.root / SCENARIO).is_file()
    if run is not None and has_scenario and not problems:
        problems += _beside(run)
    remarks = [*_unlisted(folder, manifest), *_unattacked(manifest)]
    if not has_scenario:
        remarks.append(f"no {SCENARIO} beside it: what attacks may know, and which run, is not checked")
    return Validation(folder, tuple(problems), _facts(manifest), tuple(remarks))


def _lines(error: InputError) -> tuple[str, ...]:
    return tuple(map(str, error.errors)) if isinstance(error, InputErrors) else (str(error),)


def _files(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Files that are missing or were changed."""
    for name, digest in manifest.checksums.items():
        path = folder / name
        if not path.is_file():
            yield f"{name}: the file is missing"
        elif path.resolve().is_relative_to(folder.resolve()) and file_digest(path) != digest:
            yield f"{name}: its checksum does not match; the file is damaged, or was changed after it was written"


def _arrays(folder: Path) -> Iterator[str]:
    """What the reader refuses, and updates that say ok and hold no numbers."""
    try:
        reader = TranscriptReader(folder, verify=False)
    except InputError as error:
        yield from _lines(error)
        return
    for update in reader.manifest.updates:
        values = reader.update(update.row) if update.status == "ok" else None
        if values is not None and not bool(values.isfinite().all()):
            place = f"row {update.row} (round {update.round}, client {update.client})"
            yield f"updates.npy: {place} holds NaN or infinite values, and the manifest says ok: set non_finite"


def _beside(run: RunDirectory) -> Iterator[str]:
    """Contradictions between transcript, scenario, network and truth."""
    try:
        scenario = run.scenario()
        open_transcript(scenario, run.transcript, verify=False)
        recorded = RecordedRun.open(scenario, run)
    except InputError as error:
        yield from _lines(error)
        return
    for update in recorded.scored.values():
        try:
            recorded.truth_of(update)
        except InputError as error:
            yield from _lines(error)


def _unlisted(folder: Path, manifest: Manifest) -> Iterator[str]:
    known = {MANIFEST, *manifest.checksums}
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    extra = [name for name in found if name not in known]
    if extra:
        yield f"{len(extra)} files are not listed in the manifest and are ignored, such as {extra[0]}"


def _unattacked(manifest: Manifest) -> Iterator[str]:
    for update in manifest.updates:
        if update.status != "ok":
            yield f"round {update.round}, client {update.client}: not attacked ({update.status}): {update.reason}"
        elif update.samples is None:
            yield f"round {update.round}, client {update.client}: number of images unknown, which most attacks need"
    if manifest.training.unknown:
        yield f"not known of the clients' training: {', '.join(manifest.training.unknown)}"


def _facts(manifest: Manifest) -> dict[str, str]:
    usable = sum(update.status == "ok" for update in manifest.updates)
    return {
        "format": f"{manifest.format}, version {manifest.version}",
        "protocol": manifest.protocol,
        "model": f"{manifest.model.get('path') or manifest.model.get('kind')}, {manifest.parameters.size:,} values",
        "images": f"{manifest.input_shape}, {manifest.classes} classes",
        "rounds": str(len(manifest.rounds)),
        "updates": f"{len(manifest.updates)}, {usable} usable",
        "pairs": str(manifest.pairs.count) if manifest.pairs is not None else "none",
    }
