from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak.client.per_batch import per_batch_gradients, weighted_layers
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp

MODELS = {
    "lenet": LeNet().build((3, 16, 16), 5, seed=0),
    "lenet without last bias": LeNet(last_bias=False).build((3, 16, 16), 5, seed=0),
    "mlp": Mlp(hidden=(7,)).build((3, 16, 16), 5, seed=0),
    "pooling": ConvNet(widths=(6,), normalisation="none").build((3, 16, 16), 5, seed=0),
    "in place": nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(196, 5)),
    "dilated": nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, dilation=2, bias=False), nn.Flatten(), nn.Linear(144, 5)),
}


def batches(batch: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, batch, 3, 16, 16, generator=generator)
    return images, torch.randint(5, (6, batch), generator=generator)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", list(MODELS))
def test_every_batch_gets_the_gradient_of_its_own_mean_loss(name: str, batch: int) -> None:
    model, (images, labels) = MODELS[name].eval(), batches(batch)
    layers = weighted_layers(model)
    assert layers is not None
    result = per_batch_gradients(model, layers, images, labels)
    assert result is not None
    gradients, losses = result
    assert list(gradients) == [n for n, _ in model.named_parameters()]
    for i in range(len(images)):
        loss = F.cross_entropy(model(images[i]), labels[i])
        torch.testing.assert_close(losses[i], loss.detach())
        for parameter, expected in zip(gradients, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            torch.testing.assert_close(gradients[parameter][i], expected, atol=1e-6, rtol=1e-5)


def test_other_parameters_are_left_to_the_general_way() -> None:
    assert weighted_layers(ConvNet(widths=(8,)).build((3, 16, 16), 5, seed=0)) is None
    assert weighted_layers(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2))) is None
    assert weighted_layers(nn.Sequential(nn.Conv2d(4, 4, 3, padding="same"))) is None


def test_a_layer_that_is_called_twice_is_left_to_the_general_way() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.layer(x.flatten(1)[:, :5]))  # type: ignore[no-any-return]

    model, (images, labels) = Twice().eval(), batches(1)
    layers = weighted_layers(model)
    assert layers is not None
    assert per_batch_gradients(model, layers, images, labels) is None
