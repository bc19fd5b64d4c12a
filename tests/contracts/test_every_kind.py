"""What holds for every kind of every family, so that a new one cannot be added half."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from fedleak.cli.kinds import EVERY_FAMILY, kinds_of
from fedleak.component import Component

ROOT = Path(__file__).parents[2]
EVERY_KIND = [(family, kind) for family in EVERY_FAMILY for kind in kinds_of(family)]


def component(family: str, kind: str) -> type[Component]:
    return kinds_of(family)[kind]


@pytest.mark.parametrize("family", list(EVERY_FAMILY))
def test_a_family_has_kinds(family: str) -> None:
    assert kinds_of(family)


@pytest.mark.parametrize(("family", "kind"), EVERY_KIND)
def test_its_docstring_opens_with_a_sentence(family: str, kind: str) -> None:
    cls = component(family, kind)
    assert "__doc__" in vars(cls)
    assert re.fullmatch(r"[A-Z0-9].{10,}\.", cls.summary()), cls.summary()


@pytest.mark.parametrize(("family", "kind"), EVERY_KIND)
def test_a_test_file_mirrors_its_module(family: str, kind: str) -> None:
    *folders, module = component(family, kind).__module__.split(".")[1:]
    assert (ROOT / "tests" / Path(*folders) / f"test_{module}.py").is_file()


@pytest.mark.parametrize(("family", "kind"), EVERY_KIND)
def test_the_readme_of_its_family_has_one_row_for_it(family: str, kind: str) -> None:
    _, package = EVERY_FAMILY[family]
    readme = (ROOT / Path(*package.split(".")) / "README.md").read_text(encoding="utf-8")
    assert len(re.findall(rf"^\| `{re.escape(kind)}` \|", readme, flags=re.MULTILINE)) == 1


@pytest.mark.parametrize(("family", "kind"), EVERY_KIND)
def test_its_name_can_be_written_in_yaml_and_in_a_column(family: str, kind: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", kind)
    assert not kind.startswith("baseline_")


@pytest.mark.parametrize(("family", "kind"), EVERY_KIND)
def test_unknown_settings_are_refused(family: str, kind: str) -> None:
    with pytest.raises(ValidationError, match="no_such_setting"):
        component(family, kind).model_validate({"no_such_setting": 1})
