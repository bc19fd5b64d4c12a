"""Random updates for hypothesis: every shape, zeros, constants, huge and tiny values, counters, empty tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from hypothesis import strategies as st

from fedleak.client.postprocess.base import Update

LARGEST = float(torch.finfo(torch.float32).max)
SCALES = (0.0, 1e-38, 1e-20, 1e-6, 1.0, 1e6, 1e19, 3e38)
SHAPES = ((), (1,), (7,), (3, 4), (2, 1, 3), (0,), (2, 0))


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """One tensor: float32 of one order of magnitude, or a constant, or int64."""
    shape = draw(st.sampled_from(SHAPES))
    seed = draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    form = draw(st.sampled_from(["normal", "constant", "integer"]))
    if form == "integer":
        return torch.randint(-100, 100, shape, generator=generator)
    scale = draw(st.sampled_from(SCALES))
    if form == "constant":
        return torch.full(shape, scale * draw(st.sampled_from([-1.0, 1.0])))
    return (torch.rand(shape, generator=generator) * 2 - 1) * scale


def updates() -> st.SearchStrategy[Update]:
    """One to three named tensors."""
    return st.dictionaries(st.sampled_from(["a", "b", "c"]), tensors(), min_size=1, max_size=3)


def floats(update: Update) -> list[float]:
    """All floating-point values, in Python's own double precision."""
    return [value for t in update.values() if t.is_floating_point() for value in t.flatten().tolist()]


def generator(seed: int = 0) -> torch.Generator:
    """A fresh generator."""
    return torch.Generator().manual_seed(seed)


RelativeTo = Literal["nothing", "tensor", "update"]


def noisy_by_hand(
    update: Update, draw: Callable[[torch.Tensor], torch.Tensor], *, std: float, relative_to: RelativeTo
) -> Update:
    """Value plus deviation times draw, in double precision, both cut off at the ends of float32; counters stay."""

    def spread(values: list[float]) -> float:
        return (sum(value**2 for value in values) / max(1, len(values))) ** 0.5

    expected = {}
    for name, tensor in update.items():
        if not tensor.is_floating_point() or not tensor.numel():
            expected[name] = tensor
            continue
        size = {"nothing": 1.0, "tensor": spread(floats({name: tensor})), "update": spread(floats(update))}
        noise = (std * size[relative_to] * draw(tensor).double()).clamp(-LARGEST, LARGEST)
        expected[name] = (tensor.double() + noise).clamp(-LARGEST, LARGEST).float()
    return expected


def check_noise(actual: Update, expected: Update, *, std: float) -> None:
    """The same, up to rounding of the largest value in the tensor."""
    assert list(actual) == list(expected)
    for name, tensor in expected.items():
        assert actual[name].dtype == tensor.dtype
        largest = float(tensor.abs().amax()) if tensor.numel() else 0.0
        torch.testing.assert_close(actual[name], tensor, rtol=1e-5, atol=1e-6 * largest + 1e-37 * (1 + std))
