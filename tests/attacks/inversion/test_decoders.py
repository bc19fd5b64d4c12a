from __future__ import annotations

import torch

from fedleak.attacks.inversion.decoders import Decoder

SHAPE = (3, 8, 8)


def test_identity_changes_nothing() -> None:
    images = torch.rand(2, *SHAPE)
    assert torch.equal(Decoder()(images, SHAPE), images)
    assert torch.equal(Decoder().encode(images), images)
    assert Decoder().code_shape(SHAPE) == SHAPE


def test_upsampling_enlarges_a_quarter() -> None:
    decoder = Decoder(kind="upsample", factor=4)
    assert decoder.code_shape(SHAPE) == (3, 2, 2)
    assert decoder(torch.rand(5, 3, 2, 2), SHAPE).shape == (5, *SHAPE)


def test_nearest_upsampling_by_hand() -> None:
    code = torch.tensor([[[[1.0, 2.0]]]])
    images = Decoder(kind="upsample", factor=2, mode="nearest")(code, (1, 2, 4))
    assert torch.equal(images, torch.tensor([[[[1.0, 1, 2, 2], [1, 1, 2, 2]]]]))


def test_encoding_a_flat_image_and_decoding_it_gives_it_back() -> None:
    decoder = Decoder(kind="upsample", factor=2)
    flat = torch.full((1, *SHAPE), 0.25)
    torch.testing.assert_close(decoder(decoder.encode(flat), SHAPE), flat)
