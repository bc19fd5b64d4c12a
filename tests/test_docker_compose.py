"""The compose file: by Docker where it is, else by the part of the compose specification that the file uses.

What the services build from, call and mount is compared with the programs themselves.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from flwr.superlink.cli.flower_superlink import _parse_args_run_superlink
from flwr.supernode.cli.flower_supernode import _parse_args_run_supernode

from fedleak.federation.deployment.keys import KeyFolder
from fedleak.studies.study import load_study

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docker-compose.yml"
DRIVERS = {"fedleak", "fedleak-gpu"}
RAY = {"ray-head", "ray-worker", "ray-worker-gpu"}
NODES = [f"supernode-{client}" for client in range(4)]

TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
TEXTS: dict[str, Any] = {"type": "array", "items": TEXT, "minItems": 1}
BUILD = {"context": TEXT, "dockerfile_inline": TEXT}
DEVICE = {"driver": TEXT, "count": {"enum": ["all"]}, "capabilities": TEXTS}
CONDITIONS = ["service_started", "service_healthy", "service_completed_successfully"]


def mapping(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """A mapping with these keys and no others."""
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "required": list(required),
    }


def mapping_to(schema: dict[str, Any]) -> dict[str, Any]:
    """A mapping with names as keys."""
    return {"type": "object", "patternProperties": {r"^[a-zA-Z0-9._-]+$": schema}, "additionalProperties": False}


DEVICES = {"type": "array", "items": mapping(DEVICE, "capabilities")}
SERVICE = mapping(
    {
        "image": TEXT,
        "build": mapping(BUILD, "context"),
        "environment": mapping_to({"type": "string"}),
        "entrypoint": TEXTS,
        "command": TEXTS,
        "volumes": {"type": "array", "items": {"type": "string", "pattern": r"^[^:]+(:-[^}]+}[^:]*)?:/[^:]+(:ro)?$"}},
        "shm_size": {"type": "string", "pattern": "^[0-9]+(kb|mb|gb)$"},
        "depends_on": {"anyOf": [TEXTS, mapping_to(mapping({"condition": {"enum": CONDITIONS}}, "condition"))]},
        "profiles": TEXTS,
        "deploy": mapping({"resources": mapping({"reservations": mapping({"devices": DEVICES})})}),
        "healthcheck": mapping({"test": TEXTS, "interval": TEXT, "retries": {"type": "integer"}}, "test"),
        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
    },
    "image",
)
SCHEMA = {
    "type": "object",
    "properties": {"services": mapping_to(SERVICE), "volumes": mapping_to({"type": "null"})},
    "patternProperties": {"^x-": {}},
    "additionalProperties": False,
    "required": ["services"],
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
    return loaded


def filled(text: str) -> str:
    """A text with Docker's variables at their defaults."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def mounts(service: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Place in the container -> place outside, and ``rw`` or ``ro``."""
    found = {}
    for volume in service["volumes"]:
        outside, inside, *mode = filled(volume).split(":")
        found[inside] = (outside, mode[0] if mode else "rw")
    return found


def test_the_file_follows_the_specification(compose: dict[str, Any]) -> None:
    jsonschema.validate(compose, SCHEMA)
    names = set(compose["services"])
    for service in compose["services"].values():
        assert set(service.get("depends_on", [])) <= names
        for volume in service.get("volumes", []):
            outside = filled(volume).split(":")[0]
            assert outside.startswith("./") or outside in compose["volumes"]
    assert not any("ports" in service for service in compose["services"].values())


def has_compose() -> bool:
    """Whether Docker with its plugin is here; no engine is needed."""
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_compose(), reason="there is no docker compose here")
def test_docker_reads_it() -> None:
    for profiles in ((), ("cluster", "gpu-cluster", "gpu"), ("deployment",)):
        options = [option for profile in profiles for option in ("--profile", profile)]
        subprocess.run(["docker", "compose", "-f", str(FILE), *options, "config", "--quiet"], check=True)


def test_everything_that_the_image_copies_is_in_the_repository(compose: dict[str, Any]) -> None:
    lines = compose["x-fedleak"]["build"]["dockerfile_inline"].splitlines()
    copies = [shlex.split(line)[1:-1] for line in lines if line.startswith("COPY")]
    assert copies
    for name in (name for sources in copies for name in sources):
        assert (ROOT / name).exists(), name


def test_every_service_uses_the_one_image(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {*DRIVERS, *RAY, "superlink", "register", *NODES}
    assert {service["image"] for service in compose["services"].values()} == {compose["x-fedleak"]["image"]}


def test_scenarios_data_and_runs_are_folders_of_the_user(compose: dict[str, Any]) -> None:
    """Ray's workers read the clients' images from the run directory, so that they share it."""
    for name in DRIVERS | RAY:
        found = mounts(compose["services"][name])
        assert found["/work/scenarios"] == ("./scenarios", "ro")
        assert found["/work/data"] == ("./data", "ro")
        assert found["/work/runs"] == ("./runs", "rw")
        assert ("/work/deployment" in found) == (name in DRIVERS)


def test_the_default_command_runs_a_valid_study(compose: dict[str, Any]) -> None:
    for name in DRIVERS:
        command, file = compose["services"][name]["command"]
        assert compose["services"][name]["entrypoint"] == ["fedleak"]
        assert command == "run"
        assert load_study(ROOT / file).name == "quickstart"


def test_the_workers_join_the_port_on_which_the_head_listens(compose: dict[str, Any]) -> None:
    head = compose["services"]["ray-head"]["command"]
    port = next(option.split("=")[1] for option in head if option.startswith("--port="))
    for name in ("ray-worker", "ray-worker-gpu"):
        assert f"--address=ray-head:{port}" in compose["services"][name]["command"]


def test_gpus_are_reserved_only_where_the_name_says_so(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert ("deploy" in service) == name.endswith("-gpu"), name
        if "deploy" in service:
            (device,) = service["deploy"]["resources"]["reservations"]["devices"]
            assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}


def test_the_superlink_authenticates_and_encrypts(compose: dict[str, Any]) -> None:
    service = compose["services"]["superlink"]
    assert service["entrypoint"] == ["flower-superlink"]
    options = _parse_args_run_superlink().parse_args(service["command"])
    assert (options.isolation, options.enable_supernode_auth, options.insecure) == ("process", True, False)
    found, keys = mounts(service), KeyFolder(Path("deployment"))
    for option, path in {
        options.ssl_certfile: keys.certificate,
        options.ssl_keyfile: keys.certificate_key,
        options.ssl_ca_certfile: keys.authority,
        options.superexec_auth_secret_file: keys.secret,
    }.items():
        assert found[option] == (f"./{path}", "ro")


@pytest.mark.parametrize("client", range(4))
def test_a_node_sees_its_own_key_and_data_alone(compose: dict[str, Any], client: int) -> None:
    service, keys = compose["services"][NODES[client]], KeyFolder(Path("deployment"))
    program, *options = [*service["entrypoint"], *service["command"]]
    assert program == "flower-supernode"
    given = _parse_args_run_supernode().parse_args(options)
    assert given.superlink == "superlink:8000"
    assert given.node_config == f'partition-id={client} data="/node/data"'
    assert not given.insecure
    assert mounts(service) == {
        given.root_certificates: (f"./{keys.authority}", "ro"),
        given.auth_supernode_private_key: (f"./{keys.node_key(client)}", "ro"),
        "/node/data": (f"./deployment/data/{client:05d}", "ro"),
    }


def test_nodes_start_when_their_keys_are_registered(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["register"]["depends_on"] == {"superlink": {"condition": "service_healthy"}}
    assert services["register"]["environment"]["FLWR_HOME"] == f"/work/{KeyFolder(Path('deployment')).flower_home}"
    for name in NODES:
        assert services[name]["depends_on"] == {"register": {"condition": "service_completed_successfully"}}
