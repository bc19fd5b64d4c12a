"""Tensors in users' files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fedleak.audit.files import part, plain_tensors, read_tensors
from fedleak.audit.observed import UnorderedTensors
from fedleak.errors import InputError


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_every_format_gives_the_tensors(tmp_path: Path) -> None:
    values = {"b": torch.tensor([1.0, 2.0]), "a": torch.tensor([[3.0]])}
    torch.save(values, tmp_path / "x.pt")
    save_file(values, tmp_path / "x.safetensors")
    np.savez(tmp_path / "x.npz", **{name: value.numpy() for name, value in values.items()})
    for suffix in ("pt", "safetensors", "npz"):
        found = read_tensors(tmp_path / f"x.{suffix}", option="--updates")
        assert {name: np.asarray(value).tolist() for name, value in found.items()} == {"b": [1, 2], "a": [[3]]}
        assert isinstance(found, UnorderedTensors) == (suffix == "safetensors")


def test_no_code_in_a_file_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    torch.save({"a": Evil(mark)}, tmp_path / "x.pt")
    (tmp_path / "y.pt").write_bytes(pickle.dumps(Evil(mark)))
    np.savez(tmp_path / "z.npz", a=np.array([Evil(mark)], dtype=object))
    for name in ("x.pt", "y.pt", "z.npz"):
        with pytest.raises(InputError, match=name):
            read_tensors(tmp_path / name, option="--updates")
    assert not mark.exists()


@pytest.mark.parametrize("suffix", ["pt", "safetensors", "npz"])
def test_rubbish_and_missing_files_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    with pytest.raises(InputError, match="there is no such file"):
        read_tensors(path, option="--updates")
    path.write_bytes(b"rubbish")
    with pytest.raises(InputError, match=f"x.{suffix}"):
        read_tensors(path, option="--updates")
    with pytest.raises(InputError, match=r"expected one of \.pt, \.pth, \.safetensors, \.npz"):
        read_tensors(tmp_path / "x.csv", option="--updates")


def test_parts_are_nested_or_begin_with_their_name() -> None:
    assert part({"before": {"w": 1}}, "before") == {"w": 1}
    assert part({"before.w": 1, "before.v": 2, "after.w": 3}, "before") == {"w": 1, "v": 2}
    assert part({"after/w": 3}, "after") == {"w": 3}
    assert isinstance(part(UnorderedTensors({"after.w": np.zeros(1)}), "after"), UnorderedTensors)
    assert part({"w": 1}, "before") is None
    assert part([1], "before") is None


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"epoch": 3}, "a mapping of int under 'epoch'"),
        ([1, "a"], "a list of int, str"),
        ([], "nothing"),
        (3, "a int"),
    ],
)
def test_what_holds_no_tensors_is_described(content: Any, found: str) -> None:
    with pytest.raises(InputError, match=found):
        plain_tensors(content, option="--updates", path=Path("x.pt"))
