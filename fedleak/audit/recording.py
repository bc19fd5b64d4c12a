"""A run directory made of what somebody observed of a federation that fedleak did not run."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from fedleak.audit.building import build
from fedleak.audit.described import Named, Seen, check_images, describe
from fedleak.audit.observed import Observation, ObservedFederation
from fedleak.audit.transcribing import ObservedRounds
from fedleak.errors import InputError, listed
from fedleak.progress import Progress, QuietProgress
from fedleak.run_directory import RunDirectory
from fedleak.stages.agreement import open_transcript


def write_observed_run(
    observations: Iterable[Observation],
    about: ObservedFederation,
    out: Path,
    *,
    attacks: Sequence[Mapping[str, Any]] = (),
    name: str = "audit",
    description: str = "",
    seed: int = 0,
    strict: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> RunDirectory:
    """Write scenario, transcript and, where there is any, truth; each observation is written as it comes.

    Tensors are matched by name, with or without a common prefix, or else by order and shape, which is said aloud. An
    update that holds NaN or is zero everywhere is recorded with the reason, and not attacked.

    Args:
        observations: at least one; least is read again if those of one round follow each other.
        about: the federation as a whole.
        out: a new directory.
        attacks: as in a scenario (default: gradient matching, by what is known).
        name, description, seed: of the scenario.
        strict: refuse an update that would not be attacked, instead of recording why.
        force: replace an earlier run in ``out``.
        progress: where to say how tensors were matched, and what is missing (default: nowhere).

    Returns:
        The run, ready for ``fedleak attack``.

    Raises:
        InputError: naming what was found and what is needed: tensors that do not fit the model, a missing broadcast,
            updates of several kinds, encrypted ones, or none. Nothing is left in ``out``.
    """
    check_images(about)
    model, network = build(about)
    named = Named(name, description, seed, attacks)
    run = RunDirectory(out)
    new = not out.exists()
    early, rest = _until_an_update(observations)
    seen = Seen(gradients=early[-1].returned_is == "gradient")
    try:
        with run.claim(describe(about, model, network, seen, named), force=force):
            if run.transcript.exists():
                raise InputError("--out", str(out), "it holds a finished run; --force replaces it")
            with _whole(run):
                rounds = ObservedRounds(run, about, network, strict=strict, progress=progress or QuietProgress())
                for observation in chain(early, rest):
                    rounds.add(observation)
                scenario = describe(about, model, network, rounds.seen, named)
                rounds.finish(scenario)
                run.store(scenario)
                open_transcript(scenario, run.transcript)
    except BaseException:
        if new:
            shutil.rmtree(out, ignore_errors=True)
        raise
    return run


@contextmanager
def _whole(run: RunDirectory) -> Iterator[None]:
    """Leave nothing of a run if the block fails."""
    try:
        yield
    except BaseException:
        run.clear()
        raise


def _until_an_update(observations: Iterable[Observation]) -> tuple[list[Observation], Iterator[Observation]]:
    """The observations up to the first with an update, and those after it."""
    rest, early = iter(observations), list[Observation]()
    for observation in rest:
        early.append(observation)
        if observation.returned is not None:
            return early, rest
    reasons = sorted({observation.failure or "no reply" for observation in early})
    found = f"{len(early)} without an update ({listed(reasons)})" if early else "none"
    raise InputError("updates", found, "expected at least one update of a client")
