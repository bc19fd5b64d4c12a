"""Models as users bring them: what their authors do between a weight and its use, one case each.

Every function is a factory ``(input_shape, classes) -> nn.Module`` for images of at least 8x8.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from fedleak.examples import InputShape


class Tutorial(nn.Module):
    """Two convolutions and two linear layers."""

    def __init__(self, shape: InputShape, classes: int, *, batch_norm: bool = False) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(shape[0], 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(4) if batch_norm else nn.Identity()
        self.fc1 = nn.Linear(6 * (shape[1] // 4) * (shape[2] // 4), 8)
        self.fc2 = nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.max_pool2d(F.relu(self.norm(self.conv1(images))), 2)
        hidden = F.max_pool2d(F.relu(self.conv2(hidden)), 2)
        return self.fc2(F.relu(self.fc1(hidden.flatten(1))))  # type: ignore[no-any-return]


def plain(shape: InputShape, classes: int) -> nn.Module:
    return Tutorial(shape, classes)


def batch_norm(shape: InputShape, classes: int) -> nn.Module:
    return Tutorial(shape, classes, batch_norm=True)


def frozen(shape: InputShape, classes: int) -> nn.Module:
    model = Tutorial(shape, classes)
    model.conv1.requires_grad_(False)
    model.fc1.requires_grad_(False)
    return model


def frozen_batch_norm(shape: InputShape, classes: int) -> nn.Module:
    model = Tutorial(shape, classes, batch_norm=True)
    model.requires_grad_(False)
    model.fc2.requires_grad_(True)
    return model


class Mlp(nn.Module):
    """Three linear layers."""

    def __init__(self, shape: InputShape, classes: int) -> None:
        super().__init__()
        self.into, self.a, self.out = (
            nn.Linear(shape[0] * shape[1] * shape[2], 6),
            nn.Linear(6, 6),
            nn.Linear(6, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.out(torch.sigmoid(self.a(torch.sigmoid(self.into(images.flatten(1))))))  # type: ignore[no-any-return]


class TiedByUse(Mlp):
    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.sigmoid(self.a(torch.sigmoid(self.into(images.flatten(1)))))
        return self.out(torch.sigmoid(F.linear(hidden, self.a.weight.t())))  # type: ignore[no-any-return]


class Tied(Mlp):
    def __init__(self, shape: InputShape, classes: int) -> None:
        super().__init__(shape, classes)
        self.b = nn.Linear(6, 6)
        self.b.weight = self.a.weight
        self.out = self._modules.pop("out")  # last, as in the order of use

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.sigmoid(self.a(torch.sigmoid(self.into(images.flatten(1)))))
        return self.out(torch.sigmoid(self.b(hidden)))  # type: ignore[no-any-return]


class CalledTwice(Mlp):
    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.sigmoid(self.into(images.flatten(1)))
        return self.out(torch.sigmoid(self.a(torch.sigmoid(self.a(hidden)))))  # type: ignore[no-any-return]


class SameModuleTwice(Mlp):
    """One module under two names."""

    def __init__(self, shape: InputShape, classes: int) -> None:
        super().__init__(shape, classes)
        self.again = self.a

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.sigmoid(self.again(torch.sigmoid(self.into(images.flatten(1)))))
        return self.out(torch.sigmoid(self.a(hidden)))  # type: ignore[no-any-return]


class UnusedOutput(Mlp):
    """A layer is called, and its output thrown away."""

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.sigmoid(self.into(images.flatten(1)))
        self.a(hidden)
        return self.out(hidden)  # type: ignore[no-any-return]


class NeverCalled(Mlp):
    """A weight is used without its layer."""

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.sigmoid(self.into(images.flatten(1)))
        return self.out(torch.sigmoid(F.linear(hidden, self.a.weight.square(), self.a.bias)))  # type: ignore[no-any-return]


class RootParameter(Mlp):
    """A parameter that the root uses directly."""

    def __init__(self, shape: InputShape, classes: int) -> None:
        super().__init__(shape, classes)
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images * self.scale) * self.scale


class Regularised(Mlp):
    """The outputs depend on a weight besides its layer."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * self.out.weight.norm()


class MeanOfBatch(Mlp):
    """The images of a batch are not independent."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images - images.mean(dim=0, keepdim=True) / 2)


class Branches(Mlp):
    """Branches on data."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if bool(images.sum() > 0) else -3 * images)


class Autocast(Tutorial):
    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = super().forward(images)
        return logits.float()


class Double(nn.Module):
    """Double precision inside."""

    def __init__(self, shape: InputShape, classes: int) -> None:
        super().__init__()
        self.inner = Tutorial(shape, classes).double()

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images.double()).float()  # type: ignore[no-any-return]


class NotPersistent(Tutorial):
    """A buffer outside of the state dictionary."""

    def __init__(self, shape: InputShape, classes: int) -> None:
        super().__init__(shape, classes, batch_norm=True)
        self.register_buffer("centre", torch.rand(1, shape[0], 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images - self.centre)


def half(shape: InputShape, classes: int) -> nn.Module:
    return Mlp(shape, classes).half()


def brain_float(shape: InputShape, classes: int) -> nn.Module:
    return Mlp(shape, classes).bfloat16()


class StandardisedConv(nn.Conv2d):
    """Weight standardisation (arXiv 1903.10520)."""

    def forward(self, images: Tensor) -> Tensor:
        mean, std = self.weight.mean((1, 2, 3), keepdim=True), self.weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(images, (self.weight - mean) / (std + 1e-5), self.bias, self.stride, self.padding)


class ScaledLinear(nn.Linear):
    def forward(self, features: Tensor) -> Tensor:
        return 2 * super().forward(features)


class OffsetGroupNorm(nn.GroupNorm):
    def forward(self, maps: Tensor) -> Tensor:
        return F.group_norm(maps, self.num_groups, self.weight + 1, self.bias, self.eps)


class _Straight(torch.autograd.Function):
    """Sign with a straight-through gradient; it has no rule for vmap."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.sign()

    @staticmethod
    def backward(ctx: Any, *errors: Tensor) -> Tensor:
        return errors[0]


class StraightThrough(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return _Straight.apply(values)  # type: ignore[no-untyped-call, no-any-return]


class Residual(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.body(maps)  # type: ignore[no-any-return]


class RowsThroughGru(nn.Module):
    """A recurrent layer reads the rows of an image; it keeps its own list of its weights."""

    def __init__(self, shape: InputShape, classes: int) -> None:
        super().__init__()
        self.rows, self.out = nn.GRU(shape[0] * shape[2], 5, batch_first=True), nn.Linear(5, classes)

    def forward(self, images: Tensor) -> Tensor:
        rows = images.transpose(1, 2).flatten(2)
        return self.out(self.rows(rows)[0][:, -1])  # type: ignore[no-any-return]


class CodeBook(nn.Module):
    """Pixels become indices into an embedding."""

    def __init__(self, shape: InputShape, classes: int) -> None:
        super().__init__()
        self.codes, self.out = nn.Embedding(4, 3), nn.Linear(3, classes)

    def forward(self, images: Tensor) -> Tensor:
        codes = images.flatten(1).clamp(-1, 0.99).add(1).mul(2).long()
        return self.out(self.codes(codes).mean(dim=1))  # type: ignore[no-any-return]


def around(*layers: nn.Module) -> Callable[[InputShape, int], nn.Module]:
    """A factory of: a convolution to four maps, the given layers, a linear layer."""

    def factory(shape: InputShape, classes: int) -> nn.Module:
        body = nn.Sequential(nn.Conv2d(shape[0], 4, 3, padding=1), *copy.deepcopy(layers), nn.Flatten())
        width = body.eval()(torch.zeros(2, *shape)).shape[1]
        return nn.Sequential(*body, nn.Linear(width, classes)).train()

    return factory


def _hooked(hook: str) -> Callable[[InputShape, int], nn.Module]:
    def factory(shape: InputShape, classes: int) -> nn.Module:
        model = Mlp(shape, classes)
        if hook == "forward":
            model.a.register_forward_hook(lambda _, __, output: 2 * output)
        elif hook == "pre":
            model.a.register_forward_pre_hook(lambda _, inputs: (inputs[0] * 3,))
        elif hook == "backward":
            model.a.register_full_backward_hook(lambda _, inputs, __: (inputs[0] * 2,))
        else:
            model.a.weight.register_hook(lambda gradient: 2 * gradient)
        return model

    return factory


def _parametrised(rule: Callable[[nn.Module], nn.Module]) -> Callable[[InputShape, int], nn.Module]:
    def factory(shape: InputShape, classes: int) -> nn.Module:
        model = Mlp(shape, classes)
        rule(model.a)
        return model

    return factory


class _Symmetric(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight.triu() + weight.triu(1).T


def _symmetric(layer: nn.Module) -> nn.Module:
    return parametrize.register_parametrization(layer, "weight", _Symmetric())


def _own_forward(shape: InputShape, classes: int) -> nn.Module:
    model = Mlp(shape, classes)
    model.a.forward = lambda features: F.linear(features, model.a.weight * 2)  # type: ignore[method-assign]
    return model


def _channels_last(shape: InputShape, classes: int) -> nn.Module:
    return Tutorial(shape, classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _conv(**settings: Any) -> nn.Module:
    return nn.Conv2d(4, 4, 3, **settings)


FACTORIES: dict[str, Callable[[InputShape, int], nn.Module]] = {
    "plain": plain,
    "batch_norm": batch_norm,
    "frozen": frozen,
    "frozen_batch_norm": frozen_batch_norm,
    "tied": Tied,
    "tied_by_use": TiedByUse,
    "called_twice": CalledTwice,
    "same_module_twice": SameModuleTwice,
    "unused_output": UnusedOutput,
    "never_called": NeverCalled,
    "root_parameter": RootParameter,
    "regularised": Regularised,
    "mean_of_batch": MeanOfBatch,
    "branches": Branches,
    "autocast": Autocast,
    "double": Double,
    "not_persistent": NotPersistent,
    "gru": RowsThroughGru,
    "code_book": CodeBook,
    "half": half,
    "brain_float": brain_float,
    "forward_hook": _hooked("forward"),
    "pre_hook": _hooked("pre"),
    "backward_hook": _hooked("backward"),
    "tensor_hook": _hooked("tensor"),
    "weight_norm": _parametrised(parametrizations.weight_norm),
    "old_weight_norm": _parametrised(nn.utils.weight_norm),
    "spectral_norm": _parametrised(parametrizations.spectral_norm),
    "symmetric": _parametrised(_symmetric),
    "own_forward": _own_forward,
    "channels_last": _channels_last,
    "weight_standardised": around(StandardisedConv(4, 4, 3, padding=1), nn.Sigmoid()),
    "scaled_linear": around(nn.Flatten(), ScaledLinear(256, 5), nn.Sigmoid()),
    "offset_group_norm": around(OffsetGroupNorm(2, 4), nn.Sigmoid()),
    "straight_through": around(StraightThrough()),
    "instance_norm": around(nn.InstanceNorm2d(4, affine=True, track_running_stats=True), nn.Sigmoid()),
    "layer_norm": around(nn.LayerNorm([4, 8, 8]), nn.GELU()),
    "residual": around(Residual(nn.Conv2d(4, 4, 3, padding=1)), nn.Tanh()),
    "grouped": around(_conv(groups=2), nn.Tanh()),
    "dilated": around(_conv(dilation=2, stride=2), nn.Tanh()),
    "circular": around(_conv(padding=1, padding_mode="circular"), nn.Tanh()),
    "same_padding": around(_conv(padding="same", bias=False), nn.Tanh()),
    "transposed": around(nn.ConvTranspose2d(4, 4, 3, stride=2), nn.Tanh()),
    "depthwise": around(_conv(groups=4), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2)),
    "in_place": around(nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
    "dropout": around(nn.Dropout(0.5), nn.Tanh()),
}
"""Models by name; their outputs are logits ``(N, classes)``."""


def one_output(shape: InputShape, classes: int) -> nn.Module:
    return Tutorial(shape, 1)


tied, tied_by_use, not_persistent, autocast, double = Tied, TiedByUse, NotPersistent, Autocast, Double
branches, gru, same_module_twice = Branches, RowsThroughGru, SameModuleTwice
weight_norm, old_weight_norm = FACTORIES["weight_norm"], FACTORIES["old_weight_norm"]
weight_standardised, own_forward = FACTORIES["weight_standardised"], FACTORIES["own_forward"]


class FrozenHead(Mlp):
    """Only the layers before the last are trained."""

    def __init__(self, shape: InputShape, classes: int) -> None:
        super().__init__(shape, classes)
        self.out.requires_grad_(False)


class TwoHeads(Tutorial):
    """Logits and an auxiliary output."""

    def forward(self, images: Tensor) -> Any:
        logits = super().forward(images)
        return logits, logits.sigmoid()


class Ready(Tutorial):
    """Built without arguments, as in many apps."""

    def __init__(self, width: int = 8) -> None:
        super().__init__((1, width, width), 10)
