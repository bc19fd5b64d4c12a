"""Whether a tracker's target can be used, found out within seconds and before any work."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

SECONDS = 5
"""Patience with a server or database."""
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
DATABASES = ("postgresql", "mysql", "mssql", "sqlite")


def hidden(address: str) -> str:
    """The address without the password in it."""
    try:
        password = urlsplit(address).password
    except ValueError:  # such as a bracket that is not closed
        return address
    return address.replace(f":{password}@", ":***@") if password else address


def unwritable(folder: Path) -> str:
    """Why ``folder`` cannot be made or written to; empty if it can."""
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:  # such as a name that is too long
        return error.strerror or str(error)
    if not there.is_dir():
        return f"{there} is a file; expected a folder"
    return "" if os.access(there, os.W_OK) else f"{there} cannot be written to"


def unreachable(address: str) -> str:
    """Why a server or database at this address cannot be used; empty if it can, or if that cannot be told."""
    try:
        parts = urlsplit(address)
        scheme = parts.scheme.partition("+")[0]
        if scheme in DATABASES:
            return _no_database(address, scheme)
        return _no_server(parts, scheme) if scheme in PORTS else ""
    except ValueError as error:  # such as a port that is no number
        return f"it is not an address: {error}"


def _no_server(parts: SplitResult, scheme: str) -> str:
    host, port = parts.hostname or "", parts.port or PORTS[scheme]
    if not host:
        return "the address names no host"
    try:
        with socket.create_connection((host, port), timeout=SECONDS):
            return ""
    except OSError as error:
        return f"nothing answers at {host}:{port} ({error.strerror or error}); start the server, or correct the address"


def _no_database(address: str, scheme: str) -> str:
    from sqlalchemy import create_engine, make_url, text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        url = make_url(address)
        if scheme == "sqlite":
            file = Path(url.database or "")
            if file.is_dir():
                return f"{file} is a folder; expected a file for the SQLite database, such as {file}/mlflow.db"
            if not file.exists():
                return unwritable(file.parent)
        elif reason := _no_server(urlsplit(address), scheme):
            create_engine(url).dispose()  # a missing driver is the first thing to mend
            return reason
        limits = {} if scheme == "sqlite" else {"connect_timeout" if scheme != "mssql" else "timeout": SECONDS}
        engine = create_engine(url, connect_args=limits)
        try:
            with engine.connect() as connection:
                connection.execute(text("PRAGMA schema_version" if scheme == "sqlite" else "SELECT 1"))
        finally:
            engine.dispose()
    except ImportError as error:
        return f"the driver of this database is missing ({error}); install it"
    except SQLAlchemyError as error:
        return f"the database cannot be used: {first_line(error)}"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
