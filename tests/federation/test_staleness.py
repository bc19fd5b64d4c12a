"""Asynchronous federations: late clients, what the server makes of them, and what the adversary sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fedleak import threat
from fedleak.errors import InputErrors
from fedleak.run_directory import RunDirectory
from fedleak.scenario.schema import Scenario
from fedleak.stages.attack.view import CapabilityNotGrantedError, View
from fedleak.stages.score.truth import TruthReader
from fedleak.threat import granted_by_level
from fedleak.transcript.reader import TranscriptReader
from tests.federation.test_rounds import FEDAVG, KilledError, check_close, kill_at, named, update_of
from tests.scenarios import run_federation, scenario, tree

ALL = {"adversary__victims__clients": [0, 1, 2]}
TRACE = {"kind": "trace", "lags": [[0], [1], [3]]}
LATE: dict[str, Any] = {**ALL, "federation__rounds": 5, "federation__staleness": TRACE}
BUFFERED: dict[str, Any] = {
    **ALL,
    "federation__rounds": 5,
    "federation__staleness": {"kind": "uniform", "max": 2},
    "federation__server": {"learning_rate": 2.0, "aggregation": {"kind": "fedbuff", "buffer": 4}},
}


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return run_federation(tmp_path_factory.mktemp("late") / "run", scenario(**LATE))


def test_a_late_update_is_the_gradient_at_the_old_version_bit_for_bit(late: RunDirectory) -> None:
    reader, truth, checked = TranscriptReader(late.transcript), TruthReader(late.truth), late.scenario()
    lags = {(u.round, u.client): u.current_version - u.model_version for u in reader.manifest.updates}
    assert lags == {(r, c): min(lag, r - 1) for c, lag in enumerate((0, 1, 3)) for r in range(1, 6)}
    for record in reader.manifest.updates:
        batch = truth.batch(record.row)
        own = update_of(checked, reader.model(record.model_version), batch.images, batch.labels)
        flat = torch.cat([tensor.flatten() for tensor in own.tensors.values()])
        assert torch.equal(reader.update(record.row), flat)
        if record.model_version != record.current_version:
            other = update_of(checked, reader.model(record.current_version), batch.images, batch.labels)
            assert not torch.equal(flat, torch.cat([tensor.flatten() for tensor in other.tensors.values()]))


def test_pairs_of_a_late_client_are_of_the_current_version(tmp_path: Path) -> None:
    """Its channel is the adversary's, who does not dawdle."""
    checked = scenario(**LATE, adversary__compromised=2, adversary__injection={"pairs": 2, "rounds": [5]})
    reader = TranscriptReader(run_federation(tmp_path, checked).transcript)
    images, labels = reader.public()
    index = reader.pair_index()[1]
    batch = torch.from_numpy(images[index]).to(torch.float32) / 255
    own = update_of(checked, reader.model(4), batch, torch.from_numpy(labels[index]))
    row = torch.from_numpy(reader.pair_updates().read(np.array([1]))[0])
    check_close(reader.manifest.parameters.unflatten(row), {name: t[0] for name, t in own.tensors.items()})
    assert reader.manifest.pairs is not None
    assert reader.manifest.pairs.model_versions == (4,)


def test_drift_begins_at_the_old_version(tmp_path: Path) -> None:
    drift = {"images": 20, "epochs": 1, "learning_rate": 0.1, "batch_size": 8}
    plain, drifted = (
        TranscriptReader(run_federation(tmp_path / str(i), scenario(**LATE, federation__client__drift=d)).transcript)
        for i, d in enumerate((None, drift))
    )
    assert [u.model_version for u in plain.manifest.updates] == [u.model_version for u in drifted.manifest.updates]
    assert not torch.equal(plain.update(1), drifted.update(1))


def steps_of(reader: TranscriptReader, checked: Scenario, number: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The models before and after a round."""
    return reader.model(number - 1), reader.model(number)


def test_fedasync_mixes_the_local_models(tmp_path: Path) -> None:
    rule = {"kind": "fedasync", "mixing": 0.5, "weight": {"kind": "polynomial", "a": 1.0}}
    changes = LATE | FEDAVG | {"federation__server__aggregation": rule, "adversary__injection": None}
    changes["attacks"] = [{"kind": "inverting_gradients", "iterations": 1}]
    reader = TranscriptReader(run_federation(tmp_path, scenario(**changes)).transcript)
    for record in reader.manifest.rounds:
        expected = reader.model(record.round - 1)
        for update in record.updates:
            alpha = 0.5 / (update.current_version - update.model_version + 1)
            origin, delta = reader.model(update.model_version), named(reader, update.row)
            expected = {n: (1 - alpha) * expected[n] + alpha * (origin[n] + delta[n]) for n in expected}
        check_close(reader.model(record.round), expected)


def test_fedbuff_steps_by_full_buffers(tmp_path: Path) -> None:
    """Three updates a round, four to a step: by hand, with all that is recorded."""
    reader = TranscriptReader(run_federation(tmp_path, scenario(**BUFFERED)).transcript)
    steps, held, taken = [0], [], 0
    model = reader.model(0)
    for record in reader.manifest.rounds:
        for update in record.updates:
            age = taken - steps[update.model_version]
            held.append({name: -2.0 * t / (1 + age) ** 0.5 / 4 for name, t in named(reader, update.row).items()})
            if len(held) == 4:
                model = {name: tensor + sum(change[name] for change in held) for name, tensor in model.items()}
                held, taken = [], taken + 1
        steps.append(taken)
        check_close(reader.model(record.round), model)
    assert steps == [0, 0, 1, 2, 3, 3]
    assert {u.current_version - u.model_version for u in reader.manifest.updates} == {0, 1, 2}


KILLS = [("finish_round", 2), ("finish_round", 4), ("write_update", 8), ("save_model", 4), ("finish", 1)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return tree(run_federation(tmp_path_factory.mktemp("whole") / "run", scenario(**BUFFERED)).transcript)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("name", "call"), KILLS)
def test_a_killed_run_ends_in_the_same_bytes(
    tmp_path: Path, whole: dict[str, str], name: str, call: int, before: bool
) -> None:
    """The buffer that the server held survives with the rounds."""
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, name, call=call, before=before)
        with pytest.raises(KilledError):
            run_federation(tmp_path, scenario(**BUFFERED))
    continued = tree(run_federation(tmp_path, scenario(**BUFFERED)).transcript)
    assert {n: digest for n, digest in continued.items() if n != "journal.jsonl"} == whole
    assert not any(name.startswith("memory/") for name in whole)


def test_a_lost_memory_starts_the_run_over(tmp_path: Path, whole: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "finish_round", call=3, before=False)
        with pytest.raises(KilledError):
            run_federation(tmp_path, scenario(**BUFFERED))
    (memory,) = (tmp_path / "transcript/memory").iterdir()
    memory.unlink()
    assert tree(run_federation(tmp_path, scenario(**BUFFERED)).transcript) == whole


def asks(update: threat.SharedUpdate, model: threat.GlobalModel) -> None:
    """Stands for an attack."""


def asks_for_the_version(version: threat.UpdateVersion) -> None:
    """Stands for an attack that asks outright."""


def test_the_version_is_seen_only_where_it_is_granted(late: RunDirectory) -> None:
    reader = TranscriptReader(late.transcript)
    (record,) = (u for u in reader.manifest.updates if (u.round, u.client) == (5, 2))
    assert (record.current_version, record.model_version) == (4, 1)
    everything, nothing = granted_by_level(5), granted_by_level(5) - {"update_version"}
    for grants, version, expected in ((everything, "known", 1), (everything, "current", 4), (nothing, "current", 4)):
        known = View(reader, grants, record, version=version).capabilities(asks)  # type: ignore[arg-type]
        update, model = known["update"], known["model"]
        assert isinstance(update, threat.SharedUpdate)
        assert isinstance(model, threat.GlobalModel)
        assert (update.model_version, model.version) == (expected, expected)
        assert update.known_version == (1 if version == "known" else None)
        assert all(torch.equal(tensor, reader.model(expected)[name]) for name, tensor in model.state.items())
    for method, version in ((asks, "known"), (asks_for_the_version, "current")):
        with pytest.raises(CapabilityNotGrantedError, match="update_version"):
            View(reader, nothing, record, version=version).capabilities(method)  # type: ignore[arg-type]


def test_an_attack_cannot_know_what_is_not_granted() -> None:
    attack = [{"kind": "inverting_gradients", "version": "known"}]
    grants = sorted(granted_by_level(5) - {"update_version"})
    with pytest.raises(InputErrors, match="it needs update_version"):
        scenario(**LATE, attacks=attack, adversary__level=None, adversary__grants=grants)
    assert threat.UpdateVersion in scenario(**LATE, attacks=attack).attacks[0].wanted()
