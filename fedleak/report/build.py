"""Writing ``report.html``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fedleak.records import write_atomically
from fedleak.report.page import Page, make_page
from fedleak.results.schema import load_results

REPORT_HTML = "report.html"


def write_report(run_directory: Path) -> Path:
    """Write the report of a finished run and return its path.

    Raises:
        InputError: if there are no readable results, or one of their pictures is outside ``pictures/``.
    """
    page = make_page(load_results(run_directory), run_directory)
    path = run_directory / REPORT_HTML
    write_atomically(path, render(page))
    return path


def render(page: Page) -> str:
    """The page as one self-contained HTML document."""
    return render_template("report.html", page)


def render_template(name: str, page: object, *, package: str = "fedleak.report") -> str:
    """Render a template of ``package`` with the report's style; it may extend or import templates of this package."""
    loaders = [PackageLoader(*folder.rsplit(".", 1)) for folder in dict.fromkeys((package, "fedleak.report"))]
    environment = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = Markup(files("fedleak.report").joinpath("report.css").read_text("utf-8"))  # noqa: S704 our own file
    return environment.get_template(name).render(page=page, style=style)
