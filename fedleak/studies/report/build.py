"""Writing a study's ``report.html``."""

from __future__ import annotations

from pathlib import Path

from fedleak.records import write_atomically
from fedleak.report.build import REPORT_HTML, render_template
from fedleak.studies.report.page import StudyPage, make_study_page
from fedleak.studies.results import StudyResults, load_study_results


def write_study_report(root: Path) -> Path:
    """Write the report of a study from its ``study.json`` and pictures, and return its path.

    Raises:
        InputError: if there is no readable ``study.json``.
    """
    path = root / REPORT_HTML
    write_atomically(path, render_study(load_study_results(root), root))
    return path


def render_study(results: StudyResults, root: Path) -> str:
    """The self-contained HTML document; it links to the cells' reports."""
    page: StudyPage = make_study_page(results, root)
    return render_template("study.html", page, package=__package__)
