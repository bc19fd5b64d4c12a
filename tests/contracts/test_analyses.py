"""Every analysis gives one value per image, by the generator alone, and leaves the model as it is."""

from __future__ import annotations

import copy

import pytest
import torch

from fedleak.families import kinds
from fedleak.metrics.analysis.base import Analysis, LeakedBatch
from fedleak.models.base import Model
from tests.builders import with_required

KINDS = list(kinds("analysis"))
MODELS = ("lenet", "mlp", "convnet", "resnet15", "resnet18", "vit")


def analysis(kind: str) -> Analysis:
    cls = kinds("analysis")[kind]
    assert issubclass(cls, Analysis)
    cheap = {"samples": 1, "projections": 1}
    return with_required(cls, **{name: value for name, value in cheap.items() if name in cls.model_fields})


def batch(model: Model, *, images: int = 2) -> LeakedBatch:
    drawn = torch.rand(images, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    network = model.build((3, 32, 32), 10, seed=0).eval()
    return LeakedBatch(network, drawn, torch.arange(images), mean=(0.5,) * 3, std=(0.25,) * 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", MODELS)
def test_one_finite_value_per_image(kind: str, model: str) -> None:
    cls = kinds("model")[model]
    assert issubclass(cls, Model)
    leaked = batch(with_required(cls), images=1)
    value = analysis(kind).evaluate(leaked, generator=torch.Generator().manual_seed(0))
    assert value.shape == (1,)
    assert value.isfinite().all()
    assert not value.requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_decides_and_nothing_is_changed(kind: str) -> None:
    cls = kinds("model")["lenet"]
    assert issubclass(cls, Model)
    leaked = batch(with_required(cls))
    kept, images = copy.deepcopy(leaked.module.state_dict()), leaked.images.clone()
    stream = torch.get_rng_state()
    first, second = (analysis(kind).evaluate(leaked, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), stream)
    assert torch.equal(leaked.images, images)
    assert all(torch.equal(value, kept[name]) for name, value in leaked.module.state_dict().items())
    assert all(parameter.grad is None for parameter in leaked.module.parameters())
