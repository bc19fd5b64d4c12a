"""The command ``serve``: a read-only page over a folder of runs and studies."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from fedleak.cli.output import say

LOOPBACK = "127.0.0.1"
PORT = 8765


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(serve)


def serve(
    folder: Annotated[Path, typer.Argument(metavar="DIR")] = Path("runs"),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0: any that is free.")] = PORT,
) -> None:
    """Show the runs and studies in a folder in a browser on this machine: progress, verdicts, reports, comparisons.

    DIR is a folder of runs and studies. Nothing in it is changed. Only this machine can connect, with all of its users.
    """
    import uvicorn

    from fedleak.errors import InputError
    from fedleak.serve.app import make_app

    if not folder.is_dir():
        raise InputError("DIR", str(folder), "there is no such folder; expected one that holds runs or studies")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((LOOPBACK, port))
        except OSError as error:
            reason = f"{error.strerror}; choose another port, or 0 for any that is free"
            raise InputError("--port", port, reason) from error
        say(f"http://{LOOPBACK}:{listening.getsockname()[1]}/ shows {folder}; Ctrl-C ends it")
        server = uvicorn.Server(uvicorn.Config(make_app(folder), log_level="warning", server_header=False))
        with suppress(KeyboardInterrupt):  # the usual end
            server.run(sockets=[listening])
