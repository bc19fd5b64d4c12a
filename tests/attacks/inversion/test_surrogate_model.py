from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from fedleak.attacks.inversion.objective import SURROGATE, surrogate
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.surrogate_model import SurrogateModel
from fedleak.attacks.replay import loss_gradient, replica
from fedleak.client.local_training import LocalTraining
from fedleak.client.postprocess.elementwise_clipping import ElementwiseClipping
from fedleak.errors import AttackFailedError
from fedleak.models.convnet import ConvNet
from fedleak.threat import PostProcessingDetails
from tests.attacks.inversion.builders import Victim, victim
from tests.attacks.inversion.test_objective import known, objective

STEPS = LocalTraining("fedavg", batch_size=2, epochs=10, learning_rate=1.0, train_mode=False)
QUICK = {"iterations": 5, "optimiser": {"kind": "adam", "learning_rate": 0.1}, "compile": "never"}


def quick(**changes: object) -> SurrogateModel:
    return SurrogateModel.model_validate(QUICK | changes)


def by_delta(one: Victim) -> dict[str, torch.Tensor]:
    return {name: -tensor for name, tensor in one.update.tensors.items()}


def test_the_line_by_hand() -> None:
    weights, target = {"w": torch.tensor([1.0, 2.0]), "frozen": torch.tensor(5.0)}, {"w": torch.tensor([4.0, -2.0])}
    found = surrogate(weights, target, torch.tensor(0.25))
    assert found["w"].tolist() == [0.0, 2.5]
    assert found["frozen"] == 5.0


@pytest.mark.parametrize("position", [0.0, 0.4, 1.0])
def test_the_gradient_is_that_at_the_surrogate_model(position: float) -> None:
    """Against the cosine of a gradient that is computed at weights moved by hand."""
    one = victim(ConvNet(widths=(4, 4), normalisation="none"), count=2, training=STEPS, uniform=False)
    images = (one.images - 0.5) / 0.5
    tensors = known(one, 1, one.labels)
    tensors = tensors._replace(trials=tensors.trials._replace(target={n: t[None] for n, t in by_delta(one).items()}))
    variables = {"code": images[None], SURROGATE: torch.tensor([position])}
    gradient, _, matching = objective(one).value_and_gradient(variables, tensors)

    moved = {name: one.state[name] + position * delta for name, delta in one.update.tensors.items()}
    module = replica(one.leaked.build(seed=0), train_mode=False)
    soft = torch.nn.functional.one_hot(one.labels, 10).float()
    direction = torch.cat([g.flatten() for g in loss_gradient(module, moved, {}, images, soft).values()])
    cosine = torch.nn.functional.cosine_similarity(direction, -one.update.flat(), dim=0)
    torch.testing.assert_close(matching[0], 1 - cosine, rtol=1e-4, atol=1e-6)
    assert gradient[SURROGATE].shape == (1,)
    assert gradient[SURROGATE].isfinite().all()


def test_the_position_moves_at_its_own_rate_and_stays_on_the_line() -> None:
    one = victim(count=2, training=STEPS, uniform=False)
    fixed = one.attacked_by(quick(position_rate=0, position=0.3)).curve["surrogate_position"]
    slow = one.attacked_by(quick(iterations=1, position_rate=0.01)).curve["surrogate_position"][0]
    far = one.attacked_by(quick(iterations=3, position_rate=10)).curve["surrogate_position"][0]
    assert fixed == [pytest.approx(0.3)]
    assert abs(slow - 0.5) == pytest.approx(0.01, rel=1e-3)
    assert far in (0.0, 1.0)


def test_at_the_broadcast_model_it_takes_the_update_for_one_gradient() -> None:
    """At position 0 the loss of the start is that of Inverting Gradients."""
    one = victim(count=2, training=STEPS, uniform=False)
    start = one.attacked_by(quick(position=0, position_rate=0)).curve["matching_loss"][0]
    other = one.attacked_by(quick(position=0.5, position_rate=0)).curve["matching_loss"][0]
    assert start != other


@pytest.mark.slow
def test_ten_unknown_steps_give_three_decibel_more_than_one_gradient() -> None:
    far = LocalTraining("fedavg", batch_size=1, epochs=10, learning_rate=0.1, train_mode=False)
    one = victim(first=20, training=far)
    settings = {"iterations": 300, "priors": {"total_variation": 1e-4}}
    found = one.psnr(one.attacked_by(quick(**settings)))
    single = one.psnr(one.attacked_by(quick(**settings, position=0, position_rate=0)))
    assert found > single + 3


def test_a_gradient_has_no_returned_model() -> None:
    assert "surrogate_position" not in victim(count=2).attacked_by(quick()).curve


def test_restarts_have_positions_of_their_own() -> None:
    found = victim(count=2, training=STEPS, uniform=False).attacked_by(quick(restarts=3))
    assert len(found.curve["surrogate_position"]) == 1
    assert torch.isfinite(found.images).all()


def test_post_processing_is_applied_to_the_surrogates_gradient_unless_it_needs_a_size() -> None:
    one = victim(count=2, training=STEPS, uniform=False)
    attack = quick(adaptive=True)
    clipped = one.bundle(attack, postprocessing=PostProcessingDetails((ElementwiseClipping(bound=0.1),)))
    with pytest.raises(AttackFailedError, match="needs their scale"):
        attack.reconstruct(clipped, generator=torch.Generator())


@pytest.mark.parametrize("changes", [{"optimiser": {"kind": "lbfgs"}}, {"local_training": "known"}, {"position": 1.5}])
def test_settings_that_mean_nothing_here_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        quick(**changes)


def test_the_defaults_are_the_authors() -> None:
    attack = SurrogateModel()
    assert (attack.iterations, attack.position, attack.position_rate, attack.keep) == (1000, 0.5, 0.001, "last")
    assert attack.optimiser == Optimiser(kind="adam", learning_rate=1.0, schedule="step")
