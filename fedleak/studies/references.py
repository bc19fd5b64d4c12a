"""Checks of names that a study file uses and that must exist: axes, values, attacks, metrics, budgets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from fedleak import families
from fedleak.errors import InputError, InputErrors, nearest
from fedleak.metrics.theory.base import Theory
from fedleak.results.leakage import WSRR
from fedleak.results.schema import WEIGHT_DISTANCE
from fedleak.studies.claims.base import Claim
from fedleak.studies.matrix import Axis, Label, axis_name, label_text
from fedleak.studies.measurements import ATTACK, ROUND
from fedleak.studies.planned import PlannedPlace, selected
from fedleak.studies.records import ACCURACIES
from fedleak.studies.schema import StudySettings


def check_references(
    settings: StudySettings, axes: tuple[Axis, ...], places: Sequence[PlannedPlace], budgets: object = None
) -> None:
    """Check that every name exists: in claims, published numbers, figure, table and costs.

    Published numbers may belong to axis values and metrics that this budget leaves out.

    Args:
        settings: the study's settings.
        axes: the axes of its matrix; ``round`` is another.
        places: what it will measure.
        budgets: the study's budgets, a mapping by name.

    Raises:
        InputErrors: one line per error, with what is there.
    """
    check = _Check(axes, places)
    errors: list[InputError] = []
    for i, claim in enumerate(settings.claims):
        errors += check.claim(f"claims.{i}", claim)
    for i, published in enumerate(settings.published.values):
        errors += check.where(f"published.values.{i}.where", published.where, present=False)
        errors += check.published_metric(f"published.values.{i}.metric", published.metric)
    if settings.figure is not None:
        errors += check.axis("figure.along", settings.figure.along)
        errors += check.metric("figure.metric", settings.figure.metric, places)
        for i, metric in enumerate(settings.figure.beside):
            errors += check.metric(f"figure.beside.{i}", metric, places)
    named = settings.table.metrics if "metrics" in settings.table.model_fields_set else ()
    for i, metric in enumerate(named):  # those of the default show a dash where they are switched off
        errors += check.metric(f"table.metrics.{i}", metric, places)
    errors += _check_costs(settings.costs, budgets)
    if errors:
        raise InputErrors(errors)


def _check_costs(costs: Mapping[str, float], budgets: object) -> Iterator[InputError]:
    known = [str(name) for name in budgets] if isinstance(budgets, Mapping) else []
    for name, minutes in costs.items():
        if known and name not in known:
            yield InputError(f"costs.{name}", minutes, f"no such budget; {nearest(name, known)}budgets: {_list(known)}")


class _Check:
    """Checks against the axes of a study and what it will measure."""

    def __init__(self, axes: tuple[Axis, ...], places: Sequence[PlannedPlace]) -> None:
        self._axes, self._places = {axis.name: axis for axis in axes}, places
        self._attacks = list(dict.fromkeys(str(place.labels[ATTACK]) for place in places))
        self._rounds = sorted({number for place in places for number in place.rounds})

    def claim(self, path: str, claim: Claim) -> Iterator[InputError]:
        """Axes, values, attacks and metrics of a claim; what it selects must exist and have the metric."""
        wrong = [error for name, where in claim.selections().items() for error in self.where(f"{path}.{name}", where)]
        along = claim.axis()
        if along is not None:
            wrong += self.axis(f"{path}.along", along)
        if not wrong and along is not None:
            for i, value in enumerate(claim.axis_values()):
                wrong += self._label(f"{path}.values.{i}", axis_name(along, self._known) or along, value)
        yield from wrong
        if not wrong:
            yield from self._selected(path, claim)

    def _selected(self, path: str, claim: Claim) -> Iterator[InputError]:
        for name, chain in claim.compared().items():
            where = {self._full(key): label for some in chain for key, label in some.items()}
            found = selected(self._places, where)
            if not found:
                yield InputError(f"{path}.{name}", dict(chain[-1]), "no cell of the study has this attack there")
            for key, metric in claim.measures().items() if found else ():
                yield from self.metric(f"{path}.{key}", metric, found)

    @property
    def _known(self) -> list[str]:
        return [*self._axes, ROUND]

    def _full(self, name: str) -> str:
        return name if name == ATTACK else axis_name(name, self._known) or name

    def axis(self, path: str, name: str) -> Iterator[InputError]:
        """An axis, in full or by the last parts of its path."""
        if axis_name(name, self._known) is None:
            hint = nearest(name, _ends(self._known))
            yield InputError(path, name, f"no such axis; {hint}axes: {_list(self._known)}")

    def where(self, path: str, where: Mapping[str, Label], *, present: bool = True) -> Iterator[InputError]:
        """A selection; unless ``present``, values of axes and rounds may be absent."""
        for key, value in where.items():
            place, name = f"{path}.{key}", self._full(key)
            if name == ATTACK:
                if str(value) not in self._attacks:
                    hint = nearest(str(value), self._attacks)
                    yield InputError(place, value, f"no such attack; {hint}attacks: {_list(self._attacks)}")
            elif name not in self._known:
                hint = nearest(key, [ATTACK, *_ends(self._known)])
                yield InputError(place, value, f"expected attack or an axis; {hint}axes: {_list(self._known)}")
            elif present or name == ROUND:
                yield from self._label(place, name, value, present=present)

    def _label(self, path: str, name: str, value: Label, *, present: bool = True) -> Iterator[InputError]:
        """A value of an axis or the number of a round."""
        if name == ROUND:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                yield InputError(path, value, "expected the number of a round")
            elif present and value not in self._rounds:
                yield InputError(path, value, f"no update of that round is attacked; rounds: {_list(self._rounds)}")
        elif self._axes[name].level(value) is None:
            known = [label_text(level.label) for level in self._axes[name].levels]
            hint = nearest(label_text(value), known)
            yield InputError(path, value, f"not a value of that axis; {hint}values: {_list(known)}")

    def metric(self, path: str, name: str, places: Iterable[PlannedPlace]) -> Iterator[InputError]:
        """A metric that is measured in one of the places at least."""
        measured = sorted({metric for place in places for metric in place.metrics})
        if name not in measured:
            hint = _how_to_measure(name) or f"no such metric; {nearest(name, measured)}"
            yield InputError(path, name, f"{hint}measured: {_list(measured)}")

    def published_metric(self, path: str, name: str) -> Iterator[InputError]:
        """A metric that fedleak can measure, even if this budget does not."""
        if not _how_to_measure(name):
            yield from self.metric(path, name, self._places)


def _how_to_measure(name: str) -> str:
    """What to do for a metric that exists and is not measured; empty if it does not exist."""
    if name in families.kinds("metric"):
        return f"it is not computed there: set metrics.{name} to {{}}; "
    if name in families.kinds("analysis"):
        return f"it is not computed there: add {name} to analyses; "
    for kind, theory in families.kinds("theory").items():
        if issubclass(theory, Theory) and name in theory.columns:
            return f"only theory_{kind} has it: add {kind} to theory and name that attack; "
    for indicator, rate in WSRR.items():
        if name == rate:
            return f"it needs metrics.{indicator} and an attack that is listed twice, under two ids; "
    if name == WEIGHT_DISTANCE:
        return "only an attack that estimates the leaked weights, such as git_exact, has it; "
    return "it is not measured there; " if name in ACCURACIES else ""


def _ends(names: Iterable[str]) -> list[str]:
    """Names of axes, in full and by the last part of their paths."""
    every = list(names)
    return [*every, *(name.rpartition(".")[2] for name in every)]


def _list(names: Iterable[object]) -> str:
    return ", ".join(map(str, names)) or "none"
