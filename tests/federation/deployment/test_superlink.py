"""The server's side of a run on a real SuperLink, whose nodes send what they like."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.proto.control_pb2 import StopRunRequest

from fedleak.errors import FederationError, InputError
from fedleak.federation.deployment import grid as grid_module
from fedleak.federation.deployment.bundle import app_bundle
from fedleak.federation.deployment.grid import DeploymentGrid
from fedleak.federation.deployment.superlink import SuperLink, run_on_superlink
from fedleak.federation.failures import LOST_NODE
from fedleak.federation.wire import WHOAMI
from fedleak.scenario.schema import FederationEngine
from tests.federation.deployment.superlinks import HandDrivenNode, node, superlink
from tests.processes import wait_for

ANSWER = RecordDict({"identity": ConfigRecord({"partition-id": 3})})
SECONDS = 4.0


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secret") / "secret"
    path.write_text("0" * 64)
    return path


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, secret: Path) -> Iterator[FederationEngine]:
    with superlink(tmp_path_factory.mktemp("link"), "--insecure", "--superexec-auth-secret-file", str(secret)) as place:
        yield FederationEngine(
            kind="deployment", address=place, insecure=True, superexec_secret=str(secret), timeout=SECONDS
        )


@pytest.fixture
def grid(engine: FederationEngine) -> Iterator[DeploymentGrid]:
    with run_on_superlink(engine, threading.Event()) as found:
        yield found


def place(engine: FederationEngine) -> str:
    assert engine.address is not None
    return engine.address


def ask(grid: DeploymentGrid, *nodes: int) -> list[str]:
    """Ids of a question to each node."""
    return list(grid.push_messages([Message(RecordDict({"config": ConfigRecord()}), n, WHOAMI) for n in nodes]))


def replies(grid: DeploymentGrid, names: list[str]) -> dict[str, Message]:
    """Replies by the id of the question."""
    found: dict[str, Message] = {}

    def complete() -> bool:
        waiting = [name for name in names if name not in found]
        found.update({reply.metadata.reply_to_message_id: reply for reply in grid.pull_messages(waiting)})
        return len(found) == len(names)

    assert wait_for(complete, seconds=60)
    return found


def test_an_honest_answer_arrives_once(grid: DeploymentGrid, engine: FederationEngine) -> None:
    with node(place(engine)) as honest:
        assert honest.id in grid.get_node_ids()
        names = ask(grid, honest.id)
        honest.answer(honest.receive(), ANSWER)
        reply = replies(grid, names)[names[0]]
        assert reply.metadata.src_node_id == honest.id
        assert dict(reply.content.config_records["identity"]) == {"partition-id": 3}
        assert grid.pull_messages(names) == []


def reason_of(grid: DeploymentGrid, bad: HandDrivenNode, good: HandDrivenNode, names: list[str]) -> str:
    """What is said about the reply of the bad node, while that of the good one arrives."""
    good.answer(good.receive(), ANSWER)
    found = replies(grid, names)
    first, second = found[names[0]], found[names[1]]
    assert second.has_content()
    assert (first.has_error(), first.metadata.src_node_id) == (True, bad.id)
    return str(first.error.reason)


def test_what_cannot_be_read_is_an_error_of_its_sender_alone(grid: DeploymentGrid, engine: FederationEngine) -> None:
    with node(place(engine)) as bad, node(place(engine)) as good:
        names = ask(grid, bad.id, good.id)
        bad.answer_rubbish(bad.receive(), b"rubbish")
        assert reason_of(grid, bad, good, names).startswith("its reply cannot be read (ValueError")


def test_a_reply_that_is_never_uploaded_does_not_hold_up_the_others(
    grid: DeploymentGrid, engine: FederationEngine
) -> None:
    with node(place(engine)) as bad, node(place(engine)) as good:
        names = ask(grid, bad.id, good.id)
        bad.answer(bad.receive(), ANSWER, upload=False)
        assert reason_of(grid, bad, good, names).startswith("its reply cannot be read (")


def test_nobody_answers_in_the_name_of_another(
    grid: DeploymentGrid, engine: FederationEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid_module, "SLACK_SECONDS", 1.0)
    with node(place(engine)) as bad, node(place(engine)) as good:
        names = ask(grid, bad.id, good.id)
        bad.answer(bad.receive(), ANSWER, src=good.id)
        assert reason_of(grid, bad, good, names) == f"node {good.id} answered instead of it"


def test_nodes_that_are_gone_or_unknown_are_lost(grid: DeploymentGrid, engine: FederationEngine) -> None:
    with node(place(engine)) as leaving:
        names = ask(grid, leaving.id)
    found = replies(grid, names + ask(grid, 12345))
    assert len(found) == 2
    assert all(reply.error.reason.startswith(LOST_NODE) for reply in found.values())


def test_the_server_needs_the_secret(engine: FederationEngine, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("1" * 64)
    for path, reason in {None: "the SuperLink asks for the secret", str(wrong): "the SuperLink refuses it"}.items():
        changed = engine.model_copy(update={"superexec_secret": path})
        with pytest.raises(InputError, match=reason) as caught, run_on_superlink(changed, threading.Event()):
            pytest.fail("the run began")
        assert caught.value.path == "federation.engine.superexec_secret"


def test_a_run_that_is_stopped_from_outside_says_so(engine: FederationEngine) -> None:
    def stopped() -> None:
        with run_on_superlink(engine, threading.Event()) as grid:
            with SuperLink.of(engine).control() as control:
                control.StopRun(StopRunRequest(run_id=grid.run.run_id))
            grid.get_node_ids()

    with pytest.raises(FederationError, match=r"the run has ended on the SuperLink at"):
        stopped()


def test_a_superlink_that_is_gone_is_named(engine: FederationEngine) -> None:
    gone = engine.model_copy(update={"address": "127.0.0.1:1"})
    with pytest.raises(FederationError, match=r"the SuperLink at 127.0.0.1:1 does not answer"):
        run_on_superlink(gone, threading.Event()).__enter__()


def test_the_bundle_is_the_same_every_time_and_carries_no_secrets() -> None:
    first, second = app_bundle(), app_bundle()
    assert (first.hash_str, first.content) == (second.hash_str, second.content)
    assert len(first.content) < 4096
