"""Pools of workers: long-lived Ray actors, or this process."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psutil

from fedleak.errors import FederationError, InputError
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.schema import Resources
from fedleak.studies.work import Unit, UnitOutcome, work

OBJECT_STORE_BYTES = 128 * 2**20
"""Only small messages go through Ray; everything else goes through files."""
CONNECT_SECONDS = 10
SHARED_ENVIRONMENT = ("FEDLEAK_CACHE", "FEDLEAK_TRUSTED_FACTORIES")
"""Environment variables that are passed to workers on other machines."""


class Pool(Protocol):
    """Workers that run one unit each."""

    @property
    def idle(self) -> int:
        """Number of idle workers."""

    def submit(self, unit: Unit) -> None:
        """Give a unit to an idle worker."""

    def wait(self, timeout: float) -> list[UnitOutcome]:
        """Outcomes that have arrived, after at most ``timeout`` seconds."""


class SerialPool:
    """A pool of one worker: this process. For debugging, and for machines without Ray."""

    def __init__(self, directory: StudyDirectory) -> None:
        self._directory = directory
        self._unit: Unit | None = None

    @property
    def idle(self) -> int:
        """One, or zero while it has a unit."""
        return 0 if self._unit else 1

    def submit(self, unit: Unit) -> None:
        """Store the unit for ``wait``."""
        self._unit = unit

    def wait(self, timeout: float) -> list[UnitOutcome]:
        """Run the stored unit."""
        unit, self._unit = self._unit, None
        return [work(unit, self._directory)] if unit else []


class _Worker:
    """The body of a Ray actor."""

    def __init__(self, root: str, threads: int) -> None:
        import torch

        from fedleak.federation import runtime  # noqa: F401 - imported here, so that the first cell is not slowed down
        from fedleak.stages.score import score  # noqa: F401

        torch.set_num_threads(threads)
        self._directory = StudyDirectory(Path(root))

    def work(self, unit: Unit) -> UnitOutcome:
        """Run a unit."""
        return work(unit, self._directory)


class RayPool:
    """A pool of Ray actors, each with its share of the CPUs and GPUs.

    Args:
        directory: of the study; on a cluster, every machine must see it.
        jobs: number of actors.
        resources: of each actor.
    """

    def __init__(self, directory: StudyDirectory, jobs: int, resources: Resources) -> None:
        import ray

        self._ray = ray
        self._directory, self._resources = directory, resources
        self._idle = [self._start() for _ in range(jobs)]
        self._busy: dict[Any, tuple[Any, Unit]] = {}

    def _start(self) -> Any:
        resources = self._resources
        actor = self._ray.remote(_Worker).options(
            num_cpus=resources.cpus, num_gpus=resources.gpus, memory=int(resources.memory_gib * 2**30)
        )
        return actor.remote(str(self._directory.root.resolve()), max(1, int(resources.cpus)))

    @property
    def idle(self) -> int:
        """Number of idle actors; an actor's first unit may wait for its imports."""
        return len(self._idle)

    def submit(self, unit: Unit) -> None:
        """Give a unit to an idle actor."""
        actor = self._idle.pop()
        self._busy[actor.work.remote(unit)] = (actor, unit)

    def wait(self, timeout: float) -> list[UnitOutcome]:
        """Outcomes that have arrived; dead actors are replaced."""
        finished, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=timeout)
        return [self._collect(reference) for reference in finished]

    def _collect(self, reference: Any) -> UnitOutcome:
        actor, unit = self._busy.pop(reference)
        try:
            outcome: UnitOutcome = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            self._ray.kill(actor)  # it may only be unreachable and would keep its CPUs
            self._idle.append(self._start())
            return UnitOutcome(unit, 0.0, f"its worker died ({_first_line(error)})", lost=True)
        except self._ray.exceptions.RayError as error:
            self._idle.append(actor)
            return UnitOutcome(unit, 0.0, _first_line(error))
        self._idle.append(actor)
        return outcome


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def ray_pool(
    directory: StudyDirectory, resources: Resources, *, jobs: int | None, units: int, address: str | None
) -> Iterator[RayPool]:
    """Start or join Ray with as many workers as fit, are requested and have work.

    Raises:
        InputError: if not even one worker fits.
        FederationError: if there is no Ray at ``address``.
    """
    from fedleak.federation import runtime  # noqa: F401 - sets variables that Ray reads on import

    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)  # workers import the same fedleak
    with _local(jobs, resources) if address is None else _cluster(address) as options:
        import ray

        try:
            with _kept_signal_handler():
                ray.init(logging_level=logging.ERROR, log_to_driver=False, **options)
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise FederationError(f"Ray could not be started or joined: {_first_line(error)}") from error
        try:
            fitting = capacity(ray.cluster_resources(), resources)  # type: ignore[no-untyped-call]
            yield RayPool(directory, max(1, min(jobs or fitting, fitting, units)), resources)
        finally:
            ray.shutdown()


@contextmanager
def _local(jobs: int | None, resources: Resources) -> Iterator[dict[str, Any]]:
    from fedleak.federation.local_ray import local_ray

    cpus = max(psutil.cpu_count() or 1, int((jobs or 1) * resources.cpus + 0.999))
    with local_ray() as place:
        yield place | {"num_cpus": cpus, "object_store_memory": OBJECT_STORE_BYTES}


@contextmanager
def _cluster(address: str) -> Iterator[dict[str, Any]]:
    check_address(address)
    yield {"address": address, "runtime_env": {"env_vars": _shared_environment()}}


@contextmanager
def _kept_signal_handler() -> Iterator[None]:
    """Restore the SIGTERM handler: Ray installs its own, and a native one that aborts the process."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread() and handler is not None:
        signal.signal(signal.SIGTERM, handler)


def check_address(address: str) -> None:
    """Check that a Ray cluster listens there: without one, Ray would end this process instead of raising an error.

    Raises:
        InputError: if it is not an address, or nothing listens there.
    """
    if address == "auto":
        return
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdecimal():
        raise InputError("--address", address, "expected auto or HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError("--address", address, f"no Ray cluster can be reached there ({error})") from error


def capacity(offered: dict[str, float], resources: Resources) -> int:
    """How many workers fit, by CPUs, GPUs and memory.

    Raises:
        InputError: if not even one fits.
    """
    needs = {"CPU": resources.cpus, "GPU": resources.gpus, "memory": resources.memory_gib * 2**30}
    for name, need in needs.items():
        if need > offered.get(name, 0):
            have = offered.get(name, 0) / (2**30 if name == "memory" else 1)
            setting = {"CPU": "cpus", "GPU": "gpus", "memory": "memory_gib"}[name]
            raise InputError(f"resources.{setting}", getattr(resources, setting), f"Ray offers {have:.3g}")
    return int(min(offered[name] // need for name, need in needs.items() if need))


def _shared_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in SHARED_ENVIRONMENT if name in os.environ}
