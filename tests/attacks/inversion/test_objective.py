"""Against plain double backpropagation, and trials against each other."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from fedleak.attacks.inversion.decoders import Decoder
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.objective import BroadcastTensors, Objective, SearchTensors, TrialTensors
from fedleak.attacks.inversion.priors import Priors, total_variation_anisotropic
from fedleak.attacks.replay import LocalSteps, replica, split_state
from fedleak.models.base import Model
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from tests.attacks.inversion.builders import Victim, victim

SHAPE = (1, 8, 8)


def objective(one: Victim, *, steps: LocalSteps | None = None, **settings: object) -> Objective:
    chosen = {"distance": Distance(), "priors": Priors(total_variation=0.01), "decoder": Decoder()} | settings
    module = replica(one.leaked.build(seed=0), train_mode=False)
    return Objective(module, SHAPE, steps, **chosen)  # type: ignore[arg-type]


def known(one: Victim, trials: int, labels: torch.Tensor | None) -> SearchTensors:
    parameters, buffers = split_state(one.leaked.build(seed=0), one.state)
    target = {name: tensor.expand(trials, *tensor.shape) for name, tensor in one.update.tensors.items()}
    fixed = {} if labels is None else {"soft": F.one_hot(labels, 10).float().expand(trials, -1, -1)}
    return SearchTensors(BroadcastTensors(parameters, buffers), TrialTensors(target, labels=fixed))


def code(trials: int, count: int) -> torch.Tensor:
    return torch.randn(trials, count, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("model", [LeNet(channels=4), ConvNet(widths=(4, 4))], ids=repr)
def test_it_is_double_backpropagation(model: Model) -> None:
    one = victim(model, count=2)
    start = code(1, 2)
    gradient, total, matching = objective(one).value_and_gradient({"code": start}, known(one, 1, one.labels))

    module = one.leaked.build(seed=0).eval()
    parameters = {name: one.state[name].clone().requires_grad_(True) for name, _ in module.named_parameters()}
    buffers = {name: one.state[name] for name, _ in module.named_buffers()}
    images = start[0].clone().requires_grad_(True)
    loss = F.cross_entropy(functional_call(module, (parameters, buffers), (images,)), one.labels)
    trial = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
    flat = torch.cat([tensor.flatten() for tensor in trial])
    distance = 1 - F.cosine_similarity(flat, one.update.flat(), dim=0)
    value = distance + 0.01 * total_variation_anisotropic(images)
    (reference,) = torch.autograd.grad(value, images)
    torch.testing.assert_close(matching[0], distance.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(total[0], value.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradient["code"][0], reference, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("model", [LeNet(channels=4), ConvNet(widths=(4, 4))], ids=repr)
def test_trials_side_by_side_are_the_same_as_one_by_one(model: Model) -> None:
    one, priors = victim(model, count=2), Priors(total_variation=0.01, batch_norm=0.1)
    start = code(3, 2)
    together = objective(one, priors=priors).value_and_gradient({"code": start}, known(one, 3, one.labels))
    for i in range(3):
        alone = objective(one, priors=priors).value_and_gradient({"code": start[i : i + 1]}, known(one, 1, one.labels))
        torch.testing.assert_close(together[0]["code"][i], alone[0]["code"][0], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(together[2][i], alone[2][0], rtol=1e-4, atol=1e-6)


def test_free_labels_get_a_gradient_too() -> None:
    one = victim()
    variables = {"code": code(1, 1), "labels": torch.zeros(1, 1, 10)}
    gradient, _, _ = objective(one).value_and_gradient(variables, known(one, 1, None))
    assert float(gradient["labels"].abs().sum()) > 0


def test_the_truth_has_no_matching_loss() -> None:
    one = victim()
    _, _, matching = objective(one).value_and_gradient(
        {"code": ((one.images - 0.5) / 0.5)[None]}, known(one, 1, one.labels)
    )
    assert float(matching) == pytest.approx(0, abs=1e-5)


def test_the_group_is_used() -> None:
    """With a consensus far away, the pull towards it dominates the gradient."""
    one = victim()
    start, target = code(2, 1), torch.full((2, 1, *SHAPE), 5.0)
    some = known(one, 2, one.labels)
    pulled = objective(one, priors=Priors(group=1000.0))
    gradient, total, matching = pulled.value_and_gradient({"code": start}, some.with_consensus(target))
    distance = (start - target).flatten(1).norm(dim=1)
    torch.testing.assert_close(total - matching, 1000 * distance, rtol=1e-3, atol=1e-2)
    cosine = F.cosine_similarity(gradient["code"].flatten(1), (start - target).flatten(1))
    assert (cosine > 0.99).all()
