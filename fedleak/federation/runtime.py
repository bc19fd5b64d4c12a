"""Starting Flower: on Ray through its simulation engine, serially in this process, or on a deployment's SuperLink.

With ``deployment/superlink.py``, this is the only file that starts Flower; ``flwr.simulation.run_simulation`` is
deprecated in favour of a command-line tool and has no successor in Python yet.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

import psutil

from fedleak.errors import FederationError
from fedleak.federation.local_ray import flower_home, local_ray
from fedleak.scenario.schema import FederationEngine

if TYPE_CHECKING:
    from flwr.serverapp import ServerApp

    from fedleak.data.sources.base import DatasetSplits
    from fedleak.federation.membership import Membership
    from fedleak.federation.plan import Plan
    from fedleak.federation.server import Server
    from fedleak.progress import Progress
    from fedleak.scenario.schema import Scenario

MAX_RESTARTS = 3
OBJECT_STORE_BYTES = 512 * 2**20
POLL_SECONDS = 0.2
SHUTDOWN_SECONDS = 10.0
ORPHAN_SECONDS = 15
"""Seconds after which the helper processes of a local Ray exit if the head was killed (Ray's default: 60)."""

# Flower and Ray read these when they are imported.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
os.environ.setdefault("FLWR_LOG_LEVEL", "ERROR")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def run_server(server: Server, engine: FederationEngine) -> None:
    """Run the federation to its end; restart the engine whenever a worker was lost.

    Raises:
        FederationError: if it cannot be finished; finished work is in the transcript's journal.
    """
    logging.getLogger("flwr").setLevel(logging.CRITICAL)  # fedleak reports failures itself, once
    start = {"serial": _run_serial, "ray": _run_ray, "deployment": _run_deployed}[engine.kind]
    losses = 0
    while losses <= MAX_RESTARTS:
        done = _work_done(server)
        with flower_home():
            start(server, engine)
        if server.finished:
            return
        losses = 0 if _work_done(server) > done else losses + 1
        if losses <= MAX_RESTARTS:
            lost = "a client or its worker was lost; restarting the engine"
            server.progress.say("a node was lost; starting another run" if engine.deployed else lost)
    raise FederationError(
        f"workers were lost {losses} times in a row in round {len(server.writer.rounds) + 1}; "
        f"{len(server.writer.rounds)} of {len(server.plan.rounds)} rounds are done"
    )


def _work_done(server: Server) -> int:
    return len(server.writer.rounds) + server.writer.pairs_done


def _run_serial(server: Server, engine: FederationEngine) -> None:
    import torch

    from fedleak.federation.client import app
    from fedleak.federation.serial_grid import SerialGrid

    threads = torch.get_num_threads()
    try:
        server.run(SerialGrid(app, server.plan.scenario.federation.clients, timeout=engine.timeout))
    finally:
        torch.set_num_threads(threads)  # the clients run in this process and change it


def _run_deployed(server: Server, engine: FederationEngine) -> None:
    from fedleak.federation.deployment.superlink import run_on_superlink

    server.stop.clear()
    with run_on_superlink(engine, server.stop) as grid:
        server.run(grid)


def membership_of(plan: Plan, progress: Progress) -> Membership:
    """How the nodes of the planned clients are found."""
    from fedleak.federation.deployment.nodes import DeployedClients, Expectation
    from fedleak.federation.membership import SimulatedClients
    from fedleak.federation.node_data import fingerprint

    if not plan.scenario.federation.engine.deployed:
        return SimulatedClients()
    prints = [fingerprint(plan.streams.client(client), data) for client, data in enumerate(plan.clients)]
    expected = Expectation(len(plan.held), plan.splits.input_shape, prints, plan.held)
    return DeployedClients(expected, progress, _start_seconds(plan.scenario.federation.engine))


def _start_seconds(engine: FederationEngine) -> float:
    from fedleak.federation.membership import START_SECONDS

    return max(START_SECONDS, engine.timeout)


def images_of_nodes(scenario: Scenario, splits: DatasetSplits, progress: Progress) -> list[int]:
    """Number of images that the node of each client holds, by asking it in a run of its own."""
    from fedleak.federation.deployment.nodes import DeployedClients, Expectation
    from fedleak.federation.deployment.superlink import run_on_superlink

    logging.getLogger("flwr").setLevel(logging.CRITICAL)
    clients, stop = scenario.federation.clients, threading.Event()
    expected, engine = Expectation(clients, splits.input_shape), scenario.federation.engine
    nodes = DeployedClients(expected, progress, _start_seconds(engine))
    with flower_home(), run_on_superlink(engine, stop) as grid:
        members = nodes.join(grid, clients, stop=stop)
    return [nodes.identities[members.nodes[client]].images for client in range(clients)]


def _run_ray(server: Server, engine: FederationEngine) -> None:
    """Run Flower's engine in a separate thread, so that the main thread receives signals and can stop it."""
    if engine.address is None:
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", str(ORPHAN_SECONDS))
    server.stop.clear()
    with local_ray() if engine.address is None else nullcontext({"address": engine.address}) as place:
        simulation = _Simulation(server, engine, place)
        simulation.start()
        try:
            while not simulation.server_done.wait(POLL_SECONDS) and simulation.is_alive():
                _keep_signal_handler()
        finally:  # the server is done, the engine failed, or a signal came
            server.stop.set()
            simulation.shut_down()
    if simulation.error is not None:
        raise simulation.error


class _Simulation(threading.Thread):
    """One run of Flower's simulation engine.

    Attributes:
        server_done: set when the server has finished; the engine may still be shutting down.
        error: the error of the server or the engine, if it failed.
    """

    def __init__(self, server: Server, engine: FederationEngine, place: dict[str, Any]) -> None:
        super().__init__(name="flower-simulation", daemon=True)
        self._server, self._engine, self._place = server, engine, place
        self.server_done = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        """Run the engine; a failure is stored in ``error``."""
        from flwr.simulation import run_simulation
        from flwr.supercore import telemetry

        from fedleak.federation.client import app

        logging.getLogger("ray").setLevel(logging.ERROR)
        # Even where telemetry is off, Flower writes an identity of the user to the home folder, from a thread that may
        # outlive the engine; this is its own word for having none.
        telemetry.state["source"] = telemetry.state["source"] or "unavailable"
        try:
            run_simulation(
                server_app=self._server_app(),
                client_app=app,
                num_supernodes=self._server.plan.scenario.federation.clients,
                backend_config=_backend_config(self._engine, self._place),
            )
        except Exception as error:
            if self.error is None:  # the server's own error takes precedence
                self.error = FederationError(f"the simulation engine failed: {_root_cause(error)}")
            self._server.stop.set()

    def _server_app(self) -> ServerApp:
        from flwr.app import Context
        from flwr.serverapp import Grid, ServerApp

        server_app = ServerApp()

        @server_app.main()
        def main(grid: Grid, context: Context) -> None:
            try:
                self._server.run(grid)
            except Exception as error:
                if not self._server.stop.is_set():
                    self.error = error
                raise
            finally:
                self.server_done.set()

        return server_app

    def shut_down(self) -> None:
        """Wait for the engine to end; after ``SHUTDOWN_SECONDS`` end the workers, whose clients may be stuck."""
        self.join(SHUTDOWN_SECONDS)
        if not self.is_alive():
            return
        if self._engine.address is None:
            _kill_workers()
        else:
            import ray

            ray.shutdown()
        self.join(SHUTDOWN_SECONDS)


def _keep_signal_handler() -> None:
    """Restore Python's SIGTERM handler, which Ray's core silently replaces by one that aborts the process."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


def _kill_workers() -> None:
    """Kill the Ray workers of this process; the engine waits for every client's reply and has no way to cancel one."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.cmdline()[0].startswith("ray::ClientAppActor"):
                process.kill()


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _backend_config(engine: FederationEngine, place: dict[str, Any]) -> dict[str, Any]:
    """What Flower passes on to Ray; ``place`` says where Ray is."""
    init = {"logging_level": logging.ERROR, "log_to_driver": False} | place
    if engine.address is None:
        init |= {"object_store_memory": OBJECT_STORE_BYTES, "num_cpus": engine.cpus or psutil.cpu_count() or 1}
    return {
        "init_args": init,
        "client_resources": {"num_cpus": engine.client_cpus, "num_gpus": engine.client_gpus},
    }
