"""Settings of a deployment that contradict each other."""

from __future__ import annotations

from typing import Any

import pytest

from fedleak.errors import InputErrors
from fedleak.run_directory import federation_fingerprint
from fedleak.scenario.deployment import host_and_port, is_loopback
from tests.scenarios import scenario

PLACE: dict[str, Any] = {"kind": "deployment", "address": "127.0.0.1:8000"}
OWN = PLACE | {"data": "own"}


@pytest.mark.parametrize(
    ("engine", "changes", "message"),
    [
        ({"kind": "deployment"}, {}, "federation.engine.address: got None; expected the SuperLink's host:port"),
        (PLACE | {"address": "auto"}, {}, "federation.engine.address: got 'auto'; expected the SuperLink's"),
        (PLACE | {"insecure": True, "address": "192.0.2.1:80"}, {}, "192.0.2.1 is not on the loopback interface"),
        (PLACE | {"insecure": True, "root_certificates": "ca.crt"}, {}, "the connection is to be encrypted"),
        (PLACE | {"cpus": 2}, {}, "federation.engine.cpus: got 2; it belongs to engines of kind ray"),
        ({"kind": "ray", "insecure": True}, {}, "federation.engine.insecure: got True; it belongs to engines of kind"),
        ({"kind": "serial", "data": "own"}, {}, "federation.engine.data: got 'own'; it belongs to engines of kind"),
        (OWN, {"federation__partition": {"kind": "shards"}}, "federation.partition: got 'shards'; with data: own"),
        (OWN, {"federation__client__selection": "largest_gradients"}, "federation.client.selection"),
        (OWN, {"adversary__grants": ["true_labels"]}, "adversary.grants: got 'true_labels'"),
    ],
)
def test_contradictions_are_refused(engine: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputErrors, match=message):
        scenario(federation__engine=engine, **changes)


def test_only_data_that_others_hold_make_another_federation() -> None:
    serial, dealt, own = (scenario(federation__engine=e) for e in ("serial", PLACE, OWN))
    assert federation_fingerprint(serial) == federation_fingerprint(dealt) != federation_fingerprint(own)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("[::1]:8000", ("::1", 8000)),
        ("link.example:1", ("link.example", 1)),
        ("8000", None), (":8000", None), ("a:", None), ("a:0", None), ("a:65536", None), ("a:x", None), ("a:²", None),
    ],
)  # fmt: skip
def test_host_and_port(address: str, parts: tuple[str, int] | None) -> None:
    assert host_and_port(address) == parts


def test_what_is_on_the_loopback_interface() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "192.0.2.1", "localhost.example", ""))  # noqa: S104
