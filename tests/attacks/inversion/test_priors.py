from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fedleak.attacks.inversion.priors import (
    Priors,
    align,
    batch_norm_distance,
    group_consistency,
    image_prior,
    l2_norm,
    mean_consensus,
    registered_consensus,
    shifted,
    total_variation_anisotropic,
    total_variation_isotropic,
    total_variation_norms,
)

IMAGE = torch.tensor([[[[0.0, 3.0], [4.0, 0.0]]]])


def test_anisotropic_total_variation_by_hand() -> None:
    """Down: 4 and 3; right: 3 and 4; each averaged."""
    assert float(total_variation_anisotropic(IMAGE)) == pytest.approx(3.5 + 3.5)


def test_isotropic_total_variation_by_hand() -> None:
    """One pixel has both neighbours: (4, 3) has length 5."""
    assert float(total_variation_isotropic(IMAGE)) == pytest.approx(5)


def test_total_variation_by_norms_by_hand() -> None:
    """Down (4, -3): 5; right (3, -4): 5; falling diagonal 0 - 0; rising 4 - 3. Two such images: root two as much."""
    assert float(total_variation_norms(IMAGE)) == pytest.approx(5 + 5 + 0 + 1, abs=1e-5)
    assert float(total_variation_norms(torch.cat([IMAGE, IMAGE]))) == pytest.approx(11 * math.sqrt(2), abs=1e-5)


def test_l2_norm_by_hand() -> None:
    """Lengths 5 and 0."""
    assert float(l2_norm(torch.cat([IMAGE, torch.zeros_like(IMAGE)]))) == pytest.approx(2.5, abs=1e-5)


@pytest.mark.parametrize("variation", [total_variation_anisotropic, total_variation_isotropic, total_variation_norms])
def test_a_flat_image_has_no_variation_and_a_finite_gradient(variation: object) -> None:
    flat = torch.full((1, 1, 3, 3), 0.3, requires_grad=True)
    value = variation(flat)  # type: ignore[operator]
    (gradient,) = torch.autograd.grad(value, flat)
    assert float(value.detach()) == pytest.approx(0, abs=1e-5)
    assert gradient.isfinite().all()


def norm_layer() -> tuple[nn.Module, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    module = nn.Sequential(nn.BatchNorm2d(1)).eval()
    return module, dict(module.named_parameters()), dict(module.named_buffers())


def test_batch_norm_distance_by_hand() -> None:
    """The image has mean 7/4 and variance 25/4 - 49/16; the layer expects 0 and 1."""
    expected = 7 / 4 + abs(25 / 4 - 49 / 16 - 1)
    assert float(batch_norm_distance(*norm_layer(), IMAGE)) == pytest.approx(expected, rel=1e-5)


def test_batch_norm_distance_looks_at_the_whole_batch() -> None:
    """Half of the pixels at -1, half at +1: mean 0, variance 1."""
    images = torch.stack([torch.full((1, 2, 2), 1.0), torch.full((1, 2, 2), -1.0)])
    assert float(batch_norm_distance(*norm_layer(), images)) == pytest.approx(0, abs=1e-5)


def test_no_hook_stays_behind() -> None:
    module, parameters, buffers = norm_layer()
    batch_norm_distance(module, parameters, buffers, IMAGE)
    assert not any(layer._forward_pre_hooks for layer in module.modules())


def test_priors_add_up_by_weight() -> None:
    priors = Priors(total_variation=2.0, l2=10.0, batch_norm=0.0)
    assert float(image_prior(priors, *norm_layer(), IMAGE)) == pytest.approx(2 * 7 + 10 * 5)


def test_no_prior_costs_nothing() -> None:
    assert float(image_prior(Priors(), *norm_layer(), IMAGE)) == 0


def test_group_consistency_by_hand() -> None:
    """Two candidates of one pixel, 0 and 2: the mean is 1, both are 1 away."""
    candidates = torch.tensor([0.0, 2.0]).reshape(2, 1, 1, 1, 1)
    consensus = mean_consensus(candidates)
    assert float(consensus) == 1
    torch.testing.assert_close(group_consistency(candidates, consensus), torch.ones(2))


@pytest.mark.parametrize("shift", [(1, 0), (-2, 1), (2, -2)])
def test_registration_undoes_a_known_shift(shift: tuple[int, int]) -> None:
    image = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    found, shown = align(shifted(image, *shift), image, largest_shift=2)
    assert torch.equal(found, image * shown)
    down, right = shift
    assert shown.flatten(1).sum(dim=1).tolist() == [(12 - abs(down)) * (12 - abs(right))] * 2


@pytest.mark.parametrize("shift", [(1, 0), (-2, 1), (2, -2), (0, 0)])
def test_a_shift_brings_in_zeros_and_nothing_wraps_around(shift: tuple[int, int]) -> None:
    image = 1 + torch.rand(1, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros_like(image)
    for row in range(5):
        for column in range(6):
            if 0 <= row - shift[0] < 5 and 0 <= column - shift[1] < 6:
                expected[..., row, column] = image[..., row - shift[0], column - shift[1]]
    assert torch.equal(shifted(image, *shift), expected)


def test_pixels_from_outside_do_not_count_in_the_consensus() -> None:
    """The border of the picture is bright: zeros moved in, or the other border, would show in the mean."""
    image = torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0)) + 1
    candidates = torch.stack([image, image, image, shifted(image, 2, -1)])
    consensus = registered_consensus(candidates, largest_shift=2)
    torch.testing.assert_close(consensus[0], image)


def test_a_shift_larger_than_the_image_is_no_error() -> None:
    image = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert registered_consensus(torch.stack([image, image]), largest_shift=9).shape == (1, 1, 1, 4, 4)


def test_each_image_of_a_batch_is_registered_on_its_own() -> None:
    image = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    moved = torch.stack([shifted(image[0], 0, 1), image[1]])
    found, shown = align(moved, image, largest_shift=1)
    assert torch.equal(found, image * shown)
    assert shown.flatten(1).sum(dim=1).tolist() == [12 * 11, 12 * 12]


def test_a_registered_consensus_is_sharper_than_the_mean() -> None:
    """Three candidates agree up to a shift of one of them."""
    image = torch.zeros(1, 1, 12, 12)
    image[..., 4:8, 4:8] = 1
    candidates = torch.stack([image, image, shifted(image, 0, 1)])
    lazy, registered = mean_consensus(candidates), registered_consensus(candidates, largest_shift=2)
    torch.testing.assert_close(registered[0], image)
    assert math.isclose(float((lazy[0] - image).abs().max()), 1 / 3, rel_tol=1e-5)
