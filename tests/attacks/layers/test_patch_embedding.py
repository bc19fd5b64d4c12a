from __future__ import annotations

import numpy as np
import pytest
import torch

from fedleak.attacks.layers.patch_embedding import EmbeddingLayer, embedding_layer
from fedleak.attacks.layers.tracing import trace_layers
from fedleak.models.base import Model
from fedleak.models.lenet import LeNet
from fedleak.models.resnet18 import ResNet18
from fedleak.models.vit import ViT
from fedleak.transcript.layout import Layout
from tests.builders import architecture, digits, updates_of

VIT = ViT(patch=2, width=32, mlp_width=8, blocks=1)
LEAKED = architecture(VIT)


def embedding_of(model: Model) -> EmbeddingLayer | None:
    network = model.build((1, 8, 8), 10, seed=0)
    return embedding_layer(trace_layers(network, (1, 8, 8)), Layout.of(network.named_parameters()))


def flat_updates(images: np.ndarray, labels: np.ndarray) -> torch.Tensor:
    tensors = updates_of(LEAKED, images, labels)
    return Layout.of((n, t[0]) for n, t in tensors.items()).flatten(tensors, batch_dims=1)


def test_it_is_found_with_its_geometry() -> None:
    found = embedding_of(VIT)
    assert found is not None
    assert (found.first, found.image, found.patch, found.values) == (1, (1, 8, 8), (2, 2), 64)
    assert found.weight[1] - found.weight[0] == 32 * 1 * 2 * 2
    assert found.positions[1] - found.positions[0] == 17 * 32


@pytest.mark.parametrize("model", [LeNet(), ResNet18()], ids=lambda m: m.kind)
def test_other_models_have_none(model: Model) -> None:
    assert embedding_of(model) is None


def test_of_one_image_the_solution_is_the_normalised_image() -> None:
    data = digits().test
    found = embedding_of(VIT)
    assert found is not None
    solved = found.solve(flat_updates(data.images[:6, None], data.labels[:6, None]))
    expected = (torch.from_numpy(data.images[:6]).float() / 255 - 0.5) / 0.5
    torch.testing.assert_close(solved, expected.flatten(1), atol=1e-3, rtol=0)


def test_of_a_batch_it_is_finite_and_of_a_zero_update_zero() -> None:
    data = digits().test
    found = embedding_of(VIT)
    assert found is not None
    updates = flat_updates(data.images[:6].reshape(2, 3, 1, 8, 8), data.labels[:6].reshape(2, 3))
    assert found.solve(updates).isfinite().all()
    assert (found.solve(torch.zeros_like(updates)) == 0).all()


def test_scaling_the_update_changes_nothing() -> None:
    data = digits().test
    found = embedding_of(VIT)
    assert found is not None
    update = flat_updates(data.images[:1, None], data.labels[:1, None])
    torch.testing.assert_close(found.solve(-0.01 * update), found.solve(update), atol=1e-4, rtol=0)
