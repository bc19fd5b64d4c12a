from __future__ import annotations

import re
from importlib.resources import files

from fedleak.report.terms import TERMS


def test_every_link_to_a_term_has_a_target() -> None:
    templates = [files("fedleak.report") / "report.html", files("fedleak.studies.report") / "study.html"]
    linked = {anchor for file in templates for anchor in re.findall(r'href="#(term-[\w-]+)"', file.read_text("utf-8"))}
    assert linked
    assert linked <= {term.anchor for term in TERMS}


def test_terms_are_explained_once_and_in_a_sentence() -> None:
    assert len({term.anchor for term in TERMS}) == len(TERMS)
    assert all(term.meaning[0].isupper() and term.meaning.endswith(".") for term in TERMS)
