from __future__ import annotations

import torch

from fedleak.attacks.latent.decoding import WEIGHTS, GeneratorDecoding
from fedleak.attacks.latent.network import ImageGenerator
from fedleak.threat import PixelPrior

SHAPE = (1, 8, 8)
NETWORK = ImageGenerator(4, 4, SHAPE).requires_grad_(False)
DECODING = GeneratorDecoding(NETWORK, PixelPrior(mean=(0.5,), std=(0.25,)))


def test_the_generators_images_are_normalised_like_the_leaked_models() -> None:
    code = torch.randn(3, 4)
    torch.testing.assert_close(DECODING.images({"code": code}, SHAPE), (NETWORK(code) - 0.5) / 0.25)


def test_copies_of_the_weights_start_as_the_generator() -> None:
    code = torch.randn(3, 4)
    copies = DECODING.weights(3)
    torch.testing.assert_close(
        DECODING.images({"code": code} | copies, SHAPE), DECODING.images({"code": code}, SHAPE), rtol=1e-4, atol=1e-5
    )


def test_every_image_has_weights_of_its_own() -> None:
    code, copies = torch.randn(2, 4), DECODING.weights(2)
    before = DECODING.images({"code": code} | copies, SHAPE)
    copies[f"{WEIGHTS}last.bias"][1] += 1
    after = DECODING.images({"code": code} | copies, SHAPE)
    torch.testing.assert_close(after[0], before[0])
    assert bool((after[1] > before[1]).all())
