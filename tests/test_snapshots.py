from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from fedleak.snapshots import Loop, State, keeping


class Memory:
    """Keeps states in a list."""

    def __init__(self, states: Mapping[int, State] | None = None) -> None:
        self.states = dict(states or {})
        self.writes = 0

    def load(self) -> Mapping[int, State]:
        return self.states

    def save(self, states: Mapping[int, State]) -> None:
        self.states, self.writes = dict(states), self.writes + 1


def count(to: int, *, until: int | None = None) -> int:
    """Add up 0, 1, ...; interrupted before ``until``."""
    loop = Loop()
    earlier: dict[str, Any] = dict(loop.earlier or {"next": 0, "sum": 0})
    number, total = earlier["next"], earlier["sum"]
    while number < to:
        if number == until:
            raise KeyboardInterrupt
        number, total = number + 1, total + number
        loop.reached(partial(dict, next=number, sum=total))
    return int(total)


def two_loops(memory: Memory, *, until: int) -> int:
    with keeping(memory):
        return count(4) + count(10, until=until)


def broken(memory: Memory) -> None:
    with keeping(memory):
        Loop().reached(dict)
        raise ValueError("broken")


def test_an_interrupted_loop_goes_on_where_it_was() -> None:
    memory = Memory()
    with pytest.raises(KeyboardInterrupt):
        two_loops(memory, until=7)
    assert memory.states == {0: {"next": 4, "sum": 6}, 1: {"next": 7, "sum": 21}}
    again = Memory(memory.states)
    assert two_loops(again, until=3) == 6 + 45
    assert again.writes == 0


def test_states_are_written_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("fedleak.snapshots.time.monotonic", lambda: now[0])
    memory = Memory()
    with keeping(memory):
        loop = Loop()
        for second in range(1, 50):
            now[0] = float(second)
            assert loop.is_due == (second in (20, 40))
            loop.reached(partial(dict, second=second))
    assert memory.writes == 2
    assert memory.states == {0: {"second": 40}}


def test_other_errors_keep_nothing_new() -> None:
    memory = Memory()
    with pytest.raises(ValueError, match="broken"):
        broken(memory)
    assert memory.writes == 0


def test_without_a_keeper_a_loop_starts_at_the_beginning() -> None:
    loop = Loop()
    loop.reached(lambda: pytest.fail("nobody keeps it"))
    assert loop.earlier is None
    assert not loop.is_due
