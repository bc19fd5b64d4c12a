from __future__ import annotations

from fedleak.studies.queue import MAX_LOSSES, Queue, distinct
from fedleak.studies.work import Unit


def cell(key: str, federation: str) -> Unit:
    return Unit("cell", key, federation, {"of": key})


def take(queue: Queue) -> Unit:
    unit = queue.take()
    assert unit is not None
    return unit


def test_a_federation_runs_once_and_before_its_cells() -> None:
    queue = Queue([cell("a", "f"), cell("b", "f")], set())
    federation = take(queue)
    assert (federation.kind, federation.key, federation.scenario) == ("federation", "f", {"of": "a"})
    assert queue.take() is None
    queue.done(federation)
    assert [take(queue).key, take(queue).key] == ["a", "b"]
    assert queue.take() is None


def test_cells_of_a_federation_that_nobody_attacks_come_first() -> None:
    queue = Queue([cell("a", "f"), cell("b", "f"), cell("c", "g")], {"f", "g"})
    assert [take(queue).key for _ in range(3)] == ["a", "c", "b"]


def test_another_federation_comes_before_a_second_cell_of_a_busy_one() -> None:
    queue = Queue([cell("a", "f"), cell("b", "f"), cell("c", "g")], {"f"})
    assert [take(queue).key for _ in range(3)] == ["a", "g", "b"]


def test_a_failed_federation_drops_its_cells_and_no_others() -> None:
    queue = Queue([cell("a", "f"), cell("b", "g"), cell("c", "f")], set())
    assert queue.failed(take(queue)) == ["a", "c"]
    assert take(queue).key == "g"


def test_a_lost_unit_is_tried_again_but_not_for_ever() -> None:
    queue = Queue([cell("a", "f"), cell("b", "f")], {"f"})
    for _ in range(MAX_LOSSES):
        unit = take(queue)
        assert unit.key == "a"
        assert queue.lost(unit)
    unit = take(queue)
    assert not queue.lost(unit)
    assert queue.failed(unit) == ["a"]
    assert take(queue).key == "b"


def test_it_is_finished_when_nothing_waits_or_works() -> None:
    queue = Queue([cell("a", "f")], {"f"})
    unit = take(queue)
    assert not queue.finished
    queue.done(unit)
    assert queue.finished


def test_each_key_is_one_unit() -> None:
    assert [unit.key for unit in distinct([cell("a", "f"), cell("b", "f"), cell("a", "f")])] == ["a", "b"]
