"""What a caller passes, as capabilities."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.audit.given import FreshCopy, count_classes, model_capabilities, named_update
from fedleak.errors import InputError
from fedleak.threat import GlobalModel, ModelArchitecture, PixelPrior

SHAPE = (1, 4, 4)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def test_a_fresh_copy_has_other_weights_by_seed_and_leaves_the_network_alone() -> None:
    original = network()
    before = original[1].weight.clone()
    one, again, other = (FreshCopy(original)(seed)[1].weight for seed in (1, 1, 2))
    assert one.equal(again)
    assert not one.equal(other)
    assert not one.equal(before)
    assert original[1].weight.equal(before)


def test_frozen_parameters_are_no_part_of_an_update() -> None:
    model = network()
    model[1].requires_grad_(False)
    update = [torch.ones_like(parameter) for parameter in model.parameters() if parameter.requires_grad]
    assert list(named_update(model, update)) == ["2.weight", "2.bias", "4.weight", "4.bias"]
    with pytest.raises(InputError, match=r"update\.1\.weight: .*the network trains no such parameter"):
        named_update(
            model,
            dict(zip(["2.weight", "2.bias", "4.weight", "4.bias"], update, strict=True))
            | {"1.weight": torch.ones(8, 16)},
        )


def test_an_update_is_a_copy_in_single_precision() -> None:
    model = network()
    given = {name: torch.ones_like(parameter, dtype=torch.float64) for name, parameter in model.named_parameters()}
    update = named_update(model, given)
    given["4.bias"].zero_()
    assert update["4.bias"].tolist() == [1, 1, 1]
    assert {tensor.dtype for tensor in update.values()} == {torch.float32}


def test_classes_are_counted_without_a_change_of_buffers_or_mode() -> None:
    model = network().train()
    mean = model[2].running_mean.clone()
    assert count_classes(model, SHAPE) == 3
    assert model.training
    assert model[2].running_mean.equal(mean)
    with pytest.raises(InputError, match=r"the network must return one tensor \(N, classes\)"):
        count_classes(nn.Sequential(nn.Conv2d(1, 2, 3)), SHAPE)


def test_a_server_knows_weights_buffers_and_normalisation() -> None:
    model = network()
    architecture, weights, pixels = model_capabilities(model, SHAPE, mean=[0.5], std=[0.25], device=torch.device("cpu"))
    assert isinstance(architecture, ModelArchitecture)
    assert architecture.classes == 3
    assert isinstance(weights, GlobalModel)
    assert weights.state.keys() == {*dict(model.named_parameters()), *dict(model.named_buffers())}
    assert weights.state["1.weight"].data_ptr() != model[1].weight.data_ptr()
    assert pixels == PixelPrior((0.5,), (0.25,))
