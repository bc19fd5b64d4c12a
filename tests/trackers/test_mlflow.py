from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedleak.errors import TrackingError
from fedleak.trackers.mlflow import KEY, Mlflow
from tests.trackers.builders import entry

tracking = pytest.importorskip("mlflow.tracking")


@pytest.fixture(params=["database", "files"])
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A local store, in SQLite or in files, which MLflow opens no longer unless told to; artefacts lie beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return f"sqlite:///{tmp_path / 'mlflow.db'}" if request.param == "database" else (tmp_path / "mlruns").as_uri()


def runs(store: str) -> tuple[Any, list[Any]]:
    client = tracking.MlflowClient(tracking_uri=store)
    return client, list(client.search_runs([client.get_experiment_by_name("a study").experiment_id]))


def test_everything_is_read_back_by_mlflow_itself(tmp_path: Path, store: str) -> None:
    logged = entry(tmp_path)
    assert Mlflow(target=store).log(logged)
    client, (run,) = runs(store)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "pairs=30, seed 0"
    assert run.data.params == {"federation.clients": "4", "model.kind": "mlp"}
    assert run.data.metrics == {
        "lti/mse": 0.25,
        "lti/mse_low": 0.2,
        "lti/mse_high": 0.3,
        "lti/psnr": 6.0,
        "lti/training_seconds": 1.5,
        "curve/lti/held_out": 0.3,
    }
    curve = client.get_metric_history(run.info.run_id, "curve/lti/held_out")
    assert [(point.step, point.value) for point in curve] == [(1, 0.5), (2, 0.4), (3, 0.3)]
    assert run.data.tags[KEY] == logged.key
    assert run.data.tags["fedleak.report"] == logged.report_link
    assert run.data.tags["claim 1"] == "reproduced: it holds"
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {"pictures", "report.html"}


def test_what_is_there_is_not_logged_again_and_what_was_broken_off_is(tmp_path: Path, store: str) -> None:
    tracker = Mlflow(target=store)
    assert tracker.log(entry(tmp_path))
    assert not tracker.log(entry(tmp_path))
    client, (run,) = runs(store)
    client.update_run(run.info.run_id, status="RUNNING")
    assert tracker.log(entry(tmp_path))
    _, (again,) = runs(store)
    assert again.info.run_id != run.info.run_id


def test_values_that_are_not_finite_are_left_out(tmp_path: Path, store: str) -> None:
    curves = {"lti/held_out": [float("inf"), 0.4, float("nan")]}
    assert Mlflow(target=store).log(entry(tmp_path, curves=curves))
    client, (run,) = runs(store)
    assert [point.step for point in client.get_metric_history(run.info.run_id, "curve/lti/held_out")] == [2]


def test_a_store_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="mlflow: "):
        Mlflow(target="nonsense://nowhere").log(entry(tmp_path))
