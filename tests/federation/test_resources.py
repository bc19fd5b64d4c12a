"""What the machine does not have is refused before anything is started."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import torch

from fedleak.errors import InputError
from fedleak.federation.resources import check_resources
from fedleak.scenario.schema import FederationEngine

NO_GPUS = torch.cuda.device_count()


def free_port() -> int:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"cpus": 2, "client_cpus": 2},
        {"kind": "serial", "client_cpus": 10**5, "client_gpus": 10**5, "address": "nonsense"},
        {"address": "auto", "client_cpus": 10**5},
    ],
)
def test_what_can_run_passes(settings: dict[str, Any]) -> None:
    """A serial engine asks for nothing, and a cluster has machines that this one does not know."""
    check_resources(FederationEngine(**settings))


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"cpus": 2, "client_cpus": 2.5}, "client_cpus", "got 2.5; this machine has 2 CPUs"),
    ({"client_cpus": 10**5}, "client_cpus", "this machine has"),
    ({"client_gpus": NO_GPUS + 1}, "client_gpus", f"this machine has {NO_GPUS} GPUs"),
    ({"address": "head"}, "address", "expected auto or host:port"),
    ({"address": "head:"}, "address", "expected auto or host:port"),
    ({"address": "head:port"}, "address", "expected auto or host:port"),
    ({"address": "127.0.0.1:99999"}, "address", "no Ray cluster answers there"),
]


@pytest.mark.parametrize(("settings", "name", "reason"), REFUSED)
def test_what_cannot_is_refused_by_name(settings: dict[str, Any], name: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        check_resources(FederationEngine(**settings))
    assert caught.value.path == f"federation.engine.{name}"


def test_a_cluster_must_answer() -> None:
    with pytest.raises(InputError, match="no Ray cluster answers there"):
        check_resources(FederationEngine(address=f"127.0.0.1:{free_port()}"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_resources(FederationEngine(address=f"127.0.0.1:{server.getsockname()[1]}"))
