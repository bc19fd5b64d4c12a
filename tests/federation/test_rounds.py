"""Whole federations without Ray, against computations by hand."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fedleak import seeds
from fedleak.client.local_training import LocalTraining, Updates, compute_updates
from fedleak.client.postprocess.base import apply_steps
from fedleak.errors import FederationError
from fedleak.federation import injection
from fedleak.federation.client import LOCAL_BUFFERS, app
from fedleak.federation.plan import Plan, make_plan
from fedleak.federation.sampling import training_key
from fedleak.federation.serial_grid import SerialGrid
from fedleak.federation.server import Server
from fedleak.progress import QuietProgress
from fedleak.run_directory import RunDirectory
from fedleak.scenario.schema import Scenario
from fedleak.stages.federate import write_planned_truth
from fedleak.stages.score.truth import TruthReader
from fedleak.transcript.manifest import RoundRecord
from fedleak.transcript.reader import TranscriptReader
from fedleak.transcript.writer import TranscriptWriter
from tests.scenarios import run_federation, scenario, streams, tree

ALL = {"adversary__victims__clients": [0, 1, 2]}
FEDAVG: dict[str, Any] = {
    "federation__client__protocol": "fedavg",
    "federation__client__batch_size": 40,
    "federation__client__local_epochs": 2,
    "federation__client__local_learning_rate": 0.05,
    "federation__partition": {"kind": "dirichlet", "alpha": 1.0},
    "adversary__public_images": 800,
    "adversary__injection__pairs": 3,
}
CONVNET = {"model": {"kind": "convnet", "widths": [3, 4]}, "federation__client__batch_size": 4}


def update_of(
    checked: Scenario, state: dict[str, Tensor], images: Tensor, labels: Tensor, *, seed: int | str = 0
) -> Updates:
    """The client's computation on images ``(B, C, H, W)`` in [0, 1], from the global model ``state``."""
    model = checked.model.build((1, 8, 8), 10, seed=0)
    model.load_state_dict(state)
    client = checked.federation.client
    training = LocalTraining(
        client.protocol,
        client.batch_size,
        epochs=client.local_epochs,
        learning_rate=client.local_learning_rate,
        train_mode=client.batch_norm != "eval",
    )
    return compute_updates(model, (images[None] - 0.5) / 0.5, labels[None], training, seed=seed)


def named(reader: TranscriptReader, row: int) -> dict[str, Tensor]:
    """A recorded update, by name."""
    return reader.manifest.parameters.unflatten(reader.update(row))


def check_close(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Same names, same values up to rounding."""
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_the_clients_leave_the_threads_of_the_process_alone(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run_federation(tmp_path, scenario())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_two_runs_leave_the_same_bytes(tmp_path: Path) -> None:
    first, second = (run_federation(tmp_path / name, scenario()) for name in "ab")
    assert tree(first.transcript) == tree(second.transcript)
    assert tree(first.truth) == tree(second.truth)
    other = run_federation(tmp_path / "c", scenario(seed=1))
    changed = {name for name, digest in tree(other.transcript).items() if tree(first.transcript)[name] != digest}
    assert {"updates.npy", "pairs/updates.npy", "public/images.npy", "models/version-00000.safetensors"} <= changed


@pytest.mark.parametrize("batch_size", [1, 3])
def test_fedsgd_steps_along_the_mean_gradient(tmp_path: Path, batch_size: int) -> None:
    checked = scenario(**ALL, federation__server__learning_rate=0.3, federation__client__batch_size=batch_size)
    run = run_federation(tmp_path, checked)
    reader, truth = TranscriptReader(run.transcript), TruthReader(run.truth)
    for record in reader.manifest.rounds:
        old, new = reader.model(record.round - 1), reader.model(record.round)
        updates = [named(reader, update.row) for update in record.updates]
        assert [update.samples for update in record.updates] == [batch_size] * 3
        check_close(new, {name: old[name] - 0.3 * sum(u[name] for u in updates) / 3 for name in updates[0]})
        for update, shared in zip(record.updates, updates, strict=True):
            batch = truth.batch(update.row)
            assert len(batch.images) == batch_size
            own = update_of(checked, old, batch.images, batch.labels)
            check_close(shared, {name: tensor[0] for name, tensor in own.tensors.items()})


def test_fedavg_weighs_by_samples(tmp_path: Path) -> None:
    checked = scenario(**ALL, **FEDAVG)
    run = run_federation(tmp_path, checked)
    reader, truth = TranscriptReader(run.transcript), TruthReader(run.truth)
    for record in reader.manifest.rounds:
        old, new = reader.model(record.round - 1), reader.model(record.round)
        counts = [update.samples or 0 for update in record.updates]
        assert len(set(counts)) == 3, "the partitions are of different size"
        updates = [named(reader, update.row) for update in record.updates]
        for name in updates[0]:
            mean = sum(count * update[name] for count, update in zip(counts, updates, strict=True)) / sum(counts)
            torch.testing.assert_close(new[name], old[name] + mean, rtol=1e-5, atol=1e-6)
        for update, shared in zip(record.updates, updates, strict=True):
            batch = truth.batch(update.row)
            assert len(batch.images) == update.samples
            seed = training_key(streams(run.root).client(update.client), update.round)
            own = update_of(checked, old, batch.images, batch.labels, seed=seed)
            check_close(shared, {name: tensor[0] for name, tensor in own.tensors.items()})


def test_fedavg_with_a_fixed_number_of_samples(tmp_path: Path) -> None:
    checked = scenario(**(FEDAVG | {"federation__client__samples": 10}))
    run = run_federation(tmp_path, checked)
    reader = TranscriptReader(run.transcript)
    assert {update.samples for update in reader.manifest.updates} == {10}
    assert reader.manifest.pairs is not None
    assert reader.manifest.pairs.images_per_pair == 10


def buffers_of(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Running statistics and counters."""
    return {name: tensor for name, tensor in state.items() if "running" in name or "tracked" in name}


def test_shared_batch_norm_is_averaged(tmp_path: Path) -> None:
    checked = scenario(**ALL, **CONVNET, federation__client__batch_norm="train_shared")
    run = run_federation(tmp_path, checked)
    reader, truth = TranscriptReader(run.transcript), TruthReader(run.truth)
    for record in reader.manifest.rounds:
        old, new = reader.model(record.round - 1), reader.model(record.round)
        batches = [truth.batch(update.row) for update in record.updates]
        own = [update_of(checked, old, batch.images, batch.labels).buffers for batch in batches]
        for name, value in buffers_of(new).items():
            mean = torch.stack([buffers[name][0].to(torch.float64) for buffers in own]).mean(0)
            torch.testing.assert_close(value.to(torch.float64), mean, rtol=1e-5, atol=1e-6, msg=name)
        assert all(value == record.round for name, value in new.items() if "tracked" in name)


@pytest.mark.parametrize("policy", ["eval", "train_local"])
def test_batch_norm_that_is_not_shared_stays(tmp_path: Path, policy: str) -> None:
    run = run_federation(tmp_path, scenario(**CONVNET, federation__client__batch_norm=policy))
    reader = TranscriptReader(run.transcript)
    first, last = buffers_of(reader.model(0)), buffers_of(reader.model(2))
    assert first
    assert all(torch.equal(first[name], last[name]) for name in first)


def make_server(folder: Path, plan: Plan) -> Server:
    """A server that has not begun."""
    write_planned_truth(folder / "truth", plan)
    server = Server(plan, TranscriptWriter(folder / "transcript", "f"), folder / "truth", QuietProgress())
    server.writer.allocate(updates=plan.recorded_updates, values=server.layout.size)
    if plan.pair_index is not None:
        server.writer.allocate_pairs(plan.pair_index, values=server.layout.size, dtype="float32")
    return server


def test_clients_keep_their_own_batch_norm(tmp_path: Path) -> None:
    checked = scenario(**CONVNET, federation__client__batch_norm="train_local")
    server = make_server(tmp_path, make_plan(checked))
    grid = SerialGrid(app, 3)
    server.run(grid)
    kept = [context.state.array_records[LOCAL_BUFFERS].to_torch_state_dict() for context in grid._contexts.values()]
    assert all(int(value) == 2 for buffers in kept for name, value in buffers.items() if "tracked" in name)
    assert not torch.equal(kept[0]["1.running_mean"], kept[1]["1.running_mean"])


def test_sampled_clients_and_chosen_victims(tmp_path: Path) -> None:
    checked = scenario(
        federation__clients=6,
        federation__rounds=5,
        federation__clients_per_round=3,
        adversary__compromised=2,
        adversary__victims={"clients": [0, 2, 4], "rounds": [1, 3, 4, 5]},
    )
    run = run_federation(tmp_path, checked)
    plan, manifest = make_plan(checked), TranscriptReader(run.transcript).manifest
    assert len({planned.clients for planned in plan.rounds}) > 1
    assert [record.replies for record in manifest.rounds] == [3] * 5
    seen = [(update.round, update.client) for update in manifest.updates]
    assert seen == [
        (planned.number, client)
        for planned in plan.rounds
        for client in planned.clients
        if client in {0, 2, 4} and planned.number != 2
    ]
    assert [update.row for update in manifest.updates] == list(range(len(seen)))
    assert all(update.model_version == update.round - 1 for update in manifest.updates)


NOISY = [
    {"kind": "l2_clipping", "max_norm": 0.5},
    {"kind": "gaussian_noise", "std": 0.01},
    {"kind": "magnitude_pruning", "rate": 0.5},
]


def test_pairs_come_from_the_clients_own_code_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injection, "MESSAGE_BYTES", 4 * 460 * 7)  # several messages
    checked = scenario(
        federation__client={"batch_size": 2, "postprocess": NOISY},
        adversary__compromised=1,
        adversary__injection={"pairs": 40, "rounds": [1, 2]},
    )
    run = run_federation(tmp_path, checked)
    reader = TranscriptReader(run.transcript)
    assert reader.manifest.pairs is not None
    assert reader.manifest.pairs.model_versions == (0, 1)
    images, labels = reader.public()
    index = reader.pair_index()
    for pair in (0, 7, 19, 20, 39):
        batch = torch.from_numpy(images[index[pair]]).to(torch.float32) / 255
        round_number = 1 if pair < 20 else 2
        own = update_of(checked, reader.model(round_number - 1), batch, torch.from_numpy(labels[index[pair]]))
        generator = seeds.torch_generator(
            streams(tmp_path).client(1), "postprocess", "query.inject", round_number, pair
        )
        steps = checked.federation.client.postprocess
        expected = apply_steps(steps, {n: t[0] for n, t in own.tensors.items()}, generator=generator)
        row = torch.from_numpy(reader.pair_updates().read(np.array([pair]))[0].astype(np.float32))
        check_close(reader.manifest.parameters.unflatten(row), expected)


def test_an_update_and_the_pair_of_the_same_images_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Feed the compromised client its own private image: it answers with what it shares in the round."""
    checked = scenario(adversary__compromised=1, adversary__victims__clients=[1], federation__rounds=1)
    plan = make_plan(checked)
    own = plan.clients[1].take(plan.rounds[0].updates[0].images)
    assert plan.pair_index is not None
    plan.public.images[plan.pair_index[5, 0]] = own.images[0]
    plan.public.labels[plan.pair_index[5, 0]] = own.labels[0]
    server = make_server(tmp_path, plan)
    server.run(SerialGrid(app, 3))
    np.testing.assert_allclose(
        np.load(tmp_path / "transcript/pairs/updates.npy")[5],
        np.load(tmp_path / "transcript/updates.npy")[0],
        atol=1e-7,
    )


class KilledError(BaseException):
    """As hard as a kill: nothing catches it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, name: str, *, call: int, before: bool) -> None:
    """Die in the ``call``-th call of a method of the writer, before or after its work."""
    original, calls = getattr(TranscriptWriter, name), [0]

    def deadly(self: TranscriptWriter, *args: Any, **kwargs: Any) -> None:
        calls[0] += 1
        if calls[0] == call and before:
            raise KilledError
        original(self, *args, **kwargs)
        if calls[0] == call:
            raise KilledError

    monkeypatch.setattr(TranscriptWriter, name, deadly)


KILLS = [
    ("finish_round", 1), ("finish_round", 3), ("write_pairs", 1), ("write_pairs", 4), ("write_pairs", 8),
    ("write_update", 4), ("save_model", 1), ("save_model", 3), ("finish", 1),
]  # fmt: skip


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("name", "call"), KILLS)
def test_a_killed_run_ends_in_the_same_bytes(tmp_path: Path, name: str, call: int, before: bool) -> None:
    checked = scenario(
        federation__rounds=3,
        federation__client__postprocess=NOISY,
        adversary__injection={"pairs": 60, "rounds": [1, 3]},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(injection, "MESSAGE_BYTES", 4 * 460 * 7)
        whole = run_federation(tmp_path / "whole", checked)
        kill_at(patch, name, call=call, before=before)
        with pytest.raises(KilledError):
            run_federation(tmp_path / "killed", checked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(injection, "MESSAGE_BYTES", 4 * 460 * 7)
        continued = run_federation(tmp_path / "killed", checked)
    assert {n: d for n, d in tree(continued.transcript).items() if n != "journal.jsonl"} == tree(whole.transcript)
    assert tree(continued.truth) == tree(whole.truth)


def test_finished_rounds_are_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked, done = scenario(federation__rounds=4), []
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "finish_round", call=3, before=False)
        with pytest.raises(KilledError):
            run_federation(tmp_path, checked)
    original = TranscriptWriter.finish_round

    def count(self: TranscriptWriter, record: RoundRecord, memory: dict[str, Tensor]) -> None:
        done.append(record.round)
        original(self, record, memory)

    monkeypatch.setattr(TranscriptWriter, "finish_round", count)
    run_federation(tmp_path, checked)
    assert done == [4]


def test_clients_with_state_start_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = scenario(**CONVNET, federation__client__batch_norm="train_local")
    whole = run_federation(tmp_path / "whole", checked)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "finish_round", call=1, before=False)
        with pytest.raises(KilledError):
            run_federation(tmp_path / "killed", checked)
    assert tree(run_federation(tmp_path / "killed", checked).transcript) == tree(whole.transcript)


def faults(mode: str, *places: tuple[int, int]) -> list[dict[str, Any]]:
    """Faults at (round, client)."""
    return [{"round": number, "client": client, "mode": mode} for number, client in places]


def test_failures_are_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    broken = faults("raise", (1, 1)) + faults("nan", (2, 2), (2, 0))
    run = run_federation(tmp_path, scenario(federation__faults=broken, federation__rounds=3))
    reader = TranscriptReader(run.transcript)
    statuses = {(u.round, u.client): (u.status, u.reason) for u in reader.manifest.updates}
    assert statuses[1, 1] == ("failed", "RuntimeError: fault provoked by the scenario in round 1")
    assert statuses[2, 2] == ("non_finite", "the update holds NaN or infinite values")
    assert [record.replies for record in reader.manifest.rounds] == [2, 1, 3]
    assert reader.manifest.rounds[1].failures == (
        "client 0: non_finite: the update holds NaN or infinite values",
        "client 2: non_finite: the update holds NaN or infinite values",
    )
    for version in range(4):
        assert all(torch.isfinite(tensor).all() for tensor in reader.model(version).values())
    old, new, shared = reader.model(1), reader.model(2), named(reader, 2)  # only client 1 counts in round 2
    check_close(new, {name: old[name] - 0.1 * shared[name] for name in shared})
    assert not reader.update(0).any(), "the row of a failed update stays empty"


def test_when_all_fail_the_run_can_be_resumed(tmp_path: Path) -> None:
    checked = scenario(federation__faults=faults("raise", (2, 0), (2, 1), (2, 2)))
    for _ in range(2):
        with pytest.raises(FederationError, match=r"round 2: no client delivered .*client 0: RuntimeError: fault"):
            run_federation(tmp_path, checked)
        assert len(TranscriptWriter(RunDirectory(tmp_path).transcript, _fingerprint(tmp_path)).rounds) == 1


def _fingerprint(root: Path) -> str:
    from fedleak.run_directory import federation_fingerprint

    return federation_fingerprint(RunDirectory(root).scenario())


def test_pairs_that_diverge_end_the_run(tmp_path: Path) -> None:
    changes = FEDAVG | {"federation__client__local_learning_rate": 1e30, "federation__client__samples": 80}
    with pytest.raises(FederationError, match="an injected pair's update holds NaN"):
        run_federation(tmp_path, scenario(**changes))


def test_flower_says_nothing_of_every_round(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its logger wrote a line to the terminal for each one."""
    run_federation(tmp_path / "run", scenario())
    assert "aggregate_train" not in capfd.readouterr().err
    assert not logging.getLogger("flwr").isEnabledFor(logging.INFO)
