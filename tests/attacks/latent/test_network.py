from __future__ import annotations

import pytest
import torch

from fedleak.attacks.latent.network import ImageEncoder, ImageGenerator


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 20, 36)])
def test_any_shape_of_image_comes_out_in_range(shape: tuple[int, int, int]) -> None:
    images = ImageGenerator(6, 4, shape)(5 * torch.randn(3, 6))
    assert images.shape == (3, *shape)
    assert images.min() >= 0
    assert images.max() <= 1
    mean, log_variance = ImageEncoder(6, 4, shape)(images)
    assert mean.shape == log_variance.shape == (3, 6)


def test_images_do_not_depend_on_their_neighbours() -> None:
    """The weights are searched for one image at a time, so that nothing may be normalised over a batch."""
    network, code = ImageGenerator(6, 4, (1, 8, 8)), torch.randn(3, 6)
    torch.testing.assert_close(network(code)[1:2], network(code[1:2]))
