"""Flower's SecAgg+ over our grid, against the same federation in the open."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from flwr.app import Message
from flwr.common import bytes_to_ndarray
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key

from fedleak.errors import FederationError, InputErrors
from fedleak.families import kinds
from fedleak.federation import serial_grid
from fedleak.federation.plan import make_plan
from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.run_directory import RunDirectory
from fedleak.stages.score.truth import TruthReader
from fedleak.transcript.reader import TranscriptReader
from tests.federation.test_rounds import FEDAVG, faults
from tests.scenarios import run_federation, scenario, tree

SECURE = {"num_shares": 5, "reconstruction_threshold": 3, "clipping_range": 4.0}
STEP = 2 * 4.0 / 2**22
"""Between two of the numbers to which a value is rounded."""
OPEN: dict[str, Any] = {
    "federation__clients": 5,
    "federation__client__batch_size": 2,
    "adversary__level": 3,
    "adversary__injection": None,
    "attacks": [{"kind": "inverting_gradients", "iterations": 3}],
}
IN_SUM = OPEN | {"federation__secure_aggregation": SECURE}
EVERYONE = {"adversary__victims__clients": [0, 1, 2, 3, 4]}
UNEQUAL = {name: value for name, value in FEDAVG.items() if not name.startswith("adversary")}


def sums(root: Path, **changes: Any) -> tuple[RunDirectory, TranscriptReader]:
    run = run_federation(root, scenario(**(IN_SUM | changes)))
    return run, TranscriptReader(run.transcript)


@pytest.mark.parametrize("changes", [{}, UNEQUAL], ids=["fedsgd", "fedavg"])
def test_the_sum_is_that_of_the_plain_updates(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Of the first round; in the second one the models differ by what rounding left."""
    _, secure = sums(tmp_path / "secure", **changes)
    plain = TranscriptReader(run_federation(tmp_path / "plain", scenario(**(OPEN | EVERYONE | changes))).transcript)
    first = plain.manifest.rounds[0].updates
    samples = torch.tensor([update.samples for update in first], dtype=torch.float64)
    assert (len(set(samples.tolist())) > 1) == (changes == UNEQUAL)
    expected = sum(n * plain.update(u.row).double() for n, u in zip(samples, first, strict=True)) / samples.sum()
    record = secure.manifest.rounds[0].updates[0]
    assert (record.summed, record.samples) == ((0, 1, 2, 3, 4), int(samples.sum()))
    weights = samples / samples.max()  # what is rounded: 5 values and 5 weights, each by less than a step
    limit = 5 * (STEP + 2**-22) / float(weights.sum())
    assert (secure.update(record.row) - expected).abs().max() < limit
    for name, tensor in plain.model(1).items():
        torch.testing.assert_close(secure.model(1)[name], tensor, rtol=0, atol=limit)


def test_values_beyond_the_range_are_cut_off(tmp_path: Path) -> None:
    narrow = SECURE | {"clipping_range": 0.01}
    _, secure = sums(tmp_path, federation__secure_aggregation=narrow, federation__rounds=1)
    assert float(secure.update(0).abs().max()) <= 0.01 * (1 + 1e-5)


def test_a_single_update_is_nowhere_in_the_transcript(tmp_path: Path) -> None:
    run, secure = sums(tmp_path / "secure", federation__rounds=1)
    plain = TranscriptReader(run_federation(tmp_path / "plain", scenario(**(OPEN | EVERYONE))).transcript)
    assert [len(record.updates) for record in secure.manifest.rounds] == [1]
    assert len(np.load(run.transcript / "updates.npy")) == 1
    files = [path.read_bytes() for path in run.transcript.rglob("*") if path.is_file()]
    for update in plain.manifest.rounds[0].updates:
        own = plain.update(update.row)
        assert (secure.update(0) - own).abs().max() > 100 * STEP
        largest = own.abs().argsort()[-20:].sort().values
        values = [own[i].numpy().tobytes() for i in largest]
        assert not any(value in content for value in values for content in files)


def test_what_a_client_sends_is_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server receives empty arrays, numbers spread evenly below 2^32, and the number of images."""
    seen: list[Message] = []

    class Tapped(serial_grid.SerialGrid):
        def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
            replies = list(super().pull_messages(message_ids))
            seen.extend(replies)
            return replies

    monkeypatch.setattr(serial_grid, "SerialGrid", Tapped)
    sums(tmp_path, federation__rounds=1)
    masked = []
    for reply in seen:
        assert not any(len(record) for record in reply.content.array_records.values())
        values = reply.content.config_records.get(RECORD_KEY_CONFIGS, {}).get(Key.MASKED_PARAMETERS)
        if values is not None:
            flat = [bytes_to_ndarray(data).ravel() for data in cast(list[bytes], values)]
            masked.append(np.concatenate(flat) / 2**32)
    assert len(masked) == 5
    every = np.stack(masked)
    assert 0 <= every.min() < 0.01 < 0.99 < every.max() < 1
    assert abs(every.mean() - 0.5) < 0.03
    assert np.abs(np.corrcoef(every) - np.eye(5)).max() < 0.2


def test_a_client_that_drops_out_is_left_out_of_the_sum(tmp_path: Path) -> None:
    """After it has shared its secrets: the others open the masks that it left behind."""
    broken = faults("raise", (1, 1)) + faults("nan", (1, 3))
    run, secure = sums(tmp_path / "secure", federation__faults=broken)
    plain = TranscriptReader(run_federation(tmp_path / "plain", scenario(**(OPEN | EVERYONE))).transcript)
    first, second = secure.manifest.rounds
    assert [record.updates[0].summed for record in (first, second)] == [(0, 2, 4), (0, 1, 2, 3, 4)]
    assert first.failures == (
        "client 1: failed: RuntimeError: fault provoked by the scenario in round 1",
        "client 3: failed: ValueError: the update holds NaN or infinite values",
    )
    expected = torch.stack([plain.update(row) for row in (0, 2, 4)]).mean(dim=0)
    assert (secure.update(0) - expected).abs().max() < 2 * STEP
    truth = TruthReader(run.truth)
    batch = truth.batch(0, first.updates[0].summed)
    assert batch.places == ((0, 0), (0, 1), (2, 0), (2, 1), (4, 0), (4, 1))
    open_truth = TruthReader(tmp_path / "plain/truth")
    assert torch.equal(batch.images, torch.cat([open_truth.batch(row).images for row in (0, 2, 4)]))


def test_with_too_few_left_the_run_can_be_resumed(tmp_path: Path) -> None:
    broken = scenario(**IN_SUM, federation__faults=faults("raise", (2, 0), (2, 1), (2, 2)))
    for _ in range(2):
        with pytest.raises(FederationError, match=r"round 2: secure aggregation failed.*fault provoked"):
            run_federation(tmp_path, broken)


def test_two_runs_leave_the_same_bytes(tmp_path: Path) -> None:
    """Keys and masks are new every time, and cancel; neighbours and rounding follow the run's secret."""
    ring = {"federation__secure_aggregation": SECURE | {"num_shares": 3, "reconstruction_threshold": 2}}
    first, second = (sums(tmp_path / name, **ring)[0] for name in "ab")
    assert tree(first.transcript) == tree(second.transcript)
    assert tree(first.truth) == tree(second.truth)


@pytest.mark.slow
def test_on_ray_the_same_bytes(tmp_path: Path) -> None:
    """Node ids, which name the ends of every mask, are random there."""
    ray = {"federation__engine": {"kind": "ray", "cpus": 2}}
    broken = {"federation__faults": faults("raise", (1, 1))}
    first, second = (sums(tmp_path / str(i), **changes)[0] for i, changes in enumerate((broken, broken | ray)))
    assert tree(first.transcript) == tree(second.transcript)


def test_attacks_run_on_the_sum_or_say_why_not(tmp_path: Path) -> None:
    """Every attack that needs neither pairs nor crafted models; the sum is an update of the batches of all."""
    active = {"injected_pairs", "model_tampering"}
    families = {kind: cls for kind, cls in kinds("attack").items() if not active & _needs(cls)}
    chosen = list(families)
    short = {"iterations": 2, "restarts": 1, "weight_iterations": 2, "training": {"epochs": 1}}
    attacks = [{"kind": k} | {n: v for n, v in short.items() if n in cls.model_fields} for k, cls in families.items()]
    checked = scenario(**(IN_SUM | {"attacks": attacks, "federation__rounds": 1}))
    run = run_federation(tmp_path, checked)
    with run.claim(checked, force=False):
        pass
    results = attack_run(run, progress=QuietProgress(), isolated=False)
    assert results is not None
    worked = set()
    for row in results.rows:
        if row.status == "failed":
            assert row.reason
        elif row.kind in chosen:
            worked.add(row.kind)
            assert row.summed == (0, 1, 2, 3, 4)
    assert {"dlg", "inverting_gradients", "gradinversion", "fan2025", "sapag"} <= worked
    places = {(row.victim, row.image) for row in results.rows if row.attack == "inverting_gradients"}
    assert places == {(client, image) for client in range(5) for image in range(2)}
    assert "the adversary saw sums over 5 clients, and no single client's update" in results.notes


def _needs(cls: Any) -> set[str]:
    return {capability.capability_name() for capability in cls.capabilities()}


@pytest.mark.parametrize("kind", sorted(k for k, cls in kinds("attack").items() if "model_tampering" in _needs(cls)))
def test_readers_of_crafted_models_run_on_the_sum_or_say_why_not(tmp_path: Path, kind: str) -> None:
    """Each behind the crafting that it reads."""
    short = {"iterations": 2} if "iterations" in kinds("attack")[kind].model_fields else {}
    bins = {"bins": 8} if kind in ("imprint", "loki") else {}
    crafted = {"adversary__level": 5, "adversary__crafting": {"kind": kind, **bins}, "federation__rounds": 1}
    checked = scenario(**(IN_SUM | crafted | {"attacks": [{"kind": kind, **short}]}))
    run = run_federation(tmp_path, checked)
    with run.claim(checked, force=False):
        pass
    results = attack_run(run, progress=QuietProgress(), isolated=False)
    assert results is not None
    rows = [row for row in results.rows if row.attack == kind]
    assert rows
    assert all(row.summed == (0, 1, 2, 3, 4) and (row.status == "ok" or row.reason) for row in rows)
    assert kind == "class_fishing" or any(row.status == "ok" for row in rows), [row.reason for row in rows]


def test_local_steps_of_several_clients_are_not_unrolled(tmp_path: Path) -> None:
    steps = {"kind": "inverting_averaging", "iterations": 2}
    few = {"federation__client__batch_size": 2, "federation__client__samples": 4, "federation__rounds": 1}
    checked = scenario(**(IN_SUM | UNEQUAL | few | {"attacks": [steps]}))
    run = run_federation(tmp_path, checked)
    with run.claim(checked, force=False):
        pass
    results = attack_run(run, progress=QuietProgress(), isolated=False)
    assert results is not None
    (row,) = [row for row in results.rows if row.attack == "inverting_averaging"]
    assert (row.status, row.summed) == ("failed", (0, 1, 2, 3, 4))
    assert "local steps of 5 clients cannot be unrolled" in row.reason


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"num_shares": 7}, "num_shares", "an odd number up to 5"),
    ({"num_shares": 4, "reconstruction_threshold": 2}, "num_shares", "an odd number up to 5"),
    ({"quantization_range": 2**31}, "quantization_range", "below 2^32"),
    ({"num_shares": 3}, "", "reconstruction_threshold must be less than num_shares = 3"),
]


@pytest.mark.parametrize(("settings", "path", "allowed"), REFUSED)
def test_a_protocol_that_could_not_work_is_refused(settings: dict[str, Any], path: str, allowed: str) -> None:
    with pytest.raises(InputErrors) as caught:
        scenario(**(IN_SUM | {"federation__secure_aggregation": SECURE | settings}))
    assert [error.path for error in caught.value.errors] == [f"federation.secure_aggregation.{path}".rstrip(".")]
    assert allowed in str(caught.value)


HIDDEN: list[tuple[dict[str, Any], str, str]] = [
    (EVERYONE, "adversary.victims.clients", "only the sum of a round"),
    ({"adversary__injection": {"pairs": 9}}, "adversary.injection.pairs", "no single client's update"),
    ({"federation__client__batch_norm": "train_shared"}, "federation.client.batch_norm", "running statistics"),
    ({"adversary__grants": ["batch_statistics"]}, "adversary.grants", "nothing about single batches"),
    (
        {
            "federation__client__postprocess": ["sign_sgd"],
            "attacks": [{"kind": "inverting_gradients", "adaptive": True}],
        },
        "attacks.0.adaptive",
        "cannot be replayed on the sum",
    ),
]


@pytest.mark.parametrize(("changes", "path", "allowed"), HIDDEN)
def test_what_the_sum_hides_is_refused(changes: dict[str, Any], path: str, allowed: str) -> None:
    with pytest.raises(InputErrors) as caught:
        scenario(**(IN_SUM | changes))
    assert [error.path for error in caught.value.errors] == [path]
    assert allowed in str(caught.value)


def test_the_plan_gives_a_round_one_row() -> None:
    plan = make_plan(scenario(**IN_SUM, adversary__victims={"rounds": [2]}))
    assert [[(u.row, u.client) for u in planned.updates] for planned in plan.rounds] == [[], [(0, c) for c in range(5)]]
    assert plan.recorded_updates == 1
