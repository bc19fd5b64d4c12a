"""Keys and certificates of a deployment: an authority, the SuperLink's certificate, a key pair for each node.

Everything is made by ``cryptography`` on Flower's terms: elliptic curve P-384, nodes' keys in OpenSSH's form, the rest
in PEM. Private files have mode 600 in a folder of mode 700. Files that exist are kept.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedleak.errors import InputError
from fedleak.scenario.deployment import host_and_port

AUTHORITY_DAYS, SERVER_DAYS = 3650, 397
SECRET_BYTES = 32
CONNECTION = "deployment"
"""Name of the SuperLink in Flower's configuration file."""


@dataclass(frozen=True)
class KeyFolder:
    """The files that ``make_keys`` writes."""

    root: Path

    @property
    def authority(self) -> Path:
        """Certificate of the authority: what nodes and ``fedleak run`` check the SuperLink's against."""
        return self.root / "ca.crt"

    @property
    def authority_key(self) -> Path:
        """Private key of the authority; needed only to make another certificate."""
        return self.root / "ca.key"

    @property
    def certificate(self) -> Path:
        """The SuperLink's certificate."""
        return self.root / "superlink.crt"

    @property
    def certificate_key(self) -> Path:
        """The SuperLink's private key."""
        return self.root / "superlink.key"

    @property
    def secret(self) -> Path:
        """What the SuperLink asks of whoever runs the server."""
        return self.root / "superexec.secret"

    @property
    def flower_home(self) -> Path:
        """Folder for ``FLWR_HOME``: tells the command ``flwr`` where the SuperLink is."""
        return self.root / "flower"

    def node_key(self, client: int) -> Path:
        """Private key of the node of a client; its public key is beside it, with ``.pub``."""
        return self.root / f"node-{client:05d}"

    def node_public_key(self, client: int) -> Path:
        """Public key of the node of a client, which is registered with the SuperLink."""
        return self.root / f"node-{client:05d}.pub"


def make_keys(root: Path, *, nodes: int, address: str = "127.0.0.1:8000", names: Sequence[str] = ()) -> KeyFolder:
    """Make what a deployment needs and does not have yet.

    Args:
        root: the folder.
        nodes: number of nodes, one for each client.
        address: the SuperLink's ``host:port``, as nodes reach it.
        names: further names or addresses of the SuperLink.

    Raises:
        InputError: if the address is none, or the SuperLink's certificate in the folder was made for other names.
    """
    place = host_and_port(address)
    if place is None:
        raise InputError("--address", address, "expected the SuperLink's host:port, as 127.0.0.1:8000")
    hosts = list(dict.fromkeys([place[0], *names]))
    folder = KeyFolder(root)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_authority(folder)
    _make_certificate(folder, hosts)
    if not folder.secret.exists():
        _write_private(folder.secret, secrets.token_hex(SECRET_BYTES).encode())
    for client in range(nodes):
        _make_node_key(folder, client)
    _write_flower_config(folder, address)
    return folder


def _make_authority(folder: KeyFolder) -> None:
    if folder.authority.exists():
        return
    key = ec.generate_private_key(ec.SECP384R1())
    name = _name("fedleak deployment authority")
    builder = _builder(name, name, key.public_key(), AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    _write_private(folder.authority_key, _pem(key))
    folder.authority.write_bytes(builder.sign(key, hashes.SHA384()).public_bytes(Encoding.PEM))


def _make_certificate(folder: KeyFolder, hosts: Sequence[str]) -> None:
    names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
    if folder.certificate.exists():
        made = x509.load_pem_x509_certificate(folder.certificate.read_bytes())
        if made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value != names:
            raise InputError(
                "--address", ", ".join(hosts), f"{folder.certificate} was made for other names; remove it for a new one"
            )
        return
    authority = x509.load_pem_x509_certificate(folder.authority.read_bytes())
    authority_key = load_pem_private_key(folder.authority_key.read_bytes(), None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise InputError("DIR", str(folder.authority_key), "expected a private key of an elliptic curve")
    key = ec.generate_private_key(ec.SECP384R1())
    builder = _builder(_name("fedleak deployment SuperLink"), authority.subject, key.public_key(), SERVER_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    _write_private(folder.certificate_key, _pem(key))
    folder.certificate.write_bytes(builder.sign(authority_key, hashes.SHA384()).public_bytes(Encoding.PEM))


def _make_node_key(folder: KeyFolder, client: int) -> None:
    if folder.node_key(client).exists():
        return
    key = ec.generate_private_key(ec.SECP384R1())
    _write_private(folder.node_key(client), key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    folder.node_public_key(client).write_bytes(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))


def _write_flower_config(folder: KeyFolder, address: str) -> None:
    """TOML's basic strings are written as JSON's."""
    folder.flower_home.mkdir(mode=0o700, exist_ok=True)
    lines = (
        "[superlink]",
        f'default = "{CONNECTION}"',
        f"[superlink.{CONNECTION}]",
        f"address = {json.dumps(address)}",
        f"root-certificates = {json.dumps(str(folder.authority.absolute()))}",
    )
    (folder.flower_home / "config.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks of other machines may be late
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that did not exist, of mode 600 from its first moment."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
