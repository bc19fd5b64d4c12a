"""Messages become rounds, clients, broadcasts and replies; what cannot be attacked is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedleak.audit.app_observations import AppObservations, pixels, rounds_of, told_apart
from fedleak.audit.observed import Observation
from fedleak.audit.recorded import Recorded, SeenAbout, SeenTraining, SentMessage
from fedleak.audit.recorder import Recording, RecordingGrid
from fedleak.errors import InputError
from fedleak.federation.serial_grid import SerialGrid
from fedleak.progress import QuietProgress


def sent(message: str, node: int, *, call: int = 1, group: str = "", **settings: Any) -> SentMessage:
    return SentMessage(
        event="sent", message=message, node=node, group=group, call=call, arrays={}, metrics={}, config={"c": settings}
    )


def test_rounds_are_those_of_the_strategy_of_groups_or_of_calls() -> None:
    told = [sent("a", 1, call=1, **{"server-round": 3}), sent("b", 1, call=2, **{"server-round": 5})]
    groups = [sent("a", 1, group="1"), sent("b", 2, group="1"), sent("c", 1, group="2")]
    calls = [sent("a", 1, call=4), sent("b", 2, call=4), sent("c", 1, call=9)]
    twice = [sent("a", 1, group="1", call=1), sent("b", 1, group="1", call=2)]
    assert rounds_of(told) == {"a": 3, "b": 5}
    assert rounds_of(groups) == {"a": 1, "b": 1, "c": 2}
    assert rounds_of(calls) == {"a": 1, "b": 1, "c": 2}
    assert rounds_of(twice) == {"a": 1, "b": 2}  # no client answers twice in a round


def test_weights_are_near_the_broadcast_and_deltas_are_not() -> None:
    old = {"w": np.array([1.0, -2.0, 3.0], np.float32)}
    assert told_apart(old, {"w": old["w"] + 0.1}) == "weights"
    assert told_apart(old, {"w": np.array([0.1, 0.0, -0.1], np.float32)}) == "delta"


def test_pixels_are_what_the_network_took_without_the_normalisation() -> None:
    image = np.array([0, 51, 255], np.float32).reshape(1, 3, 1, 1) / 255
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.6, 0.7])
    taken = ((image - mean.reshape(1, 3, 1, 1)) / std.reshape(1, 3, 1, 1)).astype(np.float32)
    seen = SeenTraining(SeenAbout(message="m"), taken, np.zeros(1, np.int64), np.ones(1, np.int64))
    np.testing.assert_allclose(pixels(seen, mean, std), image, atol=1e-6)


def observed(
    folder: Path, reply: Any, *, config: dict[str, Any] | None = None, kind: str = "train"
) -> list[Observation]:
    """What a recording of one round with two clients tells, which answer as ``reply`` says."""
    app = ClientApp()
    app.train()(lambda message, _: Message(content=RecordDict(reply(message)), reply_to=message))
    app.evaluate()(lambda message, _: Message(content=RecordDict(reply(message)), reply_to=message))
    grid = RecordingGrid(SerialGrid(app, 2), Recording(folder))
    content = {"arrays": ArrayRecord({"w": array(1, 2)}), **(config or {})}
    grid.send_and_receive([Message(RecordDict(content), node, kind, group_id="1") for node in (1001, 1000)])
    return list(AppObservations(Recorded.read(folder), "auto", (0.5,), (0.5,), False, QuietProgress()))


def array(*values: float) -> Any:
    from flwr.app import Array

    return Array(np.array(values, np.float32))


def test_an_observation_has_broadcast_reply_and_samples(tmp_path: Path) -> None:
    found = observed(
        tmp_path, lambda _: {"arrays": ArrayRecord({"w": array(1.5, 2)}), "m": MetricRecord({"num-examples": 7})}
    )
    assert [(one.round, one.client, one.samples, one.returned_is) for one in found] == [
        (1, 0, 7, "weights"),
        (1, 1, 7, "weights"),
    ]
    assert {name: values.tolist() for name, values in found[0].sent.items()} == {"w": [1, 2]}  # type: ignore[union-attr]
    assert {name: values.tolist() for name, values in found[0].returned.items()} == {"w": [1.5, 2]}  # type: ignore[union-attr]


def test_of_several_records_the_one_with_the_usual_name_holds_the_model(tmp_path: Path) -> None:
    more = {"control": ArrayRecord({"w": array(9, 9)})}
    found = observed(tmp_path / "a", lambda _: {"arrays": ArrayRecord({"w": array(1, 3)}), **more}, config=more)
    assert found[0].returned["w"].tolist() == [1, 3]  # type: ignore[index,call-overload]
    with pytest.raises(InputError, match=r"update: got \['control', 'other'\]; expected one record of arrays"):
        observed(tmp_path / "b", lambda _: {"other": ArrayRecord({"w": array(1, 3)}), **more})


def test_what_cannot_be_attacked_is_named(tmp_path: Path) -> None:
    arrays = {"arrays": ArrayRecord({"w": array(1, 3)})}
    keys = {"secaggplus_configs": ConfigRecord({"stage": "setup"})}
    with pytest.raises(InputError, match="0 training messages'; expected messages of type 'train'"):
        observed(tmp_path / "a", lambda _: arrays, kind="evaluate")
    with pytest.raises(InputError, match=r"SecAgg or SecAgg\+'; its server sees only masked sums"):
        observed(tmp_path / "b", lambda _: arrays, config=keys)
    with pytest.raises(InputError, match=r"2 replies without arrays \(records: 'box'\).*encrypted ones"):
        observed(tmp_path / "c", lambda _: {"box": ConfigRecord({"cipher": b"0123"})})


def test_a_failed_client_is_an_observation_with_its_reason(tmp_path: Path) -> None:
    def refuse(_: Any) -> Any:
        raise RuntimeError("no data\nat all")

    found = observed(tmp_path, refuse)
    assert [(one.returned, one.failure) for one in found] == [(None, "at all")] * 2
