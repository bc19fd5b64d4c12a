"""Replies of clients that follow the protocol, and of those that do not."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from flwr.app import ConfigRecord, Message, MetricRecord

from fedleak.federation.replies import ExpectedReply
from fedleak.federation.wire import Reply
from tests.federation import small
from tests.federation.messages import request

GRADIENT = small.gradient("++++", 0)


def expected() -> ExpectedReply:
    planned = small.plan()
    return ExpectedReply.of(planned, planned.scenario.model.factory((1, 2, 2), 2)(0))


def message(update: dict[str, torch.Tensor] | None = None, **more: Any) -> Message:
    settings: dict[str, Any] = {"samples": 1, "loss": 0.5}
    return Message(Reply(update or GRADIENT, **(settings | more)).content(), reply_to=request(1))


def objection(sent: Message) -> str:
    return expected().objection(1, sent, Reply.of(sent))


def test_an_honest_reply() -> None:
    assert objection(message()) == ""
    assert objection(message(loss=float("nan"))) == ""  # its update shows whether anything is wrong


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"samples": 10**9}, r"it claims 1000000000 images; client 1 uses 1"),
        ({"samples": 0}, "it claims 0 images"),
        ({"samples": None}, r"the metrics \['loss'\]"),
        ({"loss": None}, r"the metrics \['num-examples'\]"),
        ({"clients": 9}, r"the metrics \['clients', 'loss', 'num-examples'\]"),
        ({"update": {"1.weight": torch.zeros(2, 4)}}, "parameter 1.bias is missing"),
        ({"update": GRADIENT | {"1.bias": torch.zeros(3)}}, r"1.bias has shape \(3,\); expected \(2,\)"),
        ({"update": GRADIENT | {"more": torch.zeros(1)}}, "there is no parameter more"),
        ({"update": GRADIENT | {"1.bias": torch.zeros(2, dtype=torch.int64)}}, "1.bias is torch.int64"),
        ({"buffers": {"seen": torch.zeros(1)}}, "there is no buffer seen"),
        ({"statistics": {"1.mean": torch.zeros(1)}}, "there is no batch statistic 1.mean"),
    ],
)
def test_what_is_wrong_with_others(sent: dict[str, Any], reason: str) -> None:
    found = objection(message(**sent))
    assert re.search(reason, found), found


def test_records_that_nobody_asked_for() -> None:
    sent = message()
    sent.content["extra"] = ConfigRecord({"a": 1})
    assert "it has the records ['arrays', 'extra', 'metrics']" in objection(sent)
    sent = message()
    sent.content["more"] = MetricRecord({"num-examples": 1})
    assert "'more'" in objection(sent)
