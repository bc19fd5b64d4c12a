"""A local Ray that only this user can reach, and a folder for Flower that nobody else can write into.

Whoever reaches a port of Ray runs code as the user who started it. By default Ray listens on all interfaces and asks
for no password. A local Ray of fedleak listens on the loopback interface only, and every call must carry a random token
(Ray's token authentication), because other users of the machine reach the loopback interface, too. Its sockets and logs
are in a temporary folder of mode 700.
"""

from __future__ import annotations

import functools
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fedleak.errors import FederationError

TOKEN_BYTES = 32
LONGEST_TEMPORARY_FOLDER = 20
"""Bytes of a path in which Ray's sockets fit: a Unix socket's path has at most 103 bytes on macOS."""
LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Without clusters a node's address is 127.0.0.1, and Ray's servers bind to it; ``_node_ip_address`` is overruled."""


@contextmanager
def local_ray() -> Iterator[dict[str, Any]]:
    """Options of ``ray.init`` for a local Ray of this user alone; the environment that it needs holds inside.

    Raises:
        FederationError: if Ray was imported before, without these settings, which it reads on import.
    """
    with (
        private_folder("fedleak-ray-", parent=_short_folder()) as folder,
        environment(LOOPBACK_ONLY | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token()}),
    ):
        # "local" keeps Ray from joining a cluster that already runs on the machine; Ray opens its folder to all users,
        # so it lies inside ours.
        yield {"address": "local", "include_dashboard": False, "_temp_dir": os.path.join(folder, "ray")}


@contextmanager
def flower_home() -> Iterator[None]:
    """A folder of its own for the files that Flower keeps, unless the user has named one (``FLWR_HOME``)."""
    with private_folder("fedleak-flower-") as folder, environment({"FLWR_HOME": os.getenv("FLWR_HOME") or folder}):
        yield


@contextmanager
def private_folder(prefix: str, *, parent: str | None = None) -> Iterator[str]:
    """A new temporary folder of mode 700, removed at the end even while a process still writes into it."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as folder:
        yield folder


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables of this process and of those that it starts, put back at the end."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@functools.cache
def _token() -> str:
    """The token of this process: Ray reads it, and the settings beside it, once, when it is imported.

    Raises:
        FederationError: if Ray has been imported already.
    """
    if "ray" in sys.modules:
        raise FederationError(
            "Ray was imported before fedleak could switch on its token authentication, without which other users could "
            "run code as you: start the federation before importing ray, in another process, or with "
            "federation.engine.kind: serial"
        )
    token = secrets.token_hex(TOKEN_BYTES)
    with environment(LOOPBACK_ONLY | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}):
        import ray  # noqa: F401 - for its reading of the environment
    return token


def _short_folder() -> str | None:
    """The temporary folder, or ``/tmp`` where the paths of Ray's sockets would become too long."""
    folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    return folder if len(os.fsencode(folder)) <= LONGEST_TEMPORARY_FOLDER else "/tmp"  # noqa: S108 - mkdtemp in it
