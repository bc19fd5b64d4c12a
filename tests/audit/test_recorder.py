"""The recorder: it changes no result, and notes every training message and reply."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from fedleak.audit import recorder, watcher
from fedleak.audit.recorded import Recorded
from fedleak.audit.recorder import RecordedServerApp, RecordingGrid, audit, load_app
from fedleak.audit.watcher import RecordedClientApp
from fedleak.federation.serial_grid import SerialGrid
from tests.audit.flower import CLIENT, SERVER, context, importable, run


@pytest.fixture(autouse=True)
def _app() -> Any:
    with importable():
        yield


def bits(arrays: list[np.ndarray[Any, Any]]) -> list[bytes]:
    return [array.tobytes() for array in arrays]


def test_results_are_the_same_bits_with_and_without_the_recorder(tmp_path: Path) -> None:
    plain = run(load_app(SERVER, ServerApp), load_app(CLIENT, ClientApp), tmp_path / "plain.npz")
    folder = tmp_path / "recording"
    folder.mkdir()
    recorded = run(
        RecordedServerApp(SERVER, str(folder)), RecordedClientApp(CLIENT, str(folder)), tmp_path / "recorded.npz"
    )
    assert bits(plain) == bits(recorded)
    found = Recorded.read(folder)
    assert len(found.sent) == len(found.replies) == 4
    assert found.ending is not None
    assert found.ending.event == "finished"
    assert found.begin.run_config["batch-size"] == 2
    # Clients of a round are sent the same arrays, which are stored once: 2 broadcasts, 4 replies.
    assert len({message.arrays["arrays"] for message in found.sent}) == 2
    assert len(list((folder / recorder.ARRAYS).iterdir())) == 6
    replies = [found.replies[message.message] for message in found.sent]
    assert all(reply.metrics["metrics"]["num-examples"] == 4 for reply in replies)
    assert sorted(reply.config["about"]["partition"] for reply in replies) == [0, 0, 1, 1]
    assert replies[0].config["about"]["key"] == "5 bytes"
    assert [message.config["config"]["lr"] for message in found.sent] == [0.1, 0.1, 0.05, 0.05]


def test_the_mean_of_the_recorded_replies_is_the_recorded_next_broadcast(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    last = run(RecordedServerApp(SERVER, str(tmp_path / "r")), load_app(CLIENT, ClientApp), tmp_path / "final.npz")
    found = Recorded.read(tmp_path / "r")
    sent = [found.arrays(message.arrays["arrays"]) for message in found.sent]
    replies = [found.arrays(found.replies[message.message].arrays["arrays"]) for message in found.sent]
    names = list(sent[0])
    assert names[:2] == ["conv.weight", "conv.bias"]
    for name, final in zip(names, last, strict=True):
        np.testing.assert_allclose((replies[0][name] + replies[1][name]) / 2, sent[2][name], rtol=1e-6)
        np.testing.assert_allclose((replies[2][name] + replies[3][name]) / 2, final, rtol=1e-6)


def echo(message: Message, _: Any) -> Message:
    if message.metadata.dst_node_id % 2:
        raise RuntimeError("no data here")
    content = {"arrays": message.content["arrays"], "metrics": MetricRecord({"num-examples": 3, "odd": float("nan")})}
    return Message(content=RecordDict(content), reply_to=message)


def client() -> ClientApp:
    app = ClientApp()
    app.train()(echo)
    app.evaluate()(echo)
    app.query()(echo)
    return app


def message(node: int, kind: str = "train", **settings: Any) -> Message:
    content = {"arrays": ArrayRecord([np.ones((2, 2), np.float32)]), "config": ConfigRecord(settings)}
    return Message(content=RecordDict(content), dst_node_id=node, message_type=kind, group_id="1")


def recording_grid(tmp_path: Path) -> tuple[RecordingGrid, Path]:
    return RecordingGrid(SerialGrid(client(), 3), recorder.Recording(tmp_path / "r")), tmp_path / "r"


def test_a_generator_of_messages_is_consumed_once_and_failures_are_noted(tmp_path: Path) -> None:
    grid, folder = recording_grid(tmp_path)
    replies = list(grid.send_and_receive(message(node) for node in (1000, 1001, 1002)))
    assert [reply.has_error() for reply in replies] == [False, True, False]
    found = Recorded.read(folder)
    assert [one.node for one in found.sent] == [1000, 1001, 1002]
    errors = [found.replies[one.message].error for one in found.sent]
    assert errors[0] == errors[2] == ""
    assert "no data here" in errors[1]
    assert found.replies[found.sent[0].message].metrics["metrics"]["odd"] == "nan"
    assert found.ending is None


def test_only_training_is_noted(tmp_path: Path) -> None:
    grid, folder = recording_grid(tmp_path)
    grid.send_and_receive([message(1000, "evaluate"), message(1000, "query"), message(1000)])
    found = Recorded.read(folder)
    assert len(found.sent) == len(found.replies) == 1


def test_a_grid_of_its_own_kind_stays_usable(tmp_path: Path) -> None:
    grid, _ = recording_grid(tmp_path)
    assert isinstance(grid, Grid)
    assert list(grid.get_node_ids()) == [1000, 1001, 1002]
    assert [node.node_id for node in grid.get_nodes()] == [1000, 1001, 1002]
    assert grid._contexts  # what the grid inside has beyond the interface


def test_a_server_that_fails_leaves_its_reason(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    app = RecordedServerApp(SERVER, str(tmp_path / "r"))
    with pytest.raises(KeyError):
        app(SerialGrid(client(), 2), context({}))
    ending = Recorded.read(tmp_path / "r").ending
    assert ending is not None
    assert ending.event == "failed"
    assert "KeyError" in ending.reason


def test_a_folder_with_a_recording_is_never_mixed_with_another(tmp_path: Path) -> None:
    recorder.Recording(tmp_path)
    with pytest.raises(FileExistsError, match="holds a recording already"):
        recorder.Recording(tmp_path)


def test_a_server_on_another_machine_is_told_what_to_do(tmp_path: Path) -> None:
    app = RecordedServerApp(SERVER, str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=r"audit\(strategy\) in your server"):
        app(SerialGrid(client(), 2), context({}))


def test_what_is_no_app_is_refused() -> None:
    with pytest.raises(TypeError, match=r"smallapp\.task:Net is type, not a ServerApp of Flower"):
        load_app("smallapp.task:Net", ServerApp)


class Mine(FedAvg):
    def configure_train(self, *parts: Any, **named: Any) -> Any:
        self.called = True
        return super().configure_train(*parts, **named)


def test_a_strategy_is_audited_by_one_line(tmp_path: Path) -> None:
    mine = Mine(fraction_evaluate=0.0)
    audited = audit(mine, out=tmp_path / "audit")
    assert isinstance(audited, Mine)
    assert type(audited).__name__ == "Mine"
    app = ClientApp()
    app.train()(lambda message, _: Message(
        content=RecordDict({"arrays": message.content["arrays"], "metrics": MetricRecord({"num-examples": 1})}),
        reply_to=message,
    ))  # fmt: skip
    arrays = ArrayRecord([np.arange(4, dtype=np.float32)])
    result = audited.start(grid=SerialGrid(app, 2), initial_arrays=arrays, num_rounds=2)
    np.testing.assert_array_equal(result.arrays.to_numpy_ndarrays()[0], np.arange(4))
    found = Recorded.read(tmp_path / "audit" / "recording")
    assert len(found.sent) == len(found.replies) == 4
    assert audited.called
    assert not hasattr(mine, "called")
    assert type(mine) is Mine


@pytest.mark.parametrize("strategy", [None, "FedAvg", FedAvg])
def test_what_is_no_strategy_is_refused(strategy: Any) -> None:
    with pytest.raises(TypeError, match=r"expected a strategy of flwr.serverapp.strategy, such as FedAvg\(\)"):
        audit(strategy)


def test_a_legacy_strategy_is_refused_with_what_to_do_instead() -> None:
    from flwr.server.strategy import FedAvg as Legacy

    with pytest.raises(TypeError, match=r"flwr\..*FedAvg; .* 'fedleak audit record APP_DIR'"):
        audit(Legacy())


@pytest.mark.parametrize("module", [recorder, watcher])
def test_the_files_that_are_copied_need_little(module: Any) -> None:
    """Python 3.10, flwr and numpy; torch only inside of functions, and of fedleak nothing."""
    tree = ast.parse(Path(module.__file__).read_text(), feature_version=(3, 10))
    top = {"flwr", "numpy", "recorder", *sys.stdlib_module_names}
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names = [str(node.module)] if isinstance(node, ast.ImportFrom) else names
        allowed = top if node in tree.body else {*top, "torch"}
        assert {name.partition(".")[0] for name in names} <= allowed, names
