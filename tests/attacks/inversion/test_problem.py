"""The problem behind an update: how many images, through which local steps, behind which post-processing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from fedleak.attacks.inversion.dlg import Dlg
from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.attacks.inversion.problem import Problem, estimated_distance, make_problem
from fedleak.attacks.inversion.settings import LocalTrainingGuess
from fedleak.attacks.replay import LocalSteps, replay, replica, split_state
from fedleak.client.local_sgd import LocalSgd
from fedleak.client.local_training import LocalTraining
from fedleak.client.postprocess.gradient_masking import GradientMasking
from fedleak.client.postprocess.sign_sgd import SignSgd
from fedleak.errors import AttackFailedError
from fedleak.models.lenet import LeNet
from fedleak.threat import MiniBatchOrder, PostProcessingDetails, TrainingDetails
from tests.attacks.inversion.builders import Victim, victim

TRUE_RATE = 0.02


def averaging(*, epochs: int = 1, batch_size: int = 1) -> LocalTraining:
    return LocalTraining("fedavg", batch_size=batch_size, epochs=epochs, learning_rate=TRUE_RATE, train_mode=False)


def estimate(one: Victim, *, steps: float, **changes: Any) -> float:
    known = one.bundle(InvertingGradients(), update=changes.get("update"))
    return estimated_distance(known, changes.get("labels", one.labels)) / steps


@pytest.mark.parametrize(("count", "epochs", "batch_size"), [(1, 1, 1), (4, 2, 2), (4, 1, 4)])
def test_the_rate_of_a_real_client_is_found(count: int, epochs: int, batch_size: int) -> None:
    one = victim(count=count, training=averaging(epochs=epochs, batch_size=batch_size), uniform=False)
    steps = epochs * -(-count // batch_size)
    assert estimate(one, steps=steps) == pytest.approx(TRUE_RATE, rel=0.15)
    assert estimate(one, steps=2 * steps) == pytest.approx(TRUE_RATE / 2, rel=0.15)


@pytest.mark.parametrize(("count", "epochs"), [(1, 1), (4, 2)])
def test_without_a_last_bias_norms_tell_it_roughly(count: int, epochs: int) -> None:
    blind = victim(
        LeNet(channels=4, last_bias=False), count=count, training=averaging(epochs=epochs, batch_size=4), uniform=False
    )
    assert TRUE_RATE / 2 < estimate(blind, steps=epochs) < 2 * TRUE_RATE


def test_momentum_counts_as_more_steps() -> None:
    heavy = LocalSgd(momentum=0.9)
    training = replace(averaging(epochs=4, batch_size=4), optimizer=heavy)
    one = victim(count=4, training=training, uniform=False)
    assert estimate(one, steps=heavy.reach(4)) == pytest.approx(TRUE_RATE, rel=0.25)


def test_what_cannot_be_estimated_says_so() -> None:
    one = victim(training=averaging(), uniform=False)
    turned = replace(one.update, tensors={name: -tensor for name, tensor in one.update.tensors.items()})
    with pytest.raises(AttackFailedError, match="does not point against"):
        estimate(one, steps=1, update=turned)
    with pytest.raises(AttackFailedError, match="needs labels"):
        estimate(one, steps=1, labels=None)


def test_estimated_local_steps_are_unrolled() -> None:
    one = victim(count=2, training=averaging(epochs=2), uniform=False)
    attack = InvertingGradients.model_validate({"iterations": 2, "local_training": "estimated"})
    problem = attack.problem(one.bundle(attack))
    assert problem.steps is not None
    assert problem.steps.learning_rate == pytest.approx(2 * 2 * TRUE_RATE, rel=0.15)  # one full-batch step assumed
    assert one.attacked_by(attack).images.isfinite().all()
    assert attack.victims_together(one.bundle(attack)) == 1


def test_several_orders_are_assumed() -> None:
    one = victim(count=4, training=averaging(epochs=2, batch_size=2))
    local = {"learning_rate": TRUE_RATE, "epochs": 2, "batch_size": 2, "orders": 3}
    attack = InvertingGradients.model_validate({"iterations": 2, "local_training": local})
    steps = attack.problem(one.bundle(attack)).steps
    assert steps is not None
    orders = [one.batches for one in steps.every]
    assert len(set(orders)) == 3
    for order in orders:
        assert [len(batch) for batch in order] == [2, 2, 2, 2]
        assert sorted(order[0] + order[1]) == sorted(order[2] + order[3]) == [0, 1, 2, 3]
    assert steps == attack.problem(one.bundle(attack)).steps
    assert torch.isfinite(one.attacked_by(attack).images).all()


def test_settings_that_are_left_open_are_averaged_over() -> None:
    """Every combination once, an estimated distance shared out among the steps of each."""
    one = victim(count=4, training=averaging(epochs=2, batch_size=2), uniform=False)
    local = {"learning_rate": "estimated", "epochs": [1, 2], "batch_size": [2, None]}
    attack = InvertingGradients.model_validate({"iterations": 2, "local_training": local})
    steps = attack.problem(one.bundle(attack)).steps
    assert steps is not None
    assert [[len(batch) for batch in assumed.batches] for assumed in steps.every] == [[2, 2], [4], [2] * 4, [4, 4]]
    went = [assumed.learning_rate * len(assumed.batches) for assumed in steps.every]
    assert went == pytest.approx([went[0]] * 4)
    assert torch.isfinite(one.attacked_by(attack).images).all()


def test_a_list_of_learning_rates_is_averaged_over() -> None:
    """The mean of what each of them leads to by itself."""
    one = victim(count=2, training=averaging(epochs=1, batch_size=2), uniform=False)
    deltas = []
    for rate in ([0.1], [0.3], [0.1, 0.3]):
        attack = InvertingGradients.model_validate({"local_training": {"learning_rate": rate, "batch_size": 1}})
        problem = attack.problem(one.bundle(attack))
        module = replica(one.leaked.build(seed=0), train_mode=False)
        parameters, buffers = split_state(module, one.state)
        targets = torch.nn.functional.one_hot(one.labels, 10).float()
        deltas.append(replay(module, parameters, buffers, one.images, targets, problem.steps))
    for name, both in deltas[2].items():
        torch.testing.assert_close(both, (deltas[0][name] + deltas[1][name]) / 2)


@pytest.mark.parametrize("epochs", [2, [1, 2]])
def test_steps_behind_a_sum_cannot_be_unrolled_not_even_as_one_possibility(epochs: int | list[int]) -> None:
    one = victim(count=2, training=averaging(epochs=1, batch_size=2), uniform=False)
    summed = replace(one, update=replace(one.update, summed=(1, 2)))
    attack = InvertingGradients.model_validate({"local_training": {"learning_rate": 0.1, "epochs": epochs}})
    with pytest.raises(AttackFailedError, match="cannot be unrolled from the sum"):
        attack.problem(summed.bundle(attack))


ATTACK = InvertingGradients()


def test_labels_say_how_many_images_there_are_and_else_the_client_does() -> None:
    one = victim(count=3)
    assert Problem(one.bundle(ATTACK)).samples == 3
    unlabelled = one.bundle(Dlg(), update=replace(one.update, samples=5))
    assert Problem(unlabelled).labels is None
    assert Problem(unlabelled).samples == 5
    with pytest.raises(AttackFailedError, match="does not report how many images"):
        make_problem(one.bundle(Dlg(), update=replace(one.update, samples=None)), None)


def test_only_a_delta_of_unknown_steps_has_no_size() -> None:
    gradient, delta = victim(), victim(training=averaging())
    assert Problem(gradient.bundle(ATTACK)).knows_size
    assert not Problem(delta.bundle(ATTACK)).knows_size
    assert Problem(delta.bundle(ATTACK), LocalSteps(0.1, ((0,),))).knows_size


def test_a_gradient_has_no_local_steps_whatever_is_guessed() -> None:
    assert make_problem(victim().bundle(ATTACK), LocalTrainingGuess(learning_rate=0.1)).steps is None


def test_granted_settings_go_before_guessed_ones_and_a_granted_order_before_all() -> None:
    one = victim(count=4, training=averaging(epochs=2, batch_size=2))
    training = TrainingDetails(0.3, local_epochs=1, batch_size=2)
    guess = LocalTrainingGuess(learning_rate=9.0, epochs=7, orders=3)
    steps = make_problem(one.bundle(ATTACK, training=training), guess).steps
    assert steps is not None
    assert {each.learning_rate for each in steps.every} == {0.3}
    assert [[len(batch) for batch in each.batches] for each in steps.every] == [[2, 2]] * 3
    order = MiniBatchOrder(((2, 0), (1, 3)))
    known = make_problem(one.bundle(ATTACK, training=training, order=order), None).steps
    assert known == LocalSteps(0.3, ((2, 0), (1, 3)))


def test_trial_updates_pass_through_what_is_granted_and_leave_frozen_layers_alone() -> None:
    chain = (GradientMasking(layers=("*.weight",), mode="freeze"), SignSgd())
    one = victim(training=averaging())
    known = one.bundle(ATTACK, postprocessing=PostProcessingDetails(chain))
    problem = make_problem(known, LocalTrainingGuess(learning_rate=0.1))
    assert problem.postprocessing == chain
    assert problem.steps is not None
    assert problem.steps.frozen == ("*.weight",)
    assert Problem(one.bundle(ATTACK)).postprocessing == ()


def test_computation_follows_the_update() -> None:
    one = victim()
    double = replace(one.update, tensors={name: tensor.double() for name, tensor in one.update.tensors.items()})
    problem = Problem(one.bundle(ATTACK, update=double))
    assert (problem.like.dtype, problem.device) == (torch.float64, torch.device("cpu"))
