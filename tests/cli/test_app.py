"""The command line: exit codes, one clear message, nothing written for bad input."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from fedleak.cli.kinds import EVERY_FAMILY
from fedleak.models.factory import CONSENT
from fedleak.version import __version__
from tests.builders import FACTORY
from tests.scenarios import Outcome, command, set_options, write_scenario

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def check_refused(outcome: Outcome, path: str, value: str, allowed: str) -> None:
    """Exit code 2, one message with path, value and what is allowed, and no file."""
    assert outcome.code == 2, outcome
    assert "Traceback" not in outcome.err
    assert len(outcome.errors) == 1, outcome.err
    assert outcome.errors[0].startswith(f"{path}: got {value}"), outcome.errors[0]
    assert allowed in outcome.errors[0]
    assert list(Path.cwd().iterdir()) == []


BAD_RUNS: list[tuple[list[str], str, str, str]] = [
    (["federation.round=3"], "federation.round", "3", "did you mean 'rounds'?"),
    (["federation.clients=many"], "federation.clients", "'many'", "integer"),
    (["model.kind=lenett"], "model.kind", "'lenett'", "did you mean 'lenet'?"),
    (["federation.client.postprocess=[l2_clip]"], "federation.client.postprocess.0.kind", "'l2_clip'", "'l2_clipping'"),
    (["attacks.gitt.hidden=3"], "attacks.gitt.hidden", "'gitt'", "one of: lti, git_coarse"),
    (["adversary.victims.clients=[0,1,2,0]"], "adversary.victims.clients", "[0, 1, 2, 0]", "more victims than clients"),
    (["federation.client.batch_size=500", "adversary.injection.pairs=2", "adversary.public_images=700"],
     "federation.client.batch_size", "500", "holds only"),
    (["federation.clients=2000"], "federation.clients", "2000", "at most"),
    (["federation.partition={kind: shards, shards_per_client: 900}"],
     "federation.partition.shards_per_client", "900", "2700"),
    (["dataset={kind: image_folder, root: nowhere}"], "dataset.root", "'nowhere'", "there is no such folder"),
    (["adversary.level=3", "attacks=[lti]"], "attacks.0", "'lti'", "needs injected_pairs"),
    (["adversary.public_images=5000"], "adversary.public_images", "5000", "at most"),
    (["adversary.injection.pairs=61"], "adversary.injection.pairs", "61", "at most 60 distinct pairs"),
    (["adversary.victims.clients=[]"], "adversary.victims", "{'clients': ()", "no sampled client"),
    (["model={kind: convnet, widths: [2, 2, 2, 2]}"], "model", "'convnet'", "cannot be built for the images"),
    (["federation.engine={kind: ray, client_cpus: 10000}"], "federation.engine.client_cpus", "10000", "this machine"),
    (["federation.engine={kind: ray, client_gpus: 64}"], "federation.engine.client_gpus", "64", "this machine has"),
    (["federation.engine={kind: ray, address: nowhere}"], "federation.engine.address", "'nowhere'",
     "auto or host:port"),
    (["federation.engine={kind: ray, address: '127.0.0.1:1'}"], "federation.engine.address", "'127.0.0.1:1'",
     "no Ray cluster answers there"),
    (["device=cuda:63"], "device", "'cuda:63'", "this machine has"),
    (["rounds"], "--set", "'rounds'", "expected path=value"),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "path", "value", "allowed"), BAD_RUNS, ids=[run[0][0] for run in BAD_RUNS])
def test_run_refuses_bad_settings(
    overrides: list[str], path: str, value: str, allowed: str, tmp_path: Path, capsys: Capsys
) -> None:
    outcome = command(capsys, "run", write_scenario(tmp_path), *set_options(overrides))
    check_refused(outcome, path, value, allowed)


def test_run_refuses_an_unknown_budget(tmp_path: Path, capsys: Capsys) -> None:
    outcome = command(capsys, "run", write_scenario(tmp_path), "--budget", "short")
    check_refused(outcome, "--budget", "'short'", "the scenario's budgets: long")


def test_run_refuses_a_missing_file(capsys: Capsys) -> None:
    check_refused(command(capsys, "run", "nothing.yaml"), "SCENARIO", "'nothing.yaml'", "there is no such file")


def test_run_refuses_what_is_no_yaml(tmp_path: Path, capsys: Capsys) -> None:
    (tmp_path / "bad.yaml").write_text("federation: [1, 2")
    check_refused(command(capsys, "run", tmp_path / "bad.yaml"), "SCENARIO", "", "not valid YAML")


def test_run_refuses_a_directory_with_other_files(tmp_path: Path, capsys: Capsys) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("precious")
    for force in ([], ["--force"]):
        outcome = command(capsys, "run", write_scenario(tmp_path), "--out", other, *force)
        check_refused(outcome, "--out", "", "it holds other files (thesis.tex)")
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", ["attack", "report"])
def test_other_commands_refuse_what_is_no_run(name: str, tmp_path: Path, capsys: Capsys) -> None:
    outcome = command(capsys, name, tmp_path / "nowhere")
    check_refused(outcome, "RUN_DIR", "", "")


@pytest.mark.parametrize("arguments", [["run"], ["frobnicate"], ["run", "x.yaml", "--nope"], ["list", "colour"]])
def test_wrong_usage_exits_2(arguments: list[str], capsys: Capsys) -> None:
    assert command(capsys, *arguments).code == 2


def test_validate(tmp_path: Path, capsys: Capsys) -> None:
    path = write_scenario(tmp_path)
    outcome = command(capsys, "validate", path, "--data", "--show", "--set", "seed=42")
    assert (outcome.code, outcome.err) == (0, "")
    assert "seed: 42" in outcome.out
    assert outcome.out.endswith("valid, and its data fit\n")
    assert command(capsys, "validate", path, "--set", "federation.clients=900").code == 0
    assert command(capsys, "validate", path, "--data", "--set", "federation.clients=1400").code == 2


def test_list_names_every_family(capsys: Capsys) -> None:
    outcome = command(capsys, "list")
    assert outcome.code == 0
    assert all(family in outcome.out for family in (*EVERY_FAMILY, "capability"))
    one = command(capsys, "list", "model")
    assert {line.split()[0] for line in one.out.splitlines()[1:] if not line.startswith(" ")} == {"model"}


def test_validate_says_what_a_network_of_ones_own_needs(
    tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_scenario(tmp_path, model={"kind": "factory", "path": FACTORY})
    monkeypatch.delenv(CONSENT, raising=False)
    refused = command(capsys, "validate", path)
    assert (refused.code, refused.out) == (2, "")
    assert refused.errors == [
        f"model.path: got '{FACTORY}'; this is code outside of fedleak; if you trust it, set the environment: "
        f"{CONSENT}={FACTORY}"
    ]
    monkeypatch.setenv(CONSENT, f"other:one,{FACTORY}")
    assert command(capsys, "validate", path).code == 0
    monkeypatch.setenv(CONSENT, "no_such_module:network")
    absent = command(capsys, "validate", path, "--set", "model.path=no_such_module:network")
    assert absent.code == 2
    assert "cannot be imported" in absent.errors[0]


def test_schema_is_a_json_schema(capsys: Capsys) -> None:
    schema: dict[str, Any] = json.loads(command(capsys, "schema").out)
    assert {"dataset", "model", "attacks", "matrix", "claims"} < set(schema["properties"])


def test_version(capsys: Capsys) -> None:
    outcome = command(capsys, "--version")
    assert (outcome.code, outcome.out) == (0, f"fedleak {__version__}\n")


def test_all_clients_failing_exits_1_with_the_reasons(tmp_path: Path, capsys: Capsys) -> None:
    faults = [{"round": 2, "client": client, "mode": mode} for client, mode in enumerate(("raise", "nan", "raise"))]
    path = write_scenario(tmp_path, federation__faults=faults)
    outcome = command(capsys, "federate", path, "--out", "run", "--quiet")
    assert outcome.code == 1
    assert len(outcome.errors) == 1
    for reason in ("round 2", "client 0: RuntimeError: fault provoked", "client 1: the update holds NaN", "client 2"):
        assert reason in outcome.errors[0]
    assert Path("run/transcript/journal.jsonl").is_file(), "the directory can be resumed"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_has_its_exit_code(
    number: signal.Signals, code: int, tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr("fedleak.pipeline.run_scenario", interrupted)
    path = write_scenario(tmp_path)
    outcome = command(capsys, "run", path, "--force", "--seed", "3")
    assert outcome.code == code
    last = outcome.err.splitlines()[-1]
    assert last.endswith(f"the same command continues it: fedleak run {path} --seed 3"), "--force would start over"


def test_a_run_says_from_the_start_what_it_does(tmp_path: Path, capsys: Capsys) -> None:
    """Without a terminal these are a few lines."""
    path = write_scenario(tmp_path, attacks=["git_ridge"], federation__rounds=1)
    outcome = command(capsys, "run", path, "--out", "run")
    assert outcome.code == 0
    lines = outcome.err.splitlines()
    assert lines[0] == f"run {path}: loading"
    assert lines[1] == "federation: loading and partitioning the data"
    assert lines[2] == "federation: starting the clients"
    assert len(lines) < 16
