"""A scenario on a SuperLink and SuperNodes as processes, with TLS and node authentication, as a user runs them."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fedleak.federation.deployment.keys import KeyFolder
from tests.federation.deployment.superlinks import SCRIPTS, environment, kill, process, superlink
from tests.federation.test_resources import free_port
from tests.processes import finish, start, wait_for
from tests.scenarios import write_scenario

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

PAIRS = {"adversary__injection": {"pairs": 6, "rounds": [1]}}
NOISE = {"federation__client__postprocess": [{"kind": "gaussian_noise", "std": 0.01}]}
CHEAP = {"attacks": [{"kind": "inverting_gradients", "iterations": 2}]}
PASSIVE = CHEAP | {"adversary": {"level": 3, "public_images": 60}}
SECONDS = 1800


@dataclass
class Deployment:
    """A SuperLink and its nodes.

    Attributes:
        nodes: client -> process of its node.
    """

    folder: Path
    address: str
    keys: KeyFolder
    stack: ExitStack
    nodes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def register(self, number: int) -> None:
        """Tell the SuperLink the public key with this number."""
        command = [SCRIPTS / "flwr", "supernode", "register", self.keys.node_public_key(number), "deployment"]
        subprocess.run(command, check=True, env=environment(self.keys.flower_home), capture_output=True, timeout=300)

    def start_node(self, client: int, *, key: int | None = None, **variables: str) -> None:
        """Start the node of a client, with the key of its number or another."""
        number = client if key is None else key
        options = ["--superlink", self.address, "--port", str(free_port())]
        options += ["--root-certificates", str(self.keys.authority)]
        options += ["--auth-supernode-private-key", str(self.keys.node_key(number))]
        options += ["--node-config", f'partition-id={client} data="{self.folder}/dealt/{client:05d}"']
        home = self.folder / f"node-{number}"
        self.nodes[client] = self.stack.enter_context(process(home, "flower-supernode", *options, **variables))

    def deal(self, scenario: Path) -> None:
        """Give the nodes their data, as the command does."""
        code, _, err = finish(start("deployment", "deal", scenario, self.folder / "dealt"), seconds=SECONDS)
        assert code == 0, err

    def engine(self, **more: Any) -> str:
        """The setting ``federation.engine``."""
        settings = {"kind": "deployment", "address": self.address, "root_certificates": str(self.keys.authority)}
        settings |= {"superexec_secret": str(self.keys.secret), "timeout": 240} | more
        return f"federation.engine={json.dumps(settings)}"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    port = free_port()
    made = start("deployment", "keys", folder / "keys", "--nodes", "5", "--address", f"127.0.0.1:{port}")
    code, out, err = finish(made, seconds=SECONDS)
    assert code == 0, err
    assert "flower-superlink --isolation process --enable-supernode-auth" in out
    keys = KeyFolder(folder / "keys")
    options = ["--enable-supernode-auth", "--superexec-auth-secret-file", str(keys.secret)]
    options += ["--ssl-certfile", str(keys.certificate), "--ssl-keyfile", str(keys.certificate_key)]
    options += ["--ssl-ca-certfile", str(keys.authority)]
    with ExitStack() as stack:
        address = stack.enter_context(superlink(folder / "link", *options, port=port))
        found = Deployment(folder, address, keys, stack)
        for client in range(3):
            found.register(client)
            found.start_node(client)
        yield found


def rounds_of(run: Path) -> list[dict[str, Any]]:
    """Rounds of a finished transcript."""
    found: list[dict[str, Any]] = json.loads((run / "transcript/manifest.json").read_text())["rounds"]
    return found


def scores_of(run: Path) -> list[dict[str, str]]:
    """Rows of the results, without the seconds that they took."""
    with (run / "results.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_transcript_is_that_of_the_simulation_byte_for_byte(deployment: Deployment, tmp_path: Path) -> None:
    path = write_scenario(tmp_path, **PAIRS, **NOISE, **CHEAP)
    deployment.deal(path)
    runs = {"serial": "federation.engine={kind: serial}", "deployed": deployment.engine()}
    for name, engine in runs.items():
        code, _, err = finish(start("run", path, "--out", tmp_path / name, "--set", engine), seconds=SECONDS)
        assert code == 0, err
    serial, deployed = (files_of(tmp_path / name / "transcript") for name in runs)
    assert serial == deployed
    serial, deployed = (scores_of(tmp_path / name) for name in runs)
    assert serial == deployed


def test_data_that_were_not_dealt_for_this_scenario_are_refused(deployment: Deployment, tmp_path: Path) -> None:
    deployment.deal(write_scenario(tmp_path, **PASSIVE))
    other = write_scenario(tmp_path, **PASSIVE, seed=1)
    options = ("--out", tmp_path / "run", "--set", deployment.engine(timeout=30))
    code, _, err = finish(start("federate", other, *options), seconds=SECONDS)
    assert code == 1
    assert "it holds other images, or other keys, than this scenario deals" in " ".join(err.split())


def test_a_node_dies_and_another_with_a_new_id_takes_its_place(deployment: Deployment, tmp_path: Path) -> None:
    path = write_scenario(tmp_path, **PASSIVE, federation__rounds=6)
    deployment.deal(path)
    run = tmp_path / "run"
    command = start("federate", path, "--out", run, "--set", deployment.engine())
    journal = run / "transcript"

    def rounds() -> int:
        return len(list(journal.glob("models/*")))  # the first is there before round 1

    try:
        assert wait_for(lambda: rounds() >= 2, seconds=SECONDS)
        kill(deployment.nodes[2])
        deployment.register(3)
        assert wait_for(lambda: rounds() >= 4, seconds=SECONDS)
        deployment.start_node(2, key=3)
        code, _, err = finish(command, seconds=SECONDS)
    finally:
        command.kill()
    assert code == 0, err
    failures = [found["failures"] for found in rounds_of(run)]
    assert failures[0] == []
    assert "client 2: failed: the node is gone: no sign of life" in failures[2]
    assert failures[-1] == []
    assert "client 2 is now node" in " ".join(err.split())
    statuses = [u["status"] for r in rounds_of(run) for u in r["updates"] if u["client"] == 2]
    assert {"ok", "failed"} == set(statuses)


ROGUE = """
import sys

if any("flwr-clientapp" in part for part in sys.orig_argv):
    import numpy as np
    from flwr.app import Array, ConfigRecord, Message, RecordDict
    from flwr.clientapp import ClientApp

    honest = ClientApp.__call__

    def answer(self, message, context):
        reply = honest(self, message, context)
        if message.metadata.message_type != "train":
            return reply
        number = int(context.state.config_records.get("n", {"n": 0})["n"])
        context.state["n"] = ConfigRecord({"n": number + 1})
        if number == 0:
            return Message(RecordDict(), reply_to=message)
        arrays = reply.content["arrays"]
        first = next(iter(arrays))
        if number == 1:
            arrays[first] = Array(np.zeros((7, 7), np.float32))
        if number == 2:
            arrays[first] = Array("float32", tuple(arrays[first].shape), "numpy.ndarray", b"rubbish")
        if number == 3:
            reply.content["metrics"]["num-examples"] = 10**9
        if number == 4:
            arrays[first] = Array(np.full(arrays[first].shape, np.nan, np.float32))
        return reply

    ClientApp.__call__ = answer
"""
"""A node's ``sitecustomize``: it answers training messages by another kind of rubbish in each round."""
RUBBISH = (
    ("failed", "malformed reply: KeyError: 'arrays'"),
    ("failed", "has shape (7, 7); expected"),
    ("failed", "malformed reply: ValueError"),
    ("failed", "it claims 1000000000 images; client 2 uses 1"),
    ("non_finite", "the update holds NaN or infinite values"),
)


def test_a_node_that_sends_rubbish_fails_alone(deployment: Deployment, tmp_path: Path) -> None:
    path = write_scenario(tmp_path, **PASSIVE, federation__rounds=len(RUBBISH))
    deployment.deal(path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(ROGUE)
    kill(deployment.nodes[2])
    deployment.register(4)
    paths = f"{tmp_path / 'site'}:{environment(tmp_path)['PYTHONPATH']}"
    deployment.start_node(2, key=4, PYTHONPATH=paths)
    code, _, err = finish(
        start("federate", path, "--out", tmp_path / "run", "--set", deployment.engine()), seconds=SECONDS
    )
    assert code == 0, err
    for found, (status, reason) in zip(rounds_of(tmp_path / "run"), RUBBISH, strict=True):
        assert found["replies"] == 2
        assert [u["status"] for u in found["updates"]] == ["ok", status]
        assert reason in found["updates"][1]["reason"]


def test_nodes_with_data_of_their_own_are_attacked_and_not_scored(deployment: Deployment, tmp_path: Path) -> None:
    path = write_scenario(tmp_path, **PASSIVE)
    deployment.deal(path)
    for client in range(3):
        (deployment.folder / f"dealt/{client:05d}/key").unlink()
    kill(deployment.nodes[2])
    shutil.rmtree(deployment.folder / "node-2", ignore_errors=True)
    deployment.start_node(2)
    out = tmp_path / "run"
    command = start("run", path, "--out", out, "--set", deployment.engine(data="own"))
    code, said, err = finish(command, seconds=SECONDS)
    assert code == 0, err
    assert "nothing is scored" in " ".join(err.split())
    assert f"reconstructions, which nothing can score: {out / 'attacks'}" in said
    assert not (out / "truth").exists()
    assert not (out / "results.json").exists()
    assert list((out / "attacks").glob("*/*.safetensors")) or list((out / "attacks").rglob("*.npy"))
