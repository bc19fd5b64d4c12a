"""The small residual network of the GIT paper."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from fedleak.examples import InputShape
from fedleak.models.base import Model
from fedleak.models.norms import NormName, norm

STRIDES = (1, 2, 2, 2)
Width = Annotated[int, Field(ge=1, le=2048)]


class ResNet15(Model):
    """Four blocks of two 3x3 convolutions with one skip each (Chen & Liu 2025, arXiv 2505.20026, appendix C).

    The paper states fifteen layers without listing them. Our reading: stem convolution, eight convolutions and four
    skips in the blocks, average pooling, linear layer. A skip is a 1x1 convolution if the shape changes, else the
    identity (He et al. 2016, arXiv 1512.03385, option B). Strides are 1, 2, 2, 2.
    """

    kind: Literal["resnet15"] = "resnet15"
    widths: tuple[Width, Width, Width, Width] = (16, 32, 64, 128)
    """Channels of the four blocks; the stem has as many as the first block."""
    normalisation: NormName = "batch"
    """Normalisation after the convolutions."""

    def module(self, input_shape: InputShape, classes: int) -> nn.Module:
        """308,826 parameters on 3x32x32 images with ten classes."""
        width = self.widths[0]
        layers: list[nn.Module] = [*_convolution(input_shape[0], width, 3, 1, self.normalisation), nn.ReLU()]
        for channels, stride in zip(self.widths, STRIDES, strict=True):
            layers.append(Block(width, channels, stride, self.normalisation))
            width = channels
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


class Block(nn.Module):
    """``relu(conv(relu(conv(x))) + skip(x))``, normalised after every convolution.

    Args:
        incoming, outgoing: channels.
        stride: of the first convolution and of the skip.
        normalisation: kind of normalisation.
    """

    def __init__(self, incoming: int, outgoing: int, stride: int, normalisation: NormName) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_convolution(incoming, outgoing, 3, stride, normalisation),
            nn.ReLU(),
            *_convolution(outgoing, outgoing, 3, 1, normalisation),
        )
        changes = stride != 1 or incoming != outgoing
        self.skip = nn.Sequential(*_convolution(incoming, outgoing, 1, stride, normalisation)) if changes else None
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """``(n, incoming, H, W)`` -> ``(n, outgoing, H / stride, W / stride)``."""
        shortcut = x if self.skip is None else self.skip(x)
        result: Tensor = self.activation(self.residual(x) + shortcut)
        return result


def _convolution(incoming: int, outgoing: int, kernel: int, stride: int, normalisation: NormName) -> list[nn.Module]:
    convolution = nn.Conv2d(
        incoming, outgoing, kernel, stride=stride, padding=kernel // 2, bias=normalisation == "none"
    )
    return [convolution] if normalisation == "none" else [convolution, norm(normalisation, outgoing)]
