from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer as TorchvisionViT

from fedleak.models.vit import ViT

SMALL = ViT(patch=4, width=16, mlp_width=24, blocks=2)


def test_four_attention_blocks_of_four_heads() -> None:
    network = ViT().build((3, 32, 32), 10, seed=0)
    attention = [m for m in network.modules() if isinstance(m, nn.MultiheadAttention)]
    assert [m.num_heads for m in attention] == [4, 4, 4, 4]
    assert sum(p.numel() for p in network.parameters()) == 546_186


@pytest.mark.parametrize(("patch", "side"), [(4, 32), (8, 64)])
def test_sixty_four_tokens_and_the_class_token(patch: int, side: int) -> None:
    network = ViT(patch=patch).build((3, side, side), 10, seed=0)
    assert network.encoder.pos_embedding.shape == (1, 65, 128)  # type: ignore[union-attr]
    assert network(torch.zeros(2, 3, side, side)).shape == (2, 10)


def test_it_computes_what_torchvisions_vision_transformer_does_with_the_same_weights() -> None:
    ours = SMALL.build((3, 16, 16), 10, seed=0).eval()
    theirs = TorchvisionViT(16, 4, 2, 4, 16, 24, num_classes=10).eval()
    names = {"embedding.": "conv_proj.", "head.": "heads.head."}
    state = {}
    for name, tensor in ours.state_dict().items():
        prefix = next((p for p in names if name.startswith(p)), "")
        state[names.get(prefix, "") + name.removeprefix(prefix)] = tensor
    theirs.load_state_dict(state)
    images = torch.randn(3, 3, 16, 16)
    torch.testing.assert_close(ours(images), theirs(images))


def test_a_gradient_reaches_the_patches_of_a_new_network() -> None:
    network = SMALL.build((3, 16, 16), 10, seed=0)
    network(torch.randn(1, 3, 16, 16)).logsumexp(dim=1).sum().backward()
    assert network.embedding.weight.grad.abs().max() > 1e-6  # type: ignore[union-attr]


def test_patches_must_tile_the_image() -> None:
    with pytest.raises(ValueError, match="patches of 4x4 do not tile images of 30x32"):
        ViT().build((3, 30, 32), 10, seed=0)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValidationError, match="width = 18 must be a multiple of heads = 4"):
        ViT(width=18)


def test_gradient_matching_can_differentiate_twice() -> None:
    """Fused attention kernels have no second derivative."""
    network = SMALL.build((3, 16, 16), 10, seed=0).eval()
    images = torch.randn(1, 3, 16, 16, requires_grad=True)
    weight = dict(network.named_parameters())["embedding.weight"]
    (gradient,) = torch.autograd.grad(network(images).logsumexp(dim=1).sum(), weight, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), images)
    assert second.isfinite().all()
    assert second.abs().max() > 0
