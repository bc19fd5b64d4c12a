"""Starting Flower: on Ray through its simulation engine, or serially in this process.

This is the one file that knows how Flower is started; ``flwr.simulation.run_simulation`` is deprecated in favour of a
command-line tool and has no successor in Python yet.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from fedleak.errors import FederationError, InputError
from fedleak.scenario import Engine

if TYPE_CHECKING:
    from fedleak.federation.server import Server

MAX_RESTARTS = 3
OBJECT_STORE_BYTES = 512 * 2**20

# Flower and Ray read these when they are imported.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
os.environ.setdefault("FLWR_HOME", str(Path(tempfile.gettempdir()) / "fedleak-flwr"))
os.environ.setdefault("FLWR_LOG_LEVEL", "ERROR")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def check_resources(engine: Engine) -> None:
    """Refuse a scenario whose clients could never be scheduled; Flower would wait for ever.

    Raises:
        InputError: naming the setting.
    """
    if engine.kind == "serial" or engine.address is not None:
        return
    import torch

    cpus = engine.cpus or psutil.cpu_count() or 1
    if engine.client_cpus > cpus:
        raise InputError("federation.engine.client_cpus", engine.client_cpus, f"this machine offers {cpus} CPUs")
    gpus = torch.cuda.device_count()
    if engine.client_gpus > gpus:
        raise InputError("federation.engine.client_gpus", engine.client_gpus, f"this machine has {gpus} GPUs")


def run_server(server: Server, engine: Engine) -> None:
    """Run the federation to its end, restarting the engine when a worker was lost.

    Raises:
        FederationError: if it cannot be finished; what is done is in the transcript's journal.
    """
    start = _run_serial if engine.kind == "serial" else _run_ray
    for attempt in range(MAX_RESTARTS + 1):
        start(server, engine)
        if server.finished:
            return
        if attempt < MAX_RESTARTS:
            server.progress.say("a client or its worker was lost; restarting the engine for the next round")
    done, planned = len(server.writer.rounds), len(server.plan.rounds)
    raise FederationError(f"workers were lost {MAX_RESTARTS + 1} times; {done} of {planned} rounds are done")


def _run_serial(server: Server, engine: Engine) -> None:
    from fedleak.federation.client import app
    from fedleak.federation.serial_grid import SerialGrid

    server.run(SerialGrid(app, server.plan.scenario.federation.clients))


def _run_ray(server: Server, engine: Engine) -> None:
    from flwr.app import Context
    from flwr.serverapp import Grid, ServerApp
    from flwr.simulation import run_simulation

    from fedleak.federation.client import app

    failures: list[BaseException] = []
    server_app = ServerApp()

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        try:
            server.run(grid)
        except Exception as error:
            failures.append(error)
            raise

    logging.getLogger("flwr").setLevel(logging.CRITICAL)
    try:
        run_simulation(
            server_app=server_app,
            client_app=app,
            num_supernodes=server.plan.scenario.federation.clients,
            backend_config=_backend_config(engine),
        )
    except KeyboardInterrupt:
        server.stop.set()
        raise
    except Exception as error:
        if failures:
            raise failures[0] from None
        raise FederationError(f"the simulation engine failed: {error.__cause__ or error}") from error
    finally:
        server.stop.set() if failures else None
    if failures:
        raise failures[0]


def _backend_config(engine: Engine) -> dict[str, Any]:
    init: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if engine.address is not None:
        init["address"] = engine.address
    else:
        # "local" keeps Ray from joining some cluster it finds on the machine.
        init |= {"address": "local", "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
        init["num_cpus"] = engine.cpus or psutil.cpu_count() or 1
    return {
        "init_args": init,
        "client_resources": {"num_cpus": engine.client_cpus, "num_gpus": engine.client_gpus},
    }
