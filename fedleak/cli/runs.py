"""The commands for one run: run, federate, attack, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import typer

from fedleak.cli.options import (
    BudgetOption,
    DeviceOption,
    ForceOption,
    OutOption,
    QuietOption,
    RunDir,
    ScenarioFile,
    SeedOption,
    SetOption,
    TrackOption,
)
from fedleak.cli.output import print_run, print_study, progress_on_terminal, say, starting


@dataclass(frozen=True)
class RunRequest:
    """A scenario's file, and the options of ``fedleak run``."""

    source: Path
    overrides: tuple[str, ...] = ()
    out: Path | None = None
    budget: str | None = None
    device: str | None = None
    seed: int | None = None
    force: bool = False
    track: tuple[str, ...] = ()
    quiet: bool = False


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (run, federate, attack, report):
        app.command()(command)


def run(
    scenario: ScenarioFile,
    set_: SetOption = None,
    out: OutOption = None,
    budget: BudgetOption = None,
    device: DeviceOption = None,
    seed: SeedOption = None,
    force: ForceOption = False,
    track: TrackOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run a scenario from the federation to the report; the same command continues a killed run.

    SCENARIO is a YAML file, the name of a shipped scenario, or the directory of a run to continue. A study is run as by
    'fedleak study'.
    """
    with starting(f"run {scenario}", quiet=quiet):
        from fedleak.cli.places import source_of
        from fedleak.scenario.reader import read_yaml
        from fedleak.studies.study import is_study

        source, out = source_of(scenario, out, option="SCENARIO")
        takes_study = is_study(read_yaml(source))
    request = RunRequest(source, tuple(set_ or ()), out, budget, device, seed, force, tuple(track or ()), quiet)
    if takes_study:
        from fedleak.cli.studies import StudyRequest, leave, run_study_file

        leave(run_study_file(StudyRequest.of(request)))
    else:
        run_scenario_file(request)


def run_scenario_file(request: RunRequest) -> None:
    """Run a scenario, print its results, log it."""
    from fedleak.pipeline import run_scenario
    from fedleak.scenario.file import load_scenario
    from fedleak.trackers.session import chosen_trackers, log_finished

    trackers = chosen_trackers(request.track)
    loaded = load_scenario(
        request.source,
        overrides=request.overrides,
        budget=request.budget,
        seed=request.seed,
        device=request.device,
    )
    with progress_on_terminal(quiet=request.quiet) as progress:
        directory, _ = run_scenario(loaded, out=request.out, force=request.force, progress=progress)
    print_run(directory.root, quiet=request.quiet)
    log_finished(directory.root, trackers)


def federate(
    scenario: ScenarioFile,
    set_: SetOption = None,
    out: OutOption = None,
    budget: BudgetOption = None,
    seed: SeedOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run only the federation and record what the adversary observes.

    SCENARIO is a YAML file, the name of a shipped scenario, or the directory of a run to continue.
    """
    with starting(f"federation of {scenario}", quiet=quiet):
        from fedleak.cli.places import source_of
        from fedleak.pipeline import federate_scenario, open_run
        from fedleak.scenario.file import load_scenario

        source, out = source_of(scenario, out, option="SCENARIO")
        loaded = load_scenario(source, overrides=set_ or (), budget=budget, seed=seed)
        directory = open_run(loaded, out)
    with progress_on_terminal(quiet=quiet) as progress:
        federate_scenario(loaded, directory, force=force, progress=progress)
    say(directory.transcript if quiet else f"transcript: {directory.transcript}")


def attack(
    run_dir: RunDir,
    set_: SetOption = None,
    device: DeviceOption = None,
    track: TrackOption = None,
    quiet: QuietOption = False,
) -> None:
    """Attack a recorded federation, score the attacks and write the report; needs neither Flower nor Ray.

    RUN_DIR is the directory of a run, or of a federation that 'fedleak federate' recorded.
    """
    with starting(f"attacks on {run_dir}", quiet=quiet):
        from fedleak.cli.places import check_run
        from fedleak.pipeline import attack_run
        from fedleak.run_directory import RunDirectory
        from fedleak.trackers.session import chosen_trackers, log_finished

        check_run(run_dir, finished=False)
        trackers = chosen_trackers(track or ())
        overrides = [*(set_ or ()), *([f"device={device}"] if device else [])]
    with progress_on_terminal(quiet=quiet) as progress:
        attack_run(RunDirectory(run_dir), overrides=overrides, progress=progress)
    print_run(run_dir, quiet=quiet)
    log_finished(run_dir, trackers)


def report(directory: RunDir, quiet: QuietOption = False) -> None:
    """Rewrite the HTML report of a finished run or study and print its table.

    RUN_DIR is the directory of the run or study.
    """
    from fedleak.cli.places import check_run, check_study, what_is
    from fedleak.pipeline import write_report
    from fedleak.run_directory import RunDirectory

    if what_is(directory) == "study":
        from fedleak.studies.report.build import write_study_report
        from fedleak.studies.results import load_study_results

        check_study(directory)
        write_study_report(directory)
        print_study(load_study_results(directory), directory, quiet=quiet)
        return
    check_run(directory, finished=True)
    write_report(RunDirectory(directory))
    print_run(directory, quiet=quiet)
