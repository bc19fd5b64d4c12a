from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.attacks.analytic.constraints import gradient_rows, weight_rows
from fedleak.attacks.layers.chain import chain_of

SHAPE = (2, 5, 6)
CONVOLUTION = nn.Conv2d(2, 3, 3, stride=2, padding=1)


@pytest.mark.parametrize("layer", [CONVOLUTION, nn.Conv2d(2, 3, (3, 2), dilation=(1, 2), bias=False)], ids=repr)
def test_both_blocks_say_what_the_layer_and_its_gradient_say(layer: nn.Conv2d) -> None:
    inputs = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0))
    link = chain_of(nn.Sequential(layer, nn.Flatten(), nn.Linear(layer(inputs).numel(), 4)), SHAPE)[0]
    outputs = layer(inputs)
    upstream = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(1))
    weight = layer.weight.detach()
    bias = 0 if layer.bias is None else layer.bias[:, None, None]
    torch.testing.assert_close(weight_rows(link, weight) @ inputs.flatten(), (outputs - bias)[0].flatten().detach())
    (gradient,) = torch.autograd.grad(outputs, layer.weight, upstream)
    torch.testing.assert_close(gradient_rows(link, upstream[0].flatten(1)) @ inputs.flatten(), gradient.flatten())
