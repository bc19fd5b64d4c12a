"""The MLflow tracker."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit

from fedleak.errors import TrackingError
from fedleak.trackers.base import TrackedEntry, Tracker
from fedleak.trackers.reach import first_line, unreachable, unwritable

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

KEY = "fedleak.key"
MOST_METRICS, MOST_SETTINGS, LONGEST = 1000, 100, 500
"""Maximum numbers of metrics and settings in one request, and maximum length of a setting's value."""
IMPATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Environment variables of MLflow; by default it tries for minutes."""
T = TypeVar("T")


class Mlflow(Tracker):
    """MLflow: an experiment for each study or scenario, a run for each entry, with pictures and report as artefacts.

    ``target`` is a tracking URI, such as a server's address or ``sqlite:///mlflow.db``; MLflow's default if empty.
    """

    kind: Literal["mlflow"] = "mlflow"
    needs: ClassVar[tuple[str, ...]] = ("mlflow",)

    def obstacle(self) -> str:
        """Whether a server, database or folder can be used, and whether MLflow accepts the address."""
        address = self._address()
        if reason := unreachable(address):
            return reason
        if address.startswith("sqlite"):
            return ""  # MLflow takes a while to make a new database
        if not urlsplit(address).scheme and (reason := unwritable(Path(address))):
            return reason
        try:
            with _impatient():
                self._client().search_experiments(max_results=1)
        except _errors() as error:
            return first_line(error)
        return ""

    def log(self, entry: TrackedEntry) -> bool:
        """Log an entry; an unfinished run of the same key is deleted and logged again.

        Raises:
            TrackingError: if the store cannot be written to.
        """
        if reason := unreachable(self._address()):  # MLflow would try again for minutes
            raise TrackingError(f"mlflow: {reason}")
        try:
            with _impatient():
                client = self._client()
                experiment = _experiment(client, entry.group)
                if _is_there(client, experiment, entry.key):
                    return False
                _log(client, experiment, entry)
        except _errors() as error:
            raise TrackingError(f"mlflow: {first_line(error)}") from error
        return True

    def _client(self) -> MlflowClient:
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=self.target or None)

    def _address(self) -> str:
        from mlflow.tracking import get_tracking_uri

        return self.target or str(get_tracking_uri())


def _errors() -> tuple[type[Exception], ...]:
    """What MLflow and its stores raise."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, OSError, ImportError, ValueError


@contextmanager
def _impatient() -> Iterator[None]:
    """Let MLflow try a request twice for some seconds, not for minutes; settings of the user stay."""
    before = {name: os.environ.get(name) for name in IMPATIENCE}
    os.environ.update({name: value for name, value in IMPATIENCE.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _experiment(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:  # another process created it first
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def _is_there(client: MlflowClient, experiment: str, key: str) -> bool:
    finished = False
    for run in client.search_runs([experiment], filter_string=f"tags.`{KEY}` = '{key}'"):
        if run.info.status == "FINISHED":
            finished = True
        else:
            client.delete_run(run.info.run_id)
    return finished


def _log(client: MlflowClient, experiment: str, entry: TrackedEntry) -> None:
    from mlflow.entities import Param

    tags = {KEY: entry.key, "fedleak.report": entry.report_link}
    run = client.create_run(experiment, run_name=entry.name, tags={**tags, **entry.facts}).info.run_id
    for metrics in _chunks(list(_metrics(entry)), MOST_METRICS):
        client.log_batch(run, metrics=metrics)
    settings = [Param(path, str(value)[:LONGEST]) for path, value in entry.settings.items()]
    for some in _chunks(settings, MOST_SETTINGS):
        client.log_batch(run, params=some)
    for name, files in entry.pictures.items():
        for file in files:
            client.log_artifact(run, str(file), artifact_path=f"pictures/{name}")
    if entry.report.is_file():
        client.log_artifact(run, str(entry.report))
    client.set_terminated(run)


def _metrics(entry: TrackedEntry) -> Iterator[Any]:
    """Finite metrics only, since not every store accepts others."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    for name, interval in entry.scores.items():
        # No name may be a folder of another: a file store has one file per metric.
        for end, value in ((name, interval.mean), (f"{name}_low", interval.low), (f"{name}_high", interval.high)):
            if value is not None and math.isfinite(value):
                yield Metric(end, value, now, 0)
    for name, value in entry.costs.items():
        yield Metric(name, value, now, 0)
    for name, values in entry.curves.items():
        for step, value in enumerate(values, start=1):
            if math.isfinite(value):
                yield Metric(f"curve/{name}", value, now, step)


def _chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
