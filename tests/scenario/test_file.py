"""From YAML and overrides to a scenario, or to one error that names the path."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedleak.errors import InputError, InputErrors
from fedleak.scenario.file import load_scenario, set_path, to_yaml
from tests.scenarios import RAW, tiny, write_scenario


def test_a_resolved_scenario_reads_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "again.yaml"
    loaded = load_scenario(tiny(), budget="long", seed=5)
    path.write_text(to_yaml(loaded))
    again = load_scenario(path)
    assert again.model_dump(exclude={"budgets"}) == loaded.model_dump(exclude={"budgets"})
    assert (again.federation.rounds, again.seed, again.budget) == (7, 5, "long")


def test_the_name_defaults_to_the_file(tmp_path: Path) -> None:
    raw = tiny()
    del raw["name"]
    (tmp_path / "some-run.yaml").write_text(yaml.safe_dump(raw))
    assert load_scenario(tmp_path / "some-run.yaml").name == "some-run"


def test_the_source_mapping_is_left_alone() -> None:
    raw = tiny()
    load_scenario(raw, budget="long", overrides=["federation.client.batch_size=2"])
    assert raw == RAW


def test_overrides_come_after_the_budget() -> None:
    assert load_scenario(tiny(), budget="long", overrides=["federation.rounds=3"]).federation.rounds == 3


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        ({"a": {"b": 1}}, "a.b", 2, {"a": {"b": 2}}),
        ({}, "a.b.c", 2, {"a": {"b": {"c": 2}}}),
        ({"model": "lenet"}, "model.channels", 3, {"model": {"kind": "lenet", "channels": 3}}),
        ({"model": {"kind": "lenet", "channels": 3}}, "model.kind", "mlp", {"model": {"kind": "mlp"}}),
        ({"model": {"kind": "mlp", "x": 3}}, "model.kind", "mlp", {"model": {"kind": "mlp", "x": 3}}),
        ({"l": [{"id": "a"}, {"kind": "b"}]}, "l.b.x", 1, {"l": [{"id": "a"}, {"kind": "b", "x": 1}]}),
        ({"l": ["a", "b"]}, "l.1.x", 1, {"l": ["a", {"kind": "b", "x": 1}]}),
        ({"l": [1, 2]}, "l.0", 9, {"l": [9, 2]}),
        ({"a": None}, "a.b", 1, {"a": {"b": 1}}),
    ],
)  # fmt: skip
def test_set_path(before: dict[str, Any], path: str, value: Any, after: dict[str, Any]) -> None:
    set_path(before, path, value)
    assert before == after


BAD_SETTINGS = [
    ("federaton.rounds=3", "federaton", "did you mean 'federation'?"),
    ("federation.round=3", "federation.round", "did you mean 'rounds'?"),
    ("federation.clients=many", "federation.clients", "expected a valid integer"),
    ("federation.clients=1", "federation.clients", "expected greater than or equal to 2"),
    ("dataset=digit", "dataset.kind", "did you mean 'digits'?"),
    ("dataset.kind=image_folder", "dataset.root", "this setting is required"),
    ("model.kind=lenett", "model.kind", "did you mean 'lenet'?"),
    ("model.hiden=[3]", "model.hiden", "did you mean 'hidden'?"),
    ("model=null", "model", "expected a mapping"),
    ("attacks=[]", "attacks", "expected at least 1"),
    ("attacks=lti", "attacks", "expected a list"),
    ("attacks=[lit]", "attacks.0.kind", "did you mean 'lti'?"),
    ("attacks.git_coarse.kind=git_corase", "attacks.1.kind", "did you mean 'git_coarse'?"),
    ("attacks.git_coarse.trainig.epochs=3", "attacks.1.trainig", "did you mean 'training'?"),
    ("attacks.git_coarse.training.epoch=3", "attacks.1.training.epoch", "did you mean 'epochs'?"),
    ("attacks.lti.training.epochs=abc", "attacks.0.training.epochs", "expected a valid integer"),
    ("attacks.fancy.hidden=3", "attacks.fancy.hidden", "one of: lti, git_coarse"),
    ("attacks.²=3", "attacks.²", "one of: lti, git_coarse"),
    ("attacks.99999999999999999999.id=x", "attacks.99999999999999999999.id", "below 2"),
    ("adversary.grants=[shared_updat]", "adversary.grants", "did you mean 'shared_update'?"),
    ("adversary.label_inference=greedy", "adversary.label_inference.kind", "did you mean 'greedy_bias'?"),
    (
        "adversary.label_inference.kind=7",
        "adversary.label_inference.kind",
        "known kinds: calibrated_counts, calibrated_counts_public, greedy_bias",
    ),
    ("adversary.shift={kind: class_overlap, public_class: [1]}", "adversary.shift.public_class", "'public_classes'"),
    ("adversary.victims.clients=every", "adversary.victims.clients", "expected 'others' or 'all', or a list"),
    ("federation.engine=seriel", "federation.engine.kind", "did you mean 'serial'?"),
    ("federation.engine=3", "federation.engine", "expected a mapping"),
    (
        "federation.clients.batch=2",
        "federation.clients.batch",
        "federation.clients is 3, which has no settings; did you mean 'client'?",
    ),
    ("threads.x.y=2", "threads.x.y", "threads is 1, which has no settings"),
    ("adversary.injection.rounds=[]", "adversary.injection.rounds", "expected at least 1"),
    ("federation.partition={kind: dirichlet, alpha: -1}", "federation.partition.alpha", "expected greater than 0"),
    ("federation.partition={kind: dirichlet, alfa: 1}", "federation.partition.alfa", "did you mean 'alpha'?"),
    ("federation.client.protocol=fedsdg", "federation.client.protocol", "did you mean 'fedsgd'?"),
    ("federation.client.postprocess=[l2_cliping]", "federation.client.postprocess.0.kind", "'l2_clipping'"),
    ("federation.client.postprocess=[l2_clipping]", "federation.client.postprocess.0.max_norm", "required"),
    ("federation.client.local_epochs=2", "federation.client", "belong to protocol fedavg"),
    ("federation.engine.timeout=.inf", "federation.engine.timeout", "expected a finite number"),
    ("federation={1: 2}", "federation.1", "keys must be names"),
    ("metrics.lpip=null", "metrics.lpip", "did you mean 'lpips'?"),
    ("budgets.long=3", "budgets.long", "override the setting itself"),
    ("budgets={a: {}}", "budgets", "override the setting itself"),
    ("budget=lon", "budget", "did you mean 'long'? the scenario's budgets: long"),
    ("budget=3", "budget", "the scenario's budgets: long"),
    ("budget.x=3", "budget.x", "override the setting itself"),
    ("name=not a name", "name", "pattern"),
    ("name.x=3", "name", "expected a valid string"),
    *[
        (f"{path}={value}", path, "expected a valid integer")
        for path in ("federation.rounds", "federation.client.batch_size", "seed", "threads", "attacks.0.hidden")
        for value in ("true", "'3'", "3.0", "1e3", "010", "1:30", "yes", "2020-01-01")
    ],
    ("seed='3'", "seed", "expected a valid integer; write 3"),
    ("seed=3.0", "seed", "expected a valid integer; write 3"),
    *[
        (f"{path}={value}", path, "expected a valid number")
        for path in (
            "federation.client.local_learning_rate",
            "attacks.0.training.learning_rate",
            "federation.engine.timeout",
        )
        for value in ("true", "'0.5'", "no", "nan")
    ],
    (
        "federation.client_level_dp={max_norm: '1', noise_multiplier: 1}",
        "federation.client_level_dp.max_norm",
        "write 1",
    ),
    *[
        (f"{path}={value}", path, "expected a valid boolean")
        for path in ("federation.client.error_feedback", "adversary.injection.postprocessed")
        for value in ("1", "0", "'true'", "yes", "1.0")
    ],
    ("adversary.victims.clients=[true]", "adversary.victims.clients.0", "expected a valid integer"),
    ("model={kind: resnet, depth: 18.0}", "model.depth", "expected 18"),
    ("dataset={kind: image_folder, root: x, channels: true}", "dataset.channels", "expected 1 or 3"),
    ("seed=-1", "seed", "expected greater than or equal to 0"),
    ("device=gpu", "device", "expected auto, cpu, cuda"),
    ('description="\\ud800"', "SCENARIO", "cannot be written to a file"),
    ("=3", "--set", "expected path=value"),
    ("federation.rounds", "--set", "expected path=value"),
    ("federation..rounds=3", "--set", "single dots"),
    ("seed=[1", "--set", "not valid YAML"),
    ("seed=[1]]", "--set", "not valid YAML"),
    ("seed=2020-13-45", "seed", "expected a valid integer"),
    ("seed=!!timestamp x", "seed", "tags are not accepted"),
    ("seed=!!python/object:os.system x", "seed", "tags are not accepted"),
    (f"seed={'[' * 3000}", "seed.0.0.0.0", "at most 50 levels"),
    ("federation={rounds: 2, rounds: 3}", "federation.rounds", "given twice"),
]


@pytest.mark.parametrize(("override", "path", "allowed"), BAD_SETTINGS, ids=[s[0][:50] for s in BAD_SETTINGS])
def test_bad_settings_name_path_value_and_what_is_allowed(override: str, path: str, allowed: str) -> None:
    with pytest.raises(InputError) as caught:
        load_scenario(tiny(), overrides=[override])
    error = caught.value.errors[0] if isinstance(caught.value, InputErrors) else caught.value
    assert error.path == path
    assert allowed in error.allowed
    assert str(caught.value).count("\n") == 0, "one message, one line"
    assert f"{path}: got " in str(caught.value)


def test_several_errors_get_a_line_each() -> None:
    with pytest.raises(InputErrors) as caught:
        load_scenario(tiny(), overrides=["federation.clients=x", "seed=y"])
    assert [error.path for error in caught.value.errors] == ["seed", "federation.clients"]


def test_an_unknown_budget_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"--budget: got 'lon'; did you mean 'long'\? the scenario's budgets: long"):
        load_scenario(tiny(), budget="lon")


@pytest.mark.parametrize("content", [b"a: [1", b"a: {", b"\xff\xfe\x00", b"- 1\n- 2\n", b"", b"42", b"--- 1\n--- 2"])
def test_files_that_are_no_mapping(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"^SCENARIO: got .*broken\.yaml"):
        load_scenario(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        load_scenario(tmp_path / "nothing.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        load_scenario(tmp_path)


def _paths(node: Any, prefix: str = "") -> list[str]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [p for key, value in items for p in (f"{prefix}{key}", *_paths(value, f"{prefix}{key}."))]


RESOLVED_PATHS = _paths(yaml.safe_load(to_yaml(load_scenario(tiny()))))
ODD_VALUES = ["null", "true", "-1", "0", "7", "1e99", ".nan", "abc", "[]", "[1, x]", "{}", "{kind: lti}", "auto", "~",
              "&a [*a]", "!!set {x}", "2020-01-01", "'1'", "[[1]]", "&a {k: *a}", "0x10", "{a: {b: 1}}"]  # fmt: skip
values = st.one_of(st.sampled_from(ODD_VALUES), st.text(max_size=12), st.integers().map(str), st.floats().map(str))
parts = st.one_of(st.sampled_from(["federation", "attacks", "0", "1", "lti", "kind", "id", "x", "budgets"]), st.text())
paths = st.one_of(st.sampled_from(RESOLVED_PATHS), st.lists(parts, min_size=1, max_size=4).map(".".join))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(paths, values), min_size=1, max_size=2))
def test_any_override_gives_a_scenario_or_an_input_error(overrides: list[tuple[str, str]]) -> None:
    with suppress(InputError):
        loaded = load_scenario(tiny(), overrides=[f"{path}={value}" for path, value in overrides])
        assert load_scenario(yaml.safe_load(to_yaml(loaded))).model_dump(exclude={"budgets"}) == loaded.model_dump(
            exclude={"budgets"}
        )


def test_a_scenario_file_is_not_touched(tmp_path: Path) -> None:
    path = write_scenario(tmp_path)
    before = path.read_bytes()
    load_scenario(path, overrides=["federation.rounds=1"])
    assert path.read_bytes() == before


def test_a_setting_of_a_number_names_the_value_that_was_given() -> None:
    with pytest.raises(InputError, match=r"^federation\.clients\.batch: got 2; federation\.clients is 3, which has"):
        load_scenario(tiny(), overrides=["federation.clients.batch=2"])


@pytest.mark.parametrize(
    "override",
    [
        "federation.engine=serial", "federation.engine=ray", "adversary.victims.clients=all", "model=lenet",
        "federation.partition=iid", "federation.client.local_sgd.schedule=cosine", "adversary.shift=none",
        "adversary.label_inference=greedy_bias", "attacks=[inverting_gradients]", "task=classification",
        "attacks=[{kind: inverting_gradients, distance: cosine, optimiser: adam, decoder: upsample}]",
        "federation.client.guards=[imprint]", "federation.client.augment=[instahide]",
        "federation.server.aggregation={kind: fedasync, weight: hinge}", "metrics.iip={features: trained}",
        "attacks=[lti]",
    ],
)  # fmt: skip
def test_a_block_may_be_given_by_its_name_alone(override: str) -> None:
    changes = ["federation.client.protocol=fedavg"] if "local_sgd" in override else []
    loaded = load_scenario(tiny() | {"budgets": {}}, overrides=[*changes, override])
    assert load_scenario(yaml.safe_load(to_yaml(loaded))) == loaded


def test_a_name_means_its_defaults() -> None:
    loaded = load_scenario(tiny(), overrides=["federation.engine=serial"])
    assert loaded.federation.engine.kind == "serial"
    assert loaded == load_scenario(tiny(), overrides=["federation.engine={kind: serial}"])
