"""Every number of a scenario or study has a lower and an upper bound."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fedleak import limits
from fedleak.errors import InputError
from fedleak.scenario.file import load_scenario
from fedleak.studies.study import load_study
from tests.scenario.settings_models import every_model, numbers
from tests.scenarios import tiny
from tests.studies.builders import study

UNBOUNDED = {
    "control": "labels of a matrix",
    "where": "labels of a matrix, which are compared and never computed with",
    "left": "labels of a matrix",
    "right": "labels of a matrix",
    "values": "labels of a matrix",
    "value": "a value of a metric, whose range is that of the metric",
    "low": "a value of a metric",
    "high": "a value of a metric",
}
"""Fields of claims and published numbers without bounds, and why."""


@pytest.mark.parametrize("model", every_model(), ids=lambda model: model.__name__)
def test_every_number_has_both_bounds(model: type[BaseModel]) -> None:
    for name, leaf in numbers(model):
        if leaf["type"] in ("int", "float") and not (
            model.__module__.startswith("fedleak.studies") and name in UNBOUNDED
        ):
            assert leaf.keys() & {"ge", "gt"}, f"{name} has no lower bound"
            assert leaf.keys() & {"le", "lt"}, f"{name} has no upper bound: see fedleak/limits.py"


def test_every_exception_is_needed() -> None:
    found = {
        name
        for model in every_model()
        for name, leaf in numbers(model)
        if leaf["type"] in ("int", "float") and not leaf.keys() & {"le", "lt"}
    }
    assert found == set(UNBOUNDED)


def test_every_limit_is_used_and_described() -> None:
    text = Path(limits.__file__).read_text("utf-8")
    names = re.findall(r"^([A-Z_]+) = .*\n\"\"\"", text, re.M)
    assert names == re.findall(r"^([A-Z_]+) =", text, re.M)
    sources = "".join(path.read_text("utf-8") for path in Path(limits.__file__).parent.rglob("*.py"))
    assert [name for name in names if f"limits.{name}" not in sources] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("federation.rounds", 10**9), ("federation.clients", 10**9), ("bootstrap_resamples", 10**11),
        ("threads", 10**9), ("seed", 2**63), ("federation.client.batch_size", 10**10), ("attacks.0.hidden", 10**7),
        ("attacks.0.training.epochs", 10**9), ("attacks.0.training.batch_size", 10**12), ("model.hidden.0", 10**6),
        ("adversary.injection.pairs", 10**10), ("adversary.compromised", 10**9), ("federation.engine.cpus", 10**6),
        ("federation.engine.timeout", 1e12), ("federation.server.learning_rate", 1e300),
        ("adversary.victims.rounds", [10**9]), ("dataset", {"kind": "synthetic", "images": 10**12}),
    ],
)  # fmt: skip
def test_what_no_machine_can_do_is_refused_at_once(path: str, value: Any) -> None:
    raw = tiny()
    with pytest.raises(InputError, match="expected less than"):
        load_scenario(raw, overrides=[f"{path}={value}"])


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"seeds": [2**63]}, "seeds.0"),
        ({"seeds": [-1]}, "seeds.0"),
        ({"seeds": list(range(5001))}, "matrix"),
        ({"costs": {"more": 1e12}}, "costs.more"),
        ({"resources": {"cpus": 10**9}}, "resources.cpus"),
    ],
)
def test_so_are_studies(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(InputError) as caught:
        load_study(study(**changes))
    assert str(caught.value).startswith(f"{path}: got ")
