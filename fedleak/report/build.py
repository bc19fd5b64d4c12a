"""Writing ``report.html``."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fedleak.report.page import Page, make_page
from fedleak.results.schema import load_results

REPORT_HTML = "report.html"


def write_report(run_directory: Path) -> Path:
    """Write the report of a finished run and return its path.

    Raises:
        InputError: if there are no readable results, or one of their pictures lies outside ``pictures/``.
    """
    page = make_page(load_results(run_directory), run_directory)
    path = run_directory / REPORT_HTML
    _replace(path, render(page))
    return path


def render(page: Page) -> str:
    """The page as one HTML document that needs no other file."""
    environment = Environment(
        loader=PackageLoader("fedleak", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = Markup(files("fedleak.report").joinpath("report.css").read_text("utf-8"))  # noqa: S704 our own file
    return environment.get_template("report.html").render(page=page, style=style)


def _replace(path: Path, text: str) -> None:
    """Readers see the old file or the new one, in UTF-8 whatever the locale."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(text.encode("utf-8", errors="replace"))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
