"""Check that the machine has the resources that the engine asks for; Flower and Ray would hang or abort instead."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import psutil

from fedleak.errors import InputError
from fedleak.scenario.deployment import host_and_port
from fedleak.scenario.schema import FederationEngine

CONNECT_SECONDS = 5.0


def check_resources(engine: FederationEngine) -> None:
    """Reject an engine whose clients could never be scheduled; Flower would wait forever.

    Raises:
        InputError: naming the setting.
    """
    if engine.kind == "serial":
        return
    if engine.deployed:
        check_superlink(engine)
        return
    if engine.address is not None:
        _check_address(engine.address)
        return
    import torch

    cpus = engine.cpus or psutil.cpu_count() or 1
    if engine.client_cpus > cpus:
        raise InputError("federation.engine.client_cpus", engine.client_cpus, f"this machine has {cpus} CPUs")
    gpus = torch.cuda.device_count()
    if engine.client_gpus > gpus:
        raise InputError("federation.engine.client_gpus", engine.client_gpus, f"this machine has {gpus} GPUs")


def _check_address(address: str) -> None:
    """Check that a Ray cluster answers at the address; Ray itself would end the whole process if none does."""
    host, separator, port = address.rpartition(":")
    if address == "auto":
        return
    if not separator or not port.isdecimal():
        raise InputError("federation.engine.address", address, "expected auto or host:port")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError("federation.engine.address", address, f"no Ray cluster answers there ({error})") from error


def check_superlink(engine: FederationEngine) -> None:
    """Check that a SuperLink answers at the address, with a certificate that one of the authorities has signed.

    Raises:
        InputError: naming the setting.
    """
    place = host_and_port(engine.address or "")
    if place is None:
        raise InputError("federation.engine.address", engine.address, "expected the SuperLink's host:port")
    if engine.superexec_secret is not None and not Path(engine.superexec_secret).expanduser().is_file():
        raise InputError("federation.engine.superexec_secret", engine.superexec_secret, "there is no such file")
    trusted = None if engine.insecure else _trusted(engine.root_certificates)
    try:
        with socket.create_connection(place, timeout=CONNECT_SECONDS) as connection:
            if trusted is not None:
                trusted.wrap_socket(connection, server_hostname=place[0]).close()
    except ssl.SSLCertVerificationError as error:
        reason = f"it does not vouch for the certificate of {engine.address} ({error.verify_message})"
        raise InputError("federation.engine.root_certificates", engine.root_certificates, reason) from error
    except ssl.SSLError as error:
        reason = f"no TLS there ({error.reason}); a SuperLink without it needs federation.engine.insecure: true"
        raise InputError("federation.engine.address", engine.address, reason) from error
    except OSError as error:
        raise InputError(
            "federation.engine.address", engine.address, f"no SuperLink answers there ({error})"
        ) from error


def _trusted(path: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(Path(path).expanduser()) if path is not None else None)
    except OSError as error:  # also an SSLError, of a file that holds no certificate
        reason = f"expected a file with certificates in PEM form ({error.strerror or error})"
        raise InputError("federation.engine.root_certificates", path, reason) from error
