from __future__ import annotations

import torch

from fedleak.postprocess.base import apply_chain, global_norm
from fedleak.postprocess.gaussian_noise import GaussianNoise
from fedleak.postprocess.l2_clipping import L2Clipping
from fedleak.postprocess.magnitude_pruning import MagnitudePruning

UPDATE = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([[-4.0]])}


def test_global_norm_spans_all_tensors() -> None:
    assert global_norm(UPDATE) == 5.0


def test_chain_applies_every_step(generator: torch.Generator) -> None:
    """Clipped to norm 1 the update is (0.6, 0), (-0.8); noise comes on top and is not clipped."""
    steps = [L2Clipping(max_norm=1.0), GaussianNoise(std=0.5)]
    noise = torch.Generator().manual_seed(0)
    expected = [0.6 + 0.5 * torch.randn(2, generator=noise)[0], -0.8 + 0.5 * torch.randn(1, 1, generator=noise)[0, 0]]
    result = apply_chain(steps, UPDATE, generator=generator)
    torch.testing.assert_close(torch.stack([result["a"][0], result["b"][0, 0]]), torch.stack(expected))


def test_order_matters(generator: torch.Generator) -> None:
    """Of (3, 4): pruned to (0, 4) and then clipped it is (0, 1); clipped first and then pruned, (0, 0.8)."""
    update = {"a": torch.tensor([3.0, 4.0])}
    prune, clip = MagnitudePruning(rate=0.5), L2Clipping(max_norm=1.0)
    torch.testing.assert_close(apply_chain([prune, clip], update, generator=generator)["a"], torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(apply_chain([clip, prune], update, generator=generator)["a"], torch.tensor([0.0, 0.8]))


def test_an_empty_chain_changes_nothing(generator: torch.Generator) -> None:
    result = apply_chain([], UPDATE, generator=generator)
    assert result == UPDATE
    assert result is not UPDATE
