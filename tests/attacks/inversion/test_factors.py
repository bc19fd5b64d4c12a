"""Against gradients that are written out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from fedleak.attacks.inversion.distances import SCALE_FREE, Distance
from fedleak.attacks.inversion.engine import Engine
from fedleak.attacks.inversion.factors import Factors, factored_gradient, wide_layers, written_out
from fedleak.attacks.replay import LocalSteps, loss_gradient, replica
from fedleak.models.base import Model
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.models.resnet import ResNet
from fedleak.models.swin import Swin
from fedleak.models.vgg import Vgg
from fedleak.models.vit import ViT
from tests.attacks.inversion.builders import victim
from tests.attacks.inversion.test_engine import ADAM
from tests.attacks.inversion.test_objective import SHAPE, code, known, objective

WIDE: list[Model] = [
    ResNet(width=16),
    ResNet(width=16, normalisation="none"),
    Mlp(hidden=(256, 256)),
]


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_products_and_norms_are_those_of_the_product() -> None:
    factors = Factors(random(3, 2), random(8, 2))
    product = factors.errors @ factors.inputs.T
    other = random(3, 2, 2, 2)
    torch.testing.assert_close(factors.inner(other), (product.reshape(other.shape) * other).sum())
    torch.testing.assert_close(factors.squared_norm(), product.square().sum())
    torch.testing.assert_close(written_out(factors, other), product.reshape(other.shape))


@pytest.mark.parametrize("model", [*WIDE, Vgg(width=16, normalisation="none"), ViT(), Swin()], ids=repr)
@pytest.mark.parametrize("images", [1, 2])
def test_factors_multiply_to_the_gradient(model: Model, images: int) -> None:
    shape = (3, 32, 32)
    module = replica(model.build(shape, 10, seed=0), train_mode=False)
    layers = wide_layers(module, shape, images)
    assert layers or isinstance(model, ViT)
    state = dict(module.named_parameters()), dict(module.named_buffers())
    batch, targets = random(images, *shape), F.one_hot(torch.arange(images), 10).float()
    plain = loss_gradient(module, *state, batch, targets)
    factored = factored_gradient(module, *state, batch, targets, layers)
    assert list(factored) == list(plain)
    assert {n for n, part in factored.items() if isinstance(part, Factors)} == {f"{name}.weight" for name in layers}
    for name, gradient in plain.items():
        size = float(gradient.abs().max())
        torch.testing.assert_close(written_out(factored[name], gradient), gradient, rtol=1e-3, atol=1e-4 * size)


@pytest.mark.parametrize("model", WIDE, ids=repr)
@pytest.mark.parametrize("kind", sorted(SCALE_FREE))
def test_the_objective_and_its_gradient_are_the_same(model: Model, kind: str) -> None:
    one = victim(model, count=2, uniform=False)
    factored = objective(one, distance=Distance(kind=kind))  # type: ignore[arg-type]
    assert factored.wide_layers(2)
    start, given = {"code": code(3, 2)}, known(one, 3, one.labels)
    gradient, total, matching = factored.value_and_gradient(start, given)
    expected = replace(factored, factored=False).value_and_gradient(start, given)
    torch.testing.assert_close(gradient["code"], expected[0]["code"], rtol=1e-2, atol=1e-5)
    torch.testing.assert_close(total, expected[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(matching, expected[2], rtol=1e-4, atol=1e-5)


def test_one_block_alone_is_matched_from_its_own_gradients() -> None:
    one = victim(ResNet(width=16), count=2, uniform=False)
    block = objective(one, distance=Distance(layers=("layer3.1", "fc")))
    start, given = {"code": code(1, 2)}, known(one, 1, one.labels)
    _, _, matching = block.value_and_gradient(start, given)
    module = one.leaked.build(seed=0).eval()
    module.load_state_dict(one.state)
    chosen = {n: p for n, p in module.named_parameters() if n.startswith(("layer3.1.", "fc."))}
    trial = torch.autograd.grad(F.cross_entropy(module(start["code"][0]), one.labels), list(chosen.values()))
    flat = torch.cat([tensor.flatten() for tensor in trial])
    shared = torch.cat([one.update.tensors[name].flatten() for name in chosen])
    torch.testing.assert_close(matching[0], 1 - F.cosine_similarity(flat, shared, dim=0), rtol=1e-4, atol=1e-5)


def test_where_every_value_counts_gradients_are_written_out() -> None:
    one = victim(ResNet(width=16), count=2, uniform=False)
    assert objective(one).wide_layers(2)
    assert not objective(one, distance=Distance(kind="squared_l2")).wide_layers(2)
    assert not objective(one, distance=Distance(top_share=0.5)).wide_layers(2)
    assert not objective(one, steps=LocalSteps(0.1, ((0, 1), (0, 1)))).wide_layers(2)
    assert not Engine(objective(one), ADAM, compiled=True).objective.wide_layers(2)


def test_narrow_networks_and_large_batches_have_no_wide_layers() -> None:
    assert not wide_layers(LeNet().build((3, 32, 32), 10, seed=0), (3, 32, 32), 1)
    network = Mlp(hidden=(256,)).build(SHAPE, 10, seed=0)
    assert not wide_layers(network, SHAPE, 1)  # 64 x 256 values are few
    wide = Mlp(hidden=(1024,)).build(SHAPE, 10, seed=0)
    assert wide_layers(wide, SHAPE, 1)
    assert not wide_layers(wide, SHAPE, 64)


class _Tied(nn.Module):
    """Its first weight is also used behind the back of its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.tied = nn.Linear(256, 256)
        self.own = nn.Linear(256, 256)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.tied(x.flatten(1)))
        logits: Tensor = F.linear(self.own(hidden), self.tied.weight)[:, :10]
        return logits


def test_a_weight_with_a_second_use_is_left_out() -> None:
    assert list(wide_layers(_Tied(), (1, 16, 16), 1)) == ["own"]


def test_layers_are_as_before_afterwards_and_after_an_error() -> None:
    module = replica(ResNet(width=16).build(SHAPE, 10, seed=0), train_mode=False)
    layers = wide_layers(module, SHAPE, 1)
    state = dict(module.named_parameters()), dict(module.named_buffers())
    with pytest.raises(RuntimeError):
        factored_gradient(module, *state, random(1, 2, 8, 8), torch.ones(1, 10), layers)
    assert not any("forward" in vars(layer) for layer in module.modules())
    assert functional_call(module, state, (random(1, *SHAPE),)).shape == (1, 10)
