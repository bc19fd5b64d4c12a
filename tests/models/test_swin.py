from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torchvision.models import Swin_T_Weights, swin_t

from fedleak.models.swin import Swin
from tests.models.counting import parameters


def test_parameters_are_the_published_ones() -> None:
    count = parameters(Swin(patch=4, window=7), (3, 224, 224), 1000)
    assert count == Swin_T_Weights.DEFAULT.meta["num_params"]
    assert parameters(Swin()) == 27_507_028


def test_with_the_papers_settings_it_is_torchvisions() -> None:
    with torch.device("meta"):
        ours, theirs = Swin(patch=4, window=7).module((3, 224, 224), 1000), swin_t()
    shapes = [{name: tensor.shape for name, tensor in net.state_dict().items()} for net in (ours, theirs)]
    assert shapes[0] == shapes[1]


def test_grey_images_are_taken() -> None:
    network = Swin(width=6, heads=(1, 1, 1, 1)).build((1, 8, 8), 10, seed=0).eval()
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_patches_must_tile_the_image() -> None:
    with pytest.raises(ValueError, match="patches of 2x2 do not tile images of 31x32"):
        Swin().build((3, 31, 32), 10, seed=0)


def test_heads_must_fit() -> None:
    with pytest.raises(ValidationError, match="stage 2 has tokens of 20, not a multiple of 3 heads"):
        Swin(width=10, blocks=(1, 1), heads=(2, 3))
    with pytest.raises(ValidationError, match="the same number of stages"):
        Swin(blocks=(1, 1))


def test_gradient_matching_can_differentiate_twice() -> None:
    network = Swin(width=6, heads=(1, 1, 1, 1)).build((3, 8, 8), 10, seed=0).eval()
    images = torch.randn(1, 3, 8, 8, requires_grad=True)
    weight = network.get_parameter("features.0.0.weight")
    (gradient,) = torch.autograd.grad(network(images).logsumexp(dim=1).sum(), weight, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), images)
    assert second.isfinite().all()
    assert second.abs().max() > 0
