from __future__ import annotations

import getpass
import json
import platform
import socket
from importlib.metadata import version

import torch

from fedleak.environment import PACKAGES, describe_environment
from fedleak.version import __version__, source_commit


def test_versions_are_those_that_are_installed() -> None:
    facts = describe_environment()
    assert facts["fedleak"] == __version__
    assert facts["commit"] == source_commit()
    assert facts["python"] == platform.python_version()
    assert facts["packages"] == {name: version(name) for name in PACKAGES}
    assert facts["torch_threads"] == torch.get_num_threads()
    assert json.loads(json.dumps(facts)) == facts


def test_neither_the_user_nor_the_machine_is_named() -> None:
    facts = describe_environment()
    values = {str(value) for value in facts.values() if not isinstance(value, dict)}
    assert set(facts) == {
        "fedleak", "commit", "python", "system", "cpus", "memory_gib", "gpus", "torch_threads", "packages"
    }  # fmt: skip
    assert not values & {getpass.getuser(), socket.gethostname(), platform.node()}
