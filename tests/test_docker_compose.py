"""The compose file, checked without an engine: what it builds from and calls exists here."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedleak.studies.study import load_study

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    return loaded


def test_everything_that_the_image_copies_is_in_the_repository(compose: dict[str, Any]) -> None:
    lines = compose["x-fedleak"]["build"]["dockerfile_inline"].splitlines()
    copies = [shlex.split(line)[1:-1] for line in lines if line.startswith("COPY")]
    assert copies
    for name in (name for sources in copies for name in sources):
        assert (ROOT / name).exists(), name


def test_every_service_uses_the_one_image_and_shares_the_run_directory(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"fedleak", "ray-head", "ray-worker"}
    for service in compose["services"].values():
        assert service["image"] == compose["x-fedleak"]["image"]
        assert "runs:/work/runs" in service["volumes"]
    assert set(compose["volumes"]) == {"runs", "cache"}


def test_the_default_command_runs_a_valid_study(compose: dict[str, Any]) -> None:
    command, file = compose["services"]["fedleak"]["command"]
    assert compose["services"]["fedleak"]["entrypoint"] == ["fedleak"]
    assert command == "run"
    assert load_study(ROOT / file).name == "quickstart"


def test_the_workers_join_the_port_on_which_the_head_listens(compose: dict[str, Any]) -> None:
    head, worker = compose["services"]["ray-head"]["command"], compose["services"]["ray-worker"]["command"]
    port = next(option.split("=")[1] for option in head if option.startswith("--port="))
    assert f"--address=ray-head:{port}" in worker
