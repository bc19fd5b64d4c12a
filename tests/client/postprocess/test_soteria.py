"""Soteria against the authors' loop over features, and what an attacker who knows it makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.client.postprocess.base import Update
from fedleak.client.postprocess.soteria import Soteria, representation
from fedleak.errors import InputError, InputErrors
from fedleak.federation.plan import make_plan
from fedleak.models.lenet import LeNet
from fedleak.models.vit import ViT
from tests.attacks.inversion.builders import victim
from tests.attacks.inversion.test_adaptive import attacked
from tests.client.postprocess.updates import generator, updates
from tests.scenarios import scenario

MODEL = LeNet(channels=2).build((1, 8, 8), 4, seed=3)  # its last layer reads 8 features
WEIGHT = list(dict(MODEL.named_parameters()))[-2]


def batch(count: int) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=generator(1))


def by_hand(images: Tensor, rate: float) -> list[int]:
    """Pruned features, one backward pass each, as in the authors' code: the smallest slopes over values go."""
    body, ratios = nn.Sequential(*list(MODEL)[:-1]), torch.zeros(8)
    for image in images:
        x = image[None].clone().requires_grad_(True)
        features = body(x)[0]
        for f in range(8):
            (slope,) = torch.autograd.grad(features[f], x, retain_graph=True)
            ratios[f] += float(features[f].detach().abs() / slope.norm())
    return sorted(ratios.argsort(descending=True)[: int(rate * 8)].tolist())


def gradient_of(images: Tensor) -> dict[str, Tensor]:
    labels = torch.arange(len(images)) % 4
    loss = nn.functional.cross_entropy(MODEL(images), labels)
    return dict(zip(dict(MODEL.named_parameters()), torch.autograd.grad(loss, list(MODEL.parameters())), strict=True))


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("count", [1, 3])
def test_the_features_of_the_largest_ratio_are_pruned(count: int, rate: float) -> None:
    images = batch(count)
    update = gradient_of(images)
    shared = Soteria(rate=rate).at_source(update, model=MODEL, images=images)
    zero = [f for f in range(8) if not shared[WEIGHT][:, f].any()]
    assert zero == by_hand(images, rate)
    kept = [f for f in range(8) if f not in zero]
    assert torch.equal(shared[WEIGHT][:, kept], update[WEIGHT][:, kept])
    assert all(torch.equal(shared[name], tensor) for name, tensor in update.items() if name != WEIGHT)


def test_it_is_the_gradient_behind_a_perturbed_representation() -> None:
    """The layer's weight gradient is ``d r'^T`` with the pruned ``r'``: algorithm 1 of the paper."""
    images = batch(1)
    shared = Soteria(rate=0.5).at_source(gradient_of(images), model=MODEL, images=images)
    values, _ = representation(MODEL, WEIGHT, images)
    pruned = by_hand(images, 0.5)
    perturbed = values[0].clone().index_fill(0, torch.tensor(pruned), 0.0)
    bias = gradient_of(images)[WEIGHT.replace("weight", "bias")]
    torch.testing.assert_close(shared[WEIGHT], torch.outer(bias, perturbed))


@given(update=updates(), scale=st.sampled_from([0.0, 1e-20, 1.0, 1e20]), rate=st.floats(0, 0.99))
def test_only_columns_of_the_guarded_layer_change(update: Update, scale: float, rate: float) -> None:
    """Beside counters, empty tensors and any values; with representations of any size, all zero too."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 5, bias=False), nn.Linear(5, 2, bias=False)).requires_grad_(False)
    model[1].weight.copy_(torch.randn(5, 4, generator=generator(2)) * scale)
    whole = {**update, "2.weight": torch.randn(2, 5, generator=generator(3))}
    step, images = Soteria(layer="2.weight", rate=rate), torch.ones(2, 1, 2, 2)
    shared = step.at_source(whole, model=model, images=images)
    assert all(torch.equal(shared[name], tensor) for name, tensor in update.items())
    columns = shared["2.weight"].any(dim=0)
    assert int((~columns).sum()) == int(rate * 5 + 1e-9)
    assert torch.equal(shared["2.weight"], whole["2.weight"] * columns)


def test_features_that_are_zero_or_do_not_move() -> None:
    """A dead feature tells nothing and goes last; one that does not depend on the image tells most and goes first."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0.0, 0, 0, 0], [-1.0, 0, 0, 0]]))
        model[1].bias.copy_(torch.tensor([0.0, 5.0, 0.0]))
    images, update = torch.ones(1, 1, 2, 2), {"3.weight": torch.ones(2, 3), "3.bias": torch.ones(2)}
    zeros = {}
    for rate in (0.4, 0.7):
        shared = Soteria(layer="3.weight", rate=rate).at_source(update, model=model, images=images)
        zeros[rate] = [f for f in range(3) if not shared["3.weight"][:, f].any()]
    assert zeros == {0.4: [1], 0.7: [0, 1]}


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 2)).train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    Soteria().at_source({"3.weight": torch.ones(2, 72)}, model=model, images=batch(2))
    assert model.training
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert not model[3]._forward_pre_hooks


def test_who_knows_it_ignores_what_was_pruned() -> None:
    trial = {"a": torch.ones(2), WEIGHT: torch.ones(2, 3)}
    shared = {"a": torch.zeros(2), WEIGHT: torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 3.0]])}
    made = Soteria().surrogate(trial, shared=shared)
    assert torch.equal(made["a"], trial["a"])
    assert torch.equal(made[WEIGHT], torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]))


def test_an_adaptive_attacker_sees_through_it() -> None:
    one, step = victim(), Soteria(rate=0.9)
    model = one.leaked.build(seed=0)
    model.load_state_dict(one.state)
    tensors = step.at_source(one.update.tensors, model=model, images=(one.images - 0.5) / 0.5)
    hidden = replace(one, update=replace(one.update, tensors=tensors))
    settings = {"iterations": 60}
    plain = attacked(hidden, InvertingGradients.model_validate(settings), step)
    adaptive = attacked(hidden, InvertingGradients.model_validate(settings | {"adaptive": True}), step)
    assert min(adaptive.curve["matching_loss"]) < min(plain.curve["matching_loss"])
    assert one.psnr(adaptive) > one.psnr(plain)


MISPLACED: list[dict[str, Any]] = [
    {"protocol": "fedavg", "postprocess": ["soteria"]},
    {"batch_norm": "train_local", "postprocess": ["soteria"]},
    {"postprocess": ["sign_sgd", "soteria"]},
]


@pytest.mark.parametrize("client", MISPLACED, ids=["fedavg", "train", "second"])
def test_where_it_cannot_stand_it_is_refused(client: dict[str, Any]) -> None:
    with pytest.raises(InputErrors, match="soteria needs the batch: it must come first"):
        scenario(federation__client=client)


@pytest.mark.parametrize(
    ("model", "layer"),
    [({"kind": "mlp", "hidden": [6]}, "head.weight"), ({"kind": "lenet"}, "0.weight"), ({"kind": "mlp"}, "1.bias")],
)
def test_a_layer_that_it_cannot_guard_is_refused(model: dict[str, Any], layer: str) -> None:
    step = {"kind": "soteria", "layer": layer}
    with pytest.raises(InputError, match=r"postprocess\.0\.layer.*is not the weight of a linear layer"):
        make_plan(scenario(model=model, federation__client__postprocess=[step]))


def test_a_layer_that_reads_tokens_is_refused() -> None:
    model = ViT().build((3, 32, 32), 10, seed=0)
    names = [n for n, m in model.named_modules() if isinstance(m, nn.Linear)]
    with pytest.raises(ValueError, match="must be called once, with one vector per image"):
        Soteria(layer=f"{names[0]}.weight").check_model(model, torch.zeros(1, 3, 32, 32))
