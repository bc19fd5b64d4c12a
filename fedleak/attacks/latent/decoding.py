"""Decoder of a latent search: maps its variables to images with a generative model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.func import functional_call, vmap

from fedleak.examples import InputShape
from fedleak.threat import PixelPrior

WEIGHTS = "generator."
"""Prefix of variables that are weights of the generator, with a copy for every image."""


@dataclass(frozen=True, eq=False)
class GeneratorDecoding:
    """Decodes latent vectors ``code`` ``(B, latent)`` with the generator's weights or with weights from the search.

    Attributes:
        network: latent vectors ``(B, latent)`` -> images ``(B, C, H, W)`` in [0, 1].
        pixels: normalisation of the leaked model's images.
    """

    network: nn.Module
    pixels: PixelPrior

    def images(self, variables: Mapping[str, Tensor], shape: InputShape) -> Tensor:
        """Normalised images ``(B, C, H, W)``."""
        code = variables["code"]
        own = {n.removeprefix(WEIGHTS): value for n, value in variables.items() if n.startswith(WEIGHTS)}
        images = vmap(self._one)(own, code) if own else self.network(code)
        return self.pixels.normalisation.apply(images)

    def _one(self, weights: dict[str, Tensor], code: Tensor) -> Tensor:
        image: Tensor = functional_call(self.network, weights, (code[None],))[0]
        return image

    def weights(self, count: int) -> dict[str, Tensor]:
        """Variables initialised with the generator's weights, one copy for each image, ``(count, ...)``."""
        return {
            f"{WEIGHTS}{name}": value.detach().expand(count, *value.shape).contiguous()
            for name, value in self.network.named_parameters()
        }
