from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from flwr.app import ArrayRecord
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fedleak.client.postprocess.base import PostProcess
from fedleak.client.postprocess.error_feedback import share_with_feedback
from fedleak.client.postprocess.qsgd import Qsgd
from fedleak.client.postprocess.sign_sgd import SignSgd
from fedleak.client.postprocess.top_k import TopK
from fedleak.errors import InputError
from fedleak.federation.client import RESIDUAL, app
from fedleak.federation.plan import make_plan
from fedleak.federation.serial_grid import SerialGrid
from fedleak.federation.server import Server
from fedleak.progress import QuietProgress
from fedleak.stages.federate import write_planned_truth
from fedleak.transcript.manifest import load_manifest
from fedleak.transcript.reader import TranscriptReader
from fedleak.transcript.writer import TranscriptWriter
from tests.client.postprocess.updates import generator
from tests.federation.test_rounds import kill_at
from tests.scenarios import run_federation, scenario, tree

CHAINS: list[list[PostProcess]] = [
    [TopK(share=0.1)],
    [SignSgd()],
    [Qsgd(bits=2)],
    [TopK(share=0.3, scope="global"), Qsgd(bits=4)],
]
COMPRESSED: dict[str, Any] = {
    "federation__client__postprocess": [{"kind": "top_k", "share": 0.2}],
    "federation__client__error_feedback": True,
    "federation__rounds": 3,
    "adversary__victims__clients": [0, 1, 2],
}


@pytest.mark.parametrize("chain", CHAINS, ids=lambda c: "-".join(s.kind for s in c))
@given(seed=st.integers(0, 1000), rounds=st.integers(1, 6))
def test_what_was_shared_and_the_residual_add_up_to_the_updates(
    chain: list[PostProcess], seed: int, rounds: int
) -> None:
    draws = generator(seed)
    residual: dict[str, Tensor] = {}
    total = {"a": torch.zeros(20), "b": torch.zeros(3, 3)}
    shared_total = {name: torch.zeros_like(tensor) for name, tensor in total.items()}
    for _ in range(rounds):
        update = {name: torch.randn(tensor.shape, generator=draws) for name, tensor in total.items()}
        shared, residual = share_with_feedback(chain, update, residual, generator=draws)
        for name in total:
            total[name] += update[name]
            shared_total[name] += shared[name]
    for name in total:
        torch.testing.assert_close(shared_total[name] + residual[name], total[name], rtol=1e-4, atol=1e-3)


def test_a_small_value_is_sent_once_it_has_grown() -> None:
    """The largest of two: 1.0 goes first; 0.6 and 0.6 make 1.2 in the second round."""
    update, residual = {"w": torch.tensor([1.0, 0.6])}, dict[str, Tensor]()
    sent = []
    for _ in range(2):
        shared, residual = share_with_feedback([TopK(share=0.5)], update, residual, generator=generator())
        sent.append(shared["w"].tolist())
    assert sent == [[1.0, 0.0], [0.0, pytest.approx(1.2)]]


def served(folder: Path, **changes: Any) -> tuple[SerialGrid, Server]:
    """A finished federation and the grid that holds its clients' states."""
    plan = make_plan(scenario(**(COMPRESSED | changes)))
    write_planned_truth(folder / "truth", plan)
    server = Server(plan, TranscriptWriter(folder / "transcript", "f"), folder / "truth", QuietProgress())
    server.writer.allocate(updates=plan.recorded_updates, values=server.layout.size)
    if plan.pair_index is not None:
        server.writer.allocate_pairs(plan.pair_index, values=server.layout.size, dtype="float32")
    grid = SerialGrid(app, 3)
    server.run(grid)
    return grid, server


def residuals(grid: SerialGrid) -> list[dict[str, Tensor]]:
    """What each client has left over."""
    states = [context.state.array_records[RESIDUAL] for context in grid._contexts.values()]
    assert all(isinstance(state, ArrayRecord) for state in states)
    return [state.to_torch_state_dict() for state in states]


def test_injected_batches_leave_the_residual_alone_and_do_not_see_it(tmp_path: Path) -> None:
    injected = {"adversary__compromised": 1, "adversary__injection": {"pairs": 12, "rounds": [1, 3]}}
    with_pairs, _ = served(tmp_path / "with", **injected)
    without, _ = served(tmp_path / "without", **(injected | {"adversary__injection": {"pairs": 12, "rounds": [1]}}))
    for own, other in zip(residuals(with_pairs), residuals(without), strict=True):
        assert any(tensor.any() for tensor in own.values())
        assert all(torch.equal(own[name], other[name]) for name in own)
    plain, _ = served(tmp_path / "plain", **(injected | {"federation__client__error_feedback": False}))
    assert all(RESIDUAL not in context.state for context in plain._contexts.values())
    first = [path / "transcript/pairs/updates.npy" for path in (tmp_path / "with", tmp_path / "plain")]
    rows = [path.read_bytes()[: -6 * 4 * 460] for path in first]  # the pairs of round 1, where the models still agree
    assert rows[0] == rows[1]


@pytest.mark.parametrize("protocol", ["fedsgd", "fedavg"])
def test_the_first_round_is_compressed_alone_and_the_second_with_what_was_left(tmp_path: Path, protocol: str) -> None:
    changes: dict[str, Any] = {"federation__client__protocol": protocol, "adversary__injection": None}
    if protocol == "fedavg":
        changes["federation__client__samples"] = 4
    changes["adversary__level"], changes["attacks"] = 1, [{"kind": "linear_layer"}]
    fed = run_federation(tmp_path / "fed", scenario(**(COMPRESSED | changes)))
    plain = run_federation(
        tmp_path / "plain", scenario(**(COMPRESSED | changes | {"federation__client__error_feedback": False}))
    )
    with_feedback, without = (TranscriptReader(run.transcript) for run in (fed, plain))
    for row in range(3):
        assert torch.equal(with_feedback.update(row), without.update(row))
    assert not any(torch.equal(with_feedback.update(row), without.update(row)) for row in range(3, 6))
    assert load_manifest(fed.transcript).training.error_feedback


def test_a_killed_run_starts_over_since_the_residuals_are_gone(tmp_path: Path) -> None:
    checked = scenario(**COMPRESSED)
    whole = run_federation(tmp_path / "whole", checked)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "finish_round", call=2, before=False)
        with pytest.raises(BaseException):  # noqa: B017 as hard as a kill
            run_federation(tmp_path / "killed", checked)
    assert tree(run_federation(tmp_path / "killed", checked).transcript) == tree(whole.transcript)


def test_an_update_that_is_not_finite_leaves_the_residual(tmp_path: Path) -> None:
    grid, _ = served(tmp_path, federation__faults=[{"round": 2, "client": 0, "mode": "nan"}])
    assert all(tensor.isfinite().all() for state in residuals(grid) for tensor in state.values())


@pytest.mark.parametrize("steps", [[], [{"kind": "gaussian_noise", "std": 0.1}]])
def test_only_compressors_have_errors_to_feed_back(steps: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError, match="error_feedback works only with compressors"):
        scenario(federation__client__postprocess=steps, federation__client__error_feedback=True)
