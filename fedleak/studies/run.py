"""Running a study from its file to its report."""

from __future__ import annotations

from pathlib import Path

from fedleak.errors import as_fedleak_error
from fedleak.studies.assess import assess
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.execute import Watcher, execute
from fedleak.studies.results import StudyResults
from fedleak.studies.study import Study, resolved_text


def study_directory(study: Study, out: Path | None) -> StudyDirectory:
    """``out``, or ``runs/<name>[-<budget>]``."""
    name = f"{study.name}-{study.budget}" if study.budget else study.name
    return StudyDirectory(out or Path("runs") / name)


def run_study(
    study: Study,
    directory: StudyDirectory,
    watcher: Watcher,
    *,
    jobs: int | None = None,
    address: str | None = None,
    serial: bool = False,
    retry_failed: bool = False,
    force: bool = False,
) -> StudyResults:
    """Run the unfinished cells, judge the claims, write the report.

    Args:
        study, directory, watcher, jobs, address, serial, retry_failed: as for ``execute``.
        force: remove what an earlier study left in the directory first.

    Raises:
        InputError: if the directory holds something else.
        FedleakError: if results cannot be written, such as on a full disk; finished cells are kept.
    """
    from fedleak.studies.report.build import write_study_report

    try:
        with directory.claim(resolved_text(study), force=force):
            execute(study, directory, watcher, jobs=jobs, address=address, serial=serial, retry_failed=retry_failed)
            results = assess(study, directory)
            write_study_report(directory.root)
    except OSError as error:
        raise as_fedleak_error(error) from error
    return results
