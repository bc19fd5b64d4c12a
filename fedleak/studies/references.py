"""Checks of names that a study file defines in one place and uses in another: axes and attacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fedleak.errors import InputError, InputErrors, nearest
from fedleak.results.schema import THEORY_PREFIX
from fedleak.studies.matrix import Axis, Label, axis_name, label_text
from fedleak.studies.measurements import ROUND
from fedleak.studies.schema import StudySettings

NO_ATTACKS = ("baseline_", THEORY_PREFIX)
"""Prefixes of entries in the list of attacks that are not attacks."""


def check_references(settings: StudySettings, axes: tuple[Axis, ...], attacks: set[str]) -> None:
    """Check that claims, published numbers and the figure name existing axes (or ``round``), values and attacks.

    Published numbers may belong to values that this budget leaves out.

    Raises:
        InputErrors: one line per error.
    """
    errors: list[InputError] = []
    for i, claim in enumerate(settings.claims):
        for name, where in claim.selections().items():
            errors += _check_where(f"claims.{i}.{name}", where, axes, attacks)
        along = claim.axis()
        if along is not None:
            errors += _check_axis(f"claims.{i}.along", along, axes)
    for i, published in enumerate(settings.published.values):
        errors += _check_where(f"published.values.{i}.where", published.where, axes, attacks, values=False)
    if settings.figure is not None:
        errors += _check_axis("figure.along", settings.figure.along, axes)
    if errors:
        raise InputErrors(errors)


def _check_axis(path: str, name: str, axes: tuple[Axis, ...]) -> Iterator[InputError]:
    known = [*(axis.name for axis in axes), ROUND]
    if axis_name(name, known) is None:
        yield InputError(path, name, f"no such axis; {nearest(name, known)}axes: {', '.join(known) or 'none'}")


def _check_where(
    path: str, where: Mapping[str, Label], axes: tuple[Axis, ...], attacks: set[str], *, values: bool = True
) -> Iterator[InputError]:
    by_name = {axis.name: axis for axis in axes}
    for key, value in where.items():
        place = f"{path}.{key}"
        if key == "attack":
            if str(value) not in attacks and not str(value).startswith(NO_ATTACKS):
                hint = nearest(str(value), attacks)
                yield InputError(place, value, f"no such attack; {hint}attacks: {', '.join(sorted(attacks))}")
            continue
        if key == ROUND:
            if not isinstance(value, int) or value < 1:
                yield InputError(place, value, "expected the number of a round")
            continue
        name = axis_name(key, by_name)
        if name is None:
            yield InputError(place, value, f"expected attack or an axis; axes: {', '.join(by_name) or 'none'}")
        elif values and by_name[name].level(value) is None:
            known = ", ".join(label_text(level.label) for level in by_name[name].levels)
            yield InputError(place, value, f"not a value of that axis; values: {known}")
