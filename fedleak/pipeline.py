"""The stages of a run in order: federate, attack, score, report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedleak.attacks.base import Attack
from fedleak.errors import FedleakError, InputError
from fedleak.progress import Progress, notebook_progress
from fedleak.results.schema import Results
from fedleak.run_directory import RunDirectory, federation_fingerprint, scenario_fingerprint
from fedleak.run_results import RunResults
from fedleak.scenario.file import load_scenario
from fedleak.scenario.schema import Scenario, default_run_directory
from fedleak.scenario.shipped import find_scenario
from fedleak.session_kinds import is_only_here, written
from fedleak.transcript.manifest import load_manifest

ISOLATION = "FEDLEAK_ISOLATION"
"""Environment variable: ``off`` runs attacks in the process of the command, for debuggers."""


def open_run(scenario: Scenario, out: Path | None) -> RunDirectory:
    """The run directory of a scenario: ``out``, or ``runs/<name>-<hash>``."""
    return RunDirectory(out or default_run_directory(scenario, scenario_fingerprint(scenario)))


def run_scenario(
    scenario: Scenario, *, out: Path | None, force: bool, progress: Progress
) -> tuple[RunDirectory, Results]:
    """Federate, attack, score, report. Finished work is reused; an interrupted run continues where it stopped."""
    from fedleak.stages.attack.device import choose_device

    choose_device(scenario.device)
    run = open_run(scenario, out)
    federate_scenario(scenario, run, force=force, progress=progress)
    if not run.truth.is_dir():
        raise FedleakError(f"{run.truth} is missing")
    return run, attack_run(run, progress=progress)


def federate_scenario(scenario: Scenario, run: RunDirectory, *, force: bool, progress: Progress) -> None:
    """Run the first stage alone, in a new or matching run directory.

    Scenario, data and machine are checked before anything is written.
    """
    from fedleak.stages.federate import federate, plan_federation, seal

    run.check(scenario, force=force)
    progress.say("federation: loading and partitioning the data")
    plan = plan_federation(scenario, run, again=force)
    if plan is None:
        progress.say("federation: already done, transcript reused")
    with run.claim(scenario, force=force):
        if plan is not None:
            federate(plan, run, progress)
        else:
            seal(run)


def attack_run(
    run: RunDirectory, *, progress: Progress, overrides: Sequence[str] = (), isolated: bool | None = None
) -> Results:
    """Attack, score and report a run whose federation is finished.

    Args:
        run: its directory; updates without ground truth in ``truth/`` are attacked and shown, but not scored.
        overrides: ``path=value``, for attacks, metrics and device; the federation can no longer be changed.
        isolated: run the attacks in a process of their own, as all commands do unless ``FEDLEAK_ISOLATION`` is ``off``.
            In this process, whose debugger they then share, attacks can find whatever the process has opened or knows,
            such as clients' images.

    Raises:
        InputError: if the run directory has no valid transcript, or an override changes the federation.
    """
    from fedleak.stages.agreement import open_transcript
    from fedleak.stages.attack.isolated import attack_isolated
    from fedleak.stages.attack.job import AttackJob
    from fedleak.stages.attack.session import attack
    from fedleak.stages.score.score import score
    from fedleak.stages.score.truth import TruthReader

    scenario = run.scenario(overrides=overrides)
    manifest = load_manifest(run.transcript)
    if manifest.fingerprint != federation_fingerprint(scenario):
        raise InputError(
            "RUN_DIR",
            str(run.root),
            "its transcript was recorded with other federation settings; these cannot be overridden after recording",
        )
    open_transcript(scenario, run.transcript, verify=False)
    if run.truth.is_dir():
        TruthReader(run.truth).check_transcript(run.transcript)
    with run.lock(recorded=True):
        run.store(scenario)
        run.errors.unlink(missing_ok=True)
        if _isolation(scenario, progress) if isolated is None else isolated:
            attack_isolated(AttackJob.of(scenario), run, progress, private=data_folders(scenario))
        else:
            attack(AttackJob.of(scenario), run, progress)
        if not run.truth.is_dir():
            progress.say("there is no ground truth to score against: the report shows what was rebuilt")
        results = score(scenario, run, progress)
    write_report(run)
    return results


def data_folders(scenario: Scenario) -> list[Path]:
    """The folders of the data sets that clients' images may come from."""
    sources = (scenario.dataset, scenario.adversary.shift.private_source(scenario.dataset))
    return [folder for source in sources if (folder := source.folder()) is not None]


def _isolation(scenario: Scenario, progress: Progress) -> bool:
    value = os.environ.get(ISOLATION, "on")
    if value not in ("on", "off"):
        raise InputError(ISOLATION, value, "on or off")
    here = [attack.name for attack in scenario.attacks if is_only_here(type(attack))]
    if value == "on" and here:
        progress.say(
            f"{', '.join(here)}: defined in this session, so attacks run in this process, where they could find the "
            "truth; put the class into a module to have them run apart"
        )
        return False
    if value == "off":
        progress.say(f"attacks run in the process that opened the truth ({ISOLATION}=off): for debugging only")
    return value == "on"


def write_report(run: RunDirectory) -> Path:
    """Write ``report.html`` from the results of a run."""
    from fedleak.report.build import write_report as build

    return build(run.root)


def run(
    scenario: Path | str | Mapping[str, Any] | Scenario,
    *,
    overrides: Sequence[str] = (),
    budget: str | None = None,
    seed: int | None = None,
    device: str | None = None,
    out: Path | str | None = None,
    force: bool = False,
    attacks: Sequence[Attack | Mapping[str, Any] | str] | None = None,
    progress: Progress | None = None,
) -> RunResults:
    """Run a scenario from Python; the same as ``fedleak run``.

    Args:
        scenario: a YAML file, the name of a bundled scenario, a mapping with its content, or a ``Scenario``.
        overrides: ``path=value`` strings, as for ``--set``.
        budget, seed, device, out, force: as on the command line.
        attacks: attacks instead of those of the scenario: kinds, mappings with settings, or attacks of your own. If the
            class of one cannot be imported elsewhere, as in a notebook, all attacks run in this process.
        progress: where to report progress (default: a bar in a notebook, elsewhere nowhere).

    Raises:
        InputError: if the scenario is wrong; nothing has been written.
        FedleakError: if the run could not be finished.
    """
    source = find_scenario(Path(scenario)) if isinstance(scenario, str | Path) else dict(scenario)
    named = [written(each) for each in attacks] if attacks is not None else None
    loaded = load_scenario(source, overrides=overrides, budget=budget, seed=seed, device=device, attacks=named)
    with notebook_progress(progress) as shown:
        run, results = run_scenario(loaded, out=Path(out) if out is not None else None, force=force, progress=shown)
    return RunResults.of(results, run.root)
