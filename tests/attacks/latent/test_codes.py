from __future__ import annotations

import pytest
import torch

from fedleak.attacks.latent.codes import AutoencoderSettings, BicubicSettings, CodeDecoding, ImageCode, SmallerImage
from fedleak.errors import AttackFailedError
from fedleak.examples import InputShape
from fedleak.progress import QuietProgress
from fedleak.threat import PixelPrior
from tests.builders import digits


def cubic(distance: float) -> float:
    """Keys' kernel with a = -3/4."""
    x, a = abs(distance), -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def enlargement(small: int, large: int) -> torch.Tensor:
    """The matrix of a bicubic enlargement of one axis, with repeated borders."""
    matrix = torch.zeros(large, small)
    for row in range(large):
        centre = (row + 0.5) * small / large - 0.5
        for place in range(int(centre // 1) - 1, int(centre // 1) + 3):
            matrix[row, min(max(place, 0), small - 1)] += cubic(centre - place)
    return matrix


def test_a_smaller_image_is_enlarged_by_the_cubic_kernel() -> None:
    code = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    rows, columns = enlargement(4, 16), enlargement(5, 20)
    expected = torch.einsum("ih,bchw,jw->bcij", rows, code, columns)
    torch.testing.assert_close(SmallerImage((3, 16, 20), 4).decode(code), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "small"), [((3, 32, 32), (3, 8, 8)), ((1, 28, 30), (1, 7, 7)), ((1, 3, 8), (1, 1, 2))]
)
def test_codes_are_smaller_and_come_back_in_the_images_shape(shape: InputShape, small: InputShape) -> None:
    code = BicubicSettings().network(shape)
    assert code.code_shape == small
    grey = torch.full((2, *shape), 0.3)
    assert code.encode(grey).shape == (2, *small)
    torch.testing.assert_close(code.decode(code.encode(grey)), grey)
    start = code.start((2, 5), torch.Generator().manual_seed(0))
    assert start.shape == (2, 5, *small)
    assert 0 <= float(start.min()) < float(start.max()) <= 1


def autoencoder(images: torch.Tensor, *, seed: int = 0, **changes: float) -> tuple[ImageCode, list[float]]:
    settings = AutoencoderSettings.model_validate(
        {"kind": "autoencoder", "factor": 2, "channels": 2, "width": 8, "learning_rate": 1e-2} | changes
    )
    return settings.train(
        images,
        generator=torch.Generator().manual_seed(seed),
        progress=QuietProgress(),
        name="test",
        device=torch.device("cpu"),
    )


def test_an_autoencoder_learns_standardised_codes_of_images_it_was_not_trained_on() -> None:
    data = torch.from_numpy(digits().train.images)
    code, curve = autoencoder(data[:600], epochs=10)
    others = data[600:700].float() / 255
    error = float((code.decode(code.encode(others)) - others).square().mean().detach())
    assert curve[-1] < 0.3 * curve[0]
    assert error < 0.5 * float((others - others.mean(dim=0)).square().mean())
    assert code.code_shape == (2, 4, 4)
    codes = code.encode(data[:600].float() / 255).detach()
    torch.testing.assert_close(codes.mean(dim=(0, 2, 3)), torch.zeros(2), rtol=0, atol=1e-4)
    torch.testing.assert_close(codes.std(dim=(0, 2, 3)), torch.ones(2), rtol=0, atol=1e-3)


def test_an_autoencoder_is_reproducible_and_fits_any_shape() -> None:
    data = torch.from_numpy(digits().train.images)[:64]
    first, second, other = (autoencoder(data, seed=seed, epochs=2)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["decoder.0.weight"], other["decoder.0.weight"])
    odd = AutoencoderSettings(kind="autoencoder").network((3, 30, 18))
    assert odd.decode(odd.encode(torch.rand(2, 3, 30, 18))).shape == (2, 3, 30, 18)
    with pytest.raises(AttackFailedError, match="diverged"):
        autoencoder(data, learning_rate=1e25, epochs=3)


def test_decoded_images_are_normalised_like_the_leaked_models() -> None:
    network, code = SmallerImage((1, 8, 8), 4), torch.rand(3, 1, 2, 2)
    decoding = CodeDecoding(network, PixelPrior(mean=(0.5,), std=(0.25,)))
    torch.testing.assert_close(decoding.images({"code": code}, (1, 8, 8)), (network.decode(code) - 0.5) / 0.25)
