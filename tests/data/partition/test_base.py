from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from fedleak.data.partition.base import Partition
from fedleak.errors import InputError


class Lopsided(Partition):
    """Everything goes to the first client."""

    kind: Literal["lopsided"] = "lopsided"

    def partitioner(self, *, clients: int, seed: int) -> Any:
        class Deal:
            dataset: Any = None

            def load_partition(self, client: int) -> dict[str, list[int]]:
                return {"index": self.dataset["index"][:] if client == 0 else []}

        return Deal()


class Impossible(Lopsided):
    """The library refuses."""

    kind: Literal["impossible"] = "impossible"  # type: ignore[assignment]

    def partitioner(self, *, clients: int, seed: int) -> Any:
        class Deal:
            def load_partition(self, client: int) -> Any:
                raise ValueError("too few samples")

        return Deal()


def test_a_client_without_images_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"federation\.partition.*client 1 of 3 would hold no image"):
        Lopsided().split(np.arange(6), clients=3, seed=0)


def test_the_librarys_refusal_becomes_an_input_error() -> None:
    with pytest.raises(InputError, match=r"federation\.partition.*impossible.*6 images: too few samples"):
        Impossible().split(np.arange(6), clients=3, seed=0)
