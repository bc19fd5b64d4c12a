"""What the server's messages tell a client to do."""

from __future__ import annotations

from typing import Literal

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray
from pydantic import Field

from fedleak.component import Settings
from fedleak.scenario.schema import ClientSettings, ModelChoice


class ClientTask(Settings):
    """The client's settings and its part of the simulation, sent as JSON with every message."""

    seed: int
    round: int
    first_pair: int = 0
    """Number of the first injected pair in the message."""
    model: ModelChoice
    input_shape: tuple[int, int, int]
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    client: ClientSettings
    batch_statistics: bool = False
    """Tell the server what the normalisation layers saw, because the scenario grants the adversary to know."""
    data: str
    """Folder with one sub-folder of private images per client."""
    public: str = ""
    """Folder with the public images, ``images.npy`` and ``labels.npy``; read where ``client.augment`` asks for them."""
    gpu: bool = False
    """Compute on the GPU that the engine has given to this client."""
    threads: int = Field(default=1, ge=1)
    timeout: float
    fault: Literal["raise", "silent", "exit", "nan"] | None = None


def pack(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> ArrayRecord:
    """Injected batches ``(n, B, C, H, W)`` and their labels ``(n, B)`` as a record."""
    return ArrayRecord({"images": Array(images), "labels": Array(labels)})


def unpack(record: ArrayRecord) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The inverse of ``pack``."""
    return record["images"].numpy(), record["labels"].numpy()
