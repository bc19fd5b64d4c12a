"""What an attacker assumes of local training, as it is written, and as steps to unroll."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.attacks.inversion.settings import Assumption, LocalTraining, LocalTrainingGuess, StartFrom
from fedleak.attacks.replay import LocalSteps
from fedleak.client.local_sgd import PLAIN_SGD, LocalSgd
from fedleak.client.optimizer.adam import Adam

ADAPTER: TypeAdapter[Any] = TypeAdapter(LocalTraining)
HEAVY = LocalSgd(momentum=0.5)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("unknown", None),
        (None, None),
        ("estimated", LocalTrainingGuess(learning_rate="estimated")),
        ("known", "known"),
        ("known_with_order", "known_with_order"),
        ({"learning_rate": 0.1, "epochs": 2}, LocalTrainingGuess(learning_rate=0.1, epochs=2)),
    ],
)
def test_words_for_what_is_known(written: object, meant: object) -> None:
    assert ADAPTER.validate_python(written) == meant


@pytest.mark.parametrize("written", ["worst", "best", {"epochs": 1}, {"learning_rate": 0.1, "orders": 0}, 0.1])
def test_other_words_are_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(written)


@pytest.mark.parametrize("local", [{"learning_rate": []}, {"learning_rate": 0.1, "epochs": [1, 0]}])
def test_an_empty_or_impossible_list_is_refused(local: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        InvertingGradients.model_validate({"local_training": local})


def test_every_combination_of_what_is_left_open() -> None:
    guess = LocalTrainingGuess(learning_rate=(0.1, 0.2), epochs=(1, 3), batch_size=(2, None), sgd=HEAVY)
    assert [(a.learning_rate, a.epochs, a.batch_size) for a in guess.assumptions(5)] == [
        (rate, epochs, size) for rate in (0.1, 0.2) for epochs in (1, 3) for size in (2, 5)
    ]
    assert {a.optimizer for a in guess.assumptions(5)} == {HEAVY}


def test_no_batch_is_larger_than_what_the_client_has() -> None:
    (assumed,) = LocalTrainingGuess(learning_rate=0.1, batch_size=100).assumptions(3)
    assert assumed.batch_size == 3


def test_a_rate_that_the_update_tells_is_left_open() -> None:
    guess = LocalTrainingGuess(learning_rate="estimated")
    assert guess.is_estimated
    assert guess.assumptions(3) == (Assumption(None, 1, 3, PLAIN_SGD),)
    assert not LocalTrainingGuess(learning_rate=0.1).is_estimated


@pytest.mark.parametrize(
    ("assumed", "reach"),
    [
        (Assumption(None, 1, 5, PLAIN_SGD), 1),
        (Assumption(None, 2, 2, PLAIN_SGD), 6),
        (Assumption(None, 3, 5, HEAVY), 1 + 1.5 + 1.75),
    ],
)
def test_how_far_the_steps_of_five_images_go(assumed: Assumption, reach: float) -> None:
    assert assumed.reach(5) == reach
    assert assumed.rate(5, distance=0.6) == pytest.approx(0.6 / reach)


def test_a_stated_rate_is_kept_whatever_the_update_tells() -> None:
    assert Assumption(0.1, 2, 2, PLAIN_SGD).rate(5, distance=0.6) == 0.1


def test_the_steps_of_the_first_assumption_and_the_others_as_alternatives() -> None:
    guess = LocalTrainingGuess(learning_rate="estimated", epochs=(1, 2), batch_size=2, sgd=HEAVY)
    first = LocalSteps(pytest.approx(0.5 / 2.5), ((0, 1), (2,)), HEAVY)  # type: ignore[arg-type]
    steps = guess.steps(3, 0.5)
    assert (steps.learning_rate, steps.batches, steps.optimizer) == (first.learning_rate, first.batches, HEAVY)
    (other,) = steps.alternatives
    assert other.batches == ((0, 1), (2,)) * 2
    assert other.learning_rate == pytest.approx(0.5 / HEAVY.reach(4))


@pytest.mark.parametrize(("size", "orders"), [(2, 3), (None, 1), (4, 1)])
def test_orders_matter_only_where_there_are_mini_batches(size: int | None, orders: int) -> None:
    steps = LocalTrainingGuess(learning_rate=0.1, batch_size=size, orders=3).steps(4, 0.0)
    assert len(steps.every) == orders
    assert all(sorted(sum(each.batches, ())) == [0, 1, 2, 3] for each in steps.every)


def test_a_start_is_written_with_the_word_from() -> None:
    start = StartFrom.model_validate({"from": "lti"})
    assert (start.from_, start.noise) == ("lti", 0.05)
    assert start.model_dump() == {"from": "lti", "noise": 0.05}
    assert StartFrom.model_validate(start.model_dump()) == start
    with pytest.raises(ValidationError):
        StartFrom.model_validate({"noise": 0.1})


def test_an_assumed_optimizer_and_proximal_term_reach_the_steps() -> None:
    guess = LocalTrainingGuess.model_validate({"learning_rate": 0.1, "optimizer": "adam", "proximal_mu": 0.2})
    steps = guess.steps(2, distance=0.0)
    assert (steps.optimizer, steps.proximal_mu) == (Adam(), 0.2)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"learning_rate": "estimated", "optimizer": "adam"}, "after steps of adam: give the rate"),
        ({"learning_rate": 0.1, "optimizer": "adam", "sgd": {"momentum": 0.5}}, "choose either sgd or optimizer"),
    ],
)
def test_assumptions_that_contradict_each_other_are_refused(wrong: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        LocalTrainingGuess.model_validate(wrong)
