"""The small Flower app of the tests, run in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Context, RecordDict
from flwr.app.user_config import UserConfig
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from fedleak.federation.serial_grid import SerialGrid

APP = Path(__file__).parent / "small_app"
SERVER, CLIENT = "smallapp.server_app:app", "smallapp.client_app:app"
CONFIG = {"num-server-rounds": 2, "local-epochs": 2, "learning-rate": 0.1, "batch-size": 2}
NODES = 2


@contextmanager
def importable() -> Iterator[None]:
    """Let the package of the app be imported inside the block."""
    sys.path.insert(0, str(APP))
    try:
        yield
    finally:
        sys.path.remove(str(APP))


def context(config: dict[str, Any]) -> Context:
    """That of a server."""
    return Context(run_id=1, node_id=1, node_config=UserConfig(), state=RecordDict(), run_config=UserConfig(config))


def run(server: ServerApp, client: ClientApp, out: Path, *, nodes: int = NODES) -> list[np.ndarray[Any, Any]]:
    """Run the app; the arrays of its last model."""
    server(SerialGrid(client, nodes), context(CONFIG | {"out": str(out)}))
    with np.load(out) as arrays:
        return [arrays[name] for name in arrays.files]
