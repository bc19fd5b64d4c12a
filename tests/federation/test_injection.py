"""Pairs through the compromised client's channel: their order, their messages, and what ends them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from torch import Tensor

from fedleak.errors import FederationError
from fedleak.federation import injection
from fedleak.federation.client import app
from fedleak.federation.failures import WorkerLostError
from fedleak.federation.injection import gather_pairs
from fedleak.federation.serial_grid import FIRST_NODE, SerialGrid
from fedleak.federation.server import Server
from fedleak.federation.wire import Reply, injected_batches, instruction_of
from fedleak.progress import QuietProgress
from tests.federation.small import PUBLIC, PUBLIC_LABELS, check_close, gradient, plan, server, zeros

PAIRS = 12


class Counting(SerialGrid):
    """Remembers the messages.

    Attributes:
        sent: those of each push.
    """

    def __init__(self, client_app: ClientApp = app) -> None:
        super().__init__(client_app, 3)
        self.sent: list[list[Message]] = []

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        self.sent.append(list(messages))
        return super().push_messages(self.sent[-1])


def begun(folder: Path, **changes: Any) -> Server:
    """A server before its first round, with a plan for twelve pairs."""
    return server(folder, plan(adversary__injection={"pairs": PAIRS, "rounds": [1]}, **changes))


def gather(own: Server, grid: SerialGrid, pairs: range = range(PAIRS), *, client: int = 0) -> None:
    """Gather pairs through a client, on the network of zeros."""
    gather_pairs(
        grid,
        own.plan,
        pairs,
        node=FIRST_NODE + client,
        arrays=ArrayRecord(torch_state_dict=zeros()),
        instruct=lambda start: own._instruct(1, first_pair=start, injected=True),
        layout=own.layout,
        writer=own.writer,
        stop=threading.Event(),
        progress=QuietProgress().task("pairs", len(pairs)),
    )


def stored(own: Server) -> torch.Tensor:
    """All rows, as they lie on disk."""
    return torch.from_numpy(np.load(own.writer.folder / "pairs/updates.npy"))


def answering(function: Callable[[Message], Message]) -> Counting:
    """Clients of another kind."""
    own = ClientApp()

    @own.query("inject")
    def inject(message: Message, context: Context) -> Message:
        return function(message)

    return Counting(own)


def several(count: int) -> dict[str, torch.Tensor]:
    """Updates of zeros, stacked."""
    return {name: torch.stack([tensor] * count) for name, tensor in zeros().items()}


def test_every_pair_is_answered_by_the_gradient_of_its_image(tmp_path: Path) -> None:
    own = begun(tmp_path)
    gather(own, Counting())
    rows = own.layout.unflatten(stored(own))
    for pair in range(PAIRS):
        public = (pair + 1) % 2
        check_close({n: t[pair] for n, t in rows.items()}, gradient(PUBLIC[public], PUBLIC_LABELS[public]))
    assert own.writer.pairs_done == PAIRS


def test_messages_go_to_the_compromised_client_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row has ten values of four bytes; two rows to a message make six messages, four of them in flight."""
    monkeypatch.setattr(injection, "MESSAGE_BYTES", 4 * 10 * 2)
    own, grid = begun(tmp_path), Counting()
    gather(own, grid, client=2)
    assert [len(pushed) for pushed in grid.sent] == [4, 2]
    messages = [message for pushed in grid.sent for message in pushed]
    assert {message.metadata.dst_node_id for message in messages} == {FIRST_NODE + 2}
    assert [instruction_of(message).first_pair for message in messages] == [0, 2, 4, 6, 8, 10]
    assert [injected_batches(message)[1].tolist() for message in messages] == [[[0], [1]]] * 6


def test_a_small_message_still_holds_a_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injection, "MESSAGE_BYTES", 1)
    own, grid = begun(tmp_path), Counting()
    gather(own, grid, range(5))
    assert [len(pushed) for pushed in grid.sent] == [4, 1]
    assert own.writer.pairs_done == 5


def test_pairs_in_the_transcript_are_not_gathered_again(tmp_path: Path) -> None:
    own = begun(tmp_path)
    gather(own, Counting(), range(5))
    grid = Counting()
    gather(own, grid)
    ((message,),) = grid.sent
    assert instruction_of(message).first_pair == 5
    assert len(injected_batches(message)[0]) == PAIRS - 5
    assert stored(own).any(dim=1).all()


def test_a_later_round_begins_at_its_own_pairs(tmp_path: Path) -> None:
    own = begun(tmp_path)
    grid = Counting()
    gather(own, grid, range(8, PAIRS))
    assert instruction_of(grid.sent[0][0]).first_pair == 8
    assert stored(own).any(dim=1).tolist() == [False] * 8 + [True] * 4


def test_replies_may_arrive_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injection, "MESSAGE_BYTES", 4 * 10 * 2)

    class Backwards(Counting):
        def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
            return list(super().pull_messages(message_ids))[::-1]

    orders = [begun(tmp_path / name) for name in "ab"]
    for own, grid in zip(orders, (Counting(), Backwards()), strict=True):
        gather(own, grid)
    assert torch.equal(*(stored(own) for own in orders))


def test_a_failing_client_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    def refuse(message: Message) -> Message:
        raise ValueError("no")

    own = begun(tmp_path)
    with pytest.raises(
        FederationError, match="the compromised client did not answer the injected pairs: ValueError: no"
    ) as e:
        gather(own, answering(refuse))
    assert type(e.value) is FederationError
    assert own.writer.pairs_done == 0


def test_a_lost_worker_asks_for_a_new_engine_and_what_was_answered_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(injection, "MESSAGE_BYTES", 4 * 10 * 2)

    def die(message: Message) -> Message:
        if instruction_of(message).first_pair >= 4:
            raise RuntimeError("ActorDiedError")
        return Message(
            Reply({n: t[None].repeat(2, *[1] * t.ndim) for n, t in zeros().items()}).content(), reply_to=message
        )

    own = begun(tmp_path)
    with pytest.raises(WorkerLostError, match="the worker process died"):
        gather(own, answering(die))
    assert own.writer.pairs_done == 4


def test_silence_is_told_as_such(tmp_path: Path) -> None:
    class Mute(Counting):
        def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
            return []

    own = begun(tmp_path, federation__engine={"kind": "serial", "timeout": 0.05})
    with pytest.raises(FederationError, match="no reply in time"):
        gather(own, Mute())


def test_a_pair_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    def diverge(message: Message) -> Message:
        rows = several(PAIRS)
        rows["1.bias"][3, 1] = torch.inf
        return Message(Reply(rows).content(), reply_to=message)

    own = begun(tmp_path)
    with pytest.raises(FederationError, match="an injected pair's update holds NaN or infinite values"):
        gather(own, answering(diverge))
    assert own.writer.pairs_done == 0


def test_a_plan_without_injection_has_nothing_to_gather(tmp_path: Path) -> None:
    own = server(tmp_path, plan(adversary__injection=None))
    with pytest.raises(ValueError, match="the plan has no injection"):
        gather(own, Counting())


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (None, "by a malformed reply: KeyError"),
        ({"1.weight": torch.zeros(PAIRS, 2, 4)}, r"by a malformed reply: ValueError: update of 1.bias: expected shape"),
        (several(PAIRS - 1), f"answered {PAIRS} injected pairs by {PAIRS - 1} updates"),
    ],
)
def test_a_malformed_answer_ends_the_run_with_a_reason(
    tmp_path: Path, answers: dict[str, Tensor] | None, reason: str
) -> None:
    def rubbish(message: Message) -> Message:
        content = Reply(answers).content() if answers is not None else RecordDict()
        return Message(content, reply_to=message)

    own = begun(tmp_path)
    with pytest.raises(FederationError, match=reason):
        gather(own, answering(rubbish))
    assert own.writer.pairs_done == 0
