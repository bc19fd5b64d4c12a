from __future__ import annotations

import pytest
import torch
from hypothesis import given

from fedleak.client.postprocess.base import Update
from fedleak.client.postprocess.encoding.update import decode_update, encode_update
from tests.client.postprocess.updates import updates


@given(update=updates())
def test_an_update_comes_back_as_it_was(update: Update) -> None:
    decoded = decode_update(encode_update(update), {name: torch.empty_like(t) for name, t in update.items()})
    assert list(decoded) == list(update)
    assert all(torch.equal(decoded[n], t) and decoded[n].dtype == t.dtype for n, t in update.items())


def test_counters_and_views_come_back_too() -> None:
    update = {"t": torch.arange(6.0).reshape(2, 3).T, "n": torch.tensor(7), "d": torch.rand(3, dtype=torch.float64)}
    decoded = decode_update(encode_update(update), update)
    assert all(torch.equal(decoded[name], tensor) for name, tensor in update.items())


def test_damage_is_named() -> None:
    update = {"w": torch.rand(5), "n": torch.tensor([1, 2])}
    data = encode_update(update)
    with pytest.raises(ValueError, match="n: the data end 1 bytes early"):
        decode_update(data[:-1], update)
    with pytest.raises(ValueError, match="2 bytes follow the last tensor"):
        decode_update(data + b"ab", update)
