"""How named tensors lie in one row."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedleak.transcript.layout import Layout

shapes = st.lists(st.lists(st.integers(0, 4), max_size=3).map(tuple), min_size=1, max_size=5)


@given(shapes, st.lists(st.integers(1, 3), max_size=2))
def test_round_trip(shapes: list[tuple[int, ...]], batch: list[int]) -> None:
    tensors = {f"t{i}": torch.randn((*batch, *shape)) for i, shape in enumerate(shapes)}
    layout = Layout.of((name, torch.empty(shape)) for name, shape in zip(tensors, shapes, strict=True))
    rows = layout.flatten(tensors, batch_dims=len(batch))
    assert rows.shape == (*batch, layout.size)
    back = layout.unflatten(rows)
    assert list(back) == list(tensors)
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert Layout.model_validate_json(layout.model_dump_json()) == layout


def test_missing_and_misshapen_tensors_are_named() -> None:
    layout = Layout.of([("w", torch.empty(2, 3))])
    with pytest.raises(ValueError, match=r"update of w: expected shape \(2, 3\), got None"):
        layout.flatten({})
    with pytest.raises(ValueError, match=r"got \(3, 2\)"):
        layout.flatten({"w": torch.empty(3, 2)})
