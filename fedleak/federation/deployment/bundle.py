"""The Flower app of a deployment: a bundle that only names fedleak's client, which nodes have installed.

The server of a run is the process of ``fedleak run``, not a part of the bundle.
"""

from __future__ import annotations

import hashlib

from flwr.cli.build import build_fab_from_files
from flwr.supercore.fab import Fab

PYPROJECT = """\
[project]
name = "fedleak-node"
version = "1.0.0"
description = "A client of fedleak; what it does is in the package fedleak, which every node has installed."
dependencies = []

[tool.flwr.app]
publisher = "fedleak"

[tool.flwr.app.components]
serverapp = "fedleak_node.server:app"
clientapp = "fedleak_node.client:app"

[tool.flwr.app.config]
"""
CLIENT = '''\
"""The client of fedleak."""

from fedleak.federation.client import app as app
'''
SERVER = '''\
"""A server that runs only if the SuperLink starts servers itself, and then says what to do."""

from flwr.serverapp import ServerApp

app = ServerApp()


@app.main()
def main(grid, context):
    """Refuse to run."""
    raise RuntimeError("fedleak run is the server: start the SuperLink with --isolation process")
'''


def app_bundle() -> Fab:
    """The bundle that the SuperLink passes on to its nodes; the same bytes in every run."""
    files = {
        "pyproject.toml": PYPROJECT.encode(),
        "fedleak_node/__init__.py": b"",
        "fedleak_node/client.py": CLIENT.encode(),
        "fedleak_node/server.py": SERVER.encode(),
    }
    content, _ = build_fab_from_files(files)
    return Fab(hashlib.sha256(content).hexdigest(), content, {})
