"""Keys and certificates: whom they convince, what happens to those that exist, and who can read them."""

from __future__ import annotations

import socket
import ssl
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from fedleak.errors import InputError
from fedleak.federation.deployment.keys import KeyFolder, make_keys
from fedleak.federation.resources import check_resources
from fedleak.scenario.schema import FederationEngine


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    return make_keys(tmp_path_factory.mktemp("keys") / "a", nodes=2, names=["localhost"])


@contextmanager
def listening(keys: KeyFolder | None) -> Iterator[int]:
    """A server on a port of the loopback interface, with the SuperLink's certificate or without TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if keys is not None:
        context.load_cert_chain(keys.certificate, keys.certificate_key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                if keys is None:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:  # the other side did not like the certificate
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        thread.join(timeout=10)


def engine(port: int, **settings: object) -> FederationEngine:
    return FederationEngine.model_validate({"kind": "deployment", "address": f"127.0.0.1:{port}"} | settings)


def test_the_authority_vouches_for_the_superlink_under_all_its_names(keys: KeyFolder) -> None:
    with listening(keys) as port:
        check_resources(engine(port, root_certificates=str(keys.authority)))
    with listening(keys) as port:
        named = FederationEngine(kind="deployment", address=f"localhost:{port}", root_certificates=str(keys.authority))
        check_resources(named)


def test_another_authority_does_not(keys: KeyFolder, tmp_path: Path) -> None:
    other = make_keys(tmp_path / "other", nodes=1)
    with listening(keys) as port, pytest.raises(InputError, match="it does not vouch for the certificate of") as caught:
        check_resources(engine(port, root_certificates=str(other.authority)))
    assert caught.value.path == "federation.engine.root_certificates"
    with listening(keys) as port, pytest.raises(InputError, match="it does not vouch"):
        check_resources(engine(port))  # nor do those of the system


def test_a_superlink_without_tls_is_refused_unless_the_settings_say_so(keys: KeyFolder) -> None:
    with listening(None) as port, pytest.raises(InputError, match=r"no TLS there .*federation.engine.insecure: true"):
        check_resources(engine(port, root_certificates=str(keys.authority)))
    with listening(None) as port:
        check_resources(engine(port, insecure=True))


@pytest.mark.parametrize(
    ("settings", "name", "reason"),
    [
        ({}, "address", "no SuperLink answers there"),
        ({"root_certificates": "/no/such/file"}, "root_certificates", "expected a file with certificates in PEM form"),
        ({"root_certificates": __file__}, "root_certificates", "expected a file with certificates in PEM form"),
        ({"superexec_secret": "/no/such/file"}, "superexec_secret", "there is no such file"),
    ],
)
def test_files_and_addresses_that_are_none(settings: dict[str, object], name: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        check_resources(engine(1, **settings))
    assert caught.value.path == f"federation.engine.{name}"


def test_nodes_have_key_pairs_that_flower_reads(keys: KeyFolder) -> None:
    for client in (0, 1):
        private = load_ssh_private_key(keys.node_key(client).read_bytes(), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        public = load_ssh_public_key(keys.node_public_key(client).read_bytes())
        assert private.public_key() == public
        assert private.curve.name == "secp384r1"
    assert keys.node_key(0).read_bytes() != keys.node_key(1).read_bytes()


def test_private_files_are_readable_by_their_owner_alone(keys: KeyFolder) -> None:
    private = [keys.authority_key, keys.certificate_key, keys.secret, keys.node_key(0)]
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}
    assert keys.root.stat().st_mode & 0o777 == 0o700


def test_keys_that_exist_are_kept_and_nodes_can_be_added(tmp_path: Path) -> None:
    made = make_keys(tmp_path / "a", nodes=1)
    before = {path: path.read_bytes() for path in made.root.rglob("*") if path.is_file()}
    make_keys(tmp_path / "a", nodes=2)
    assert {path: path.read_bytes() for path in before} == before
    assert made.node_key(1).is_file()
    with pytest.raises(InputError, match=r"superlink.crt was made for other names; remove it for a new one"):
        make_keys(tmp_path / "a", nodes=1, address="192.0.2.1:8000")
    with pytest.raises(InputError, match="expected the SuperLink's host:port"):
        make_keys(tmp_path / "b", nodes=1, address="8000")


def test_flowers_configuration_names_superlink_and_authority(keys: KeyFolder) -> None:
    config = tomllib.loads((keys.flower_home / "config.toml").read_text())
    assert config["superlink"]["deployment"] == {
        "address": "127.0.0.1:8000",
        "root-certificates": str(keys.authority),
    }
