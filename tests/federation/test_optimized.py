"""Server optimisers over two rounds, in numbers worked out by hand, and users' own strategies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord
from flwr.serverapp.strategy import FedMedian, Strategy
from torch import Tensor

from fedleak.errors import FederationError, InputError
from fedleak.families import kinds
from fedleak.federation.optimized import OptimizedServer, build_strategy
from fedleak.federation.plan import make_plan
from fedleak.models.factory import CONSENT
from fedleak.server.strategy.base import ServerOptimizer
from fedleak.server.strategy.factory import OwnStrategy
from fedleak.transcript.reader import TranscriptReader
from tests.builders import with_required
from tests.federation.messages import NODES, answer, grid, instruction
from tests.scenarios import run_federation, scenario
from tests.user_strategies import Broken

MODEL = {"w": torch.tensor([1.0, 2.0])}
ROUNDS = (((4.0, 0.0), (0.0, 8.0)), ((-2.0, 0.0), (2.0, 4.0)))
"""Updates of clients with one and with three images."""
MEANS = (np.array([1.0, 6.0]), np.array([1.0, 3.0]))
"""Their means: (1 [4, 0] + 3 [0, 8]) / 4 and (1 [-2, 0] + 3 [2, 4]) / 4."""


def server(strategy: Strategy, *, each: bool = False, **changes: Any) -> OptimizedServer:
    settings: dict[str, Any] = {
        "nodes": NODES,
        "versions": lambda number: {0: number - 1, 1: number - 1},
        "load": lambda version: {"w": torch.full((2,), 10.0 + version)},
        "instruct": lambda number, client: instruction(round=number),
        "step": 1.0,
    }
    return OptimizedServer(strategy, each=each, names=["w"], key=0, **(settings | changes))


def trained(found: OptimizedServer, model: dict[str, Tensor] | None = None, **more: Any) -> list[dict[str, Tensor]]:
    """The models after each of the two rounds."""
    models = [model or MODEL]
    for number, updates in enumerate(ROUNDS, start=1):
        found.configure_train(number, ArrayRecord(torch_state_dict=dict(models[-1])), ConfigRecord(), grid())
        replies = [answer(c, *v, samples=n, **more) for c, v, n in zip((0, 1), updates, (1, 3), strict=True)]
        arrays, _ = found.aggregate_train(number, replies)
        assert arrays is not None
        models.append(arrays.to_torch_state_dict())
    return models[1:]


def optimizer(kind: str, **settings: Any) -> Strategy:
    cls = kinds("server_strategy")[kind]
    assert issubclass(cls, ServerOptimizer)
    return build_strategy(cls(**settings), clients=2)


def check(found: Sequence[dict[str, Tensor]], expected: Sequence[Any]) -> None:
    for model, values in zip(found, expected, strict=True):
        assert model["w"].dtype == torch.float32
        np.testing.assert_allclose(model["w"].numpy(), values, rtol=1e-5)


def test_momentum_by_hand() -> None:
    """v = [1, 6], then 0.5 [1, 6] + [1, 3] = [1.5, 6]; x = [2, 8], then [3.5, 14]."""
    check(trained(server(optimizer("fedavgm", server_momentum=0.5))), [[2.0, 8.0], [3.5, 14.0]])


def test_adagrad_by_hand() -> None:
    """Reddi et al. 2021, algorithm 2: v = [1, 36], then [2, 45]."""
    first = np.array([1.0, 2.0]) + 0.5 * MEANS[0] / (np.array([1.0, 6.0]) + 0.1)
    second = first + 0.5 * MEANS[1] / (np.sqrt([2.0, 45.0]) + 0.1)
    check(trained(server(optimizer("fedadagrad", eta=0.5, tau=0.1))), [first, second])


def test_yogi_by_hand() -> None:
    """m = 0.5 d, then 0.25 d_1 + 0.5 d_2; v = 0.1 d_1^2, which d_2^2 = [1, 9] moves by 0.1 d_2^2 towards itself."""
    m = [0.5 * MEANS[0], 0.25 * MEANS[0] + 0.5 * MEANS[1]]
    v = [np.array([0.1, 3.6]), np.array([0.1 + 0.1, 3.6 + 0.9])]
    first = np.array([1.0, 2.0]) + 0.5 * m[0] / (np.sqrt(v[0]) + 0.1)
    second = first + 0.5 * m[1] / (np.sqrt(v[1]) + 0.1)
    check(trained(server(optimizer("fedyogi", eta=0.5, beta_1=0.5, beta_2=0.9, tau=0.1))), [first, second])


def test_adam_by_hand() -> None:
    """As Yogi's m; v = 0.1 d_1^2, then 0.09 d_1^2 + 0.1 d_2^2; Flower's bias correction counts one round more."""
    m = [0.5 * MEANS[0], 0.25 * MEANS[0] + 0.5 * MEANS[1]]
    v = [0.1 * MEANS[0] ** 2, 0.09 * MEANS[0] ** 2 + 0.1 * MEANS[1] ** 2]
    rates = [0.5 * np.sqrt(1 - 0.9 ** (t + 1)) / (1 - 0.5 ** (t + 1)) for t in (1, 2)]
    first = np.array([1.0, 2.0]) + rates[0] * m[0] / (np.sqrt(v[0]) + 0.1)
    second = first + rates[1] * m[1] / (np.sqrt(v[1]) + 0.1)
    check(trained(server(optimizer("fedadam", eta=0.5, beta_1=0.5, beta_2=0.9, tau=0.1))), [first, second])


@pytest.mark.parametrize("kind", [name for name in kinds("server_strategy") if name != "factory"])
def test_defaults_are_flowers_arithmetic(kind: str) -> None:
    """Flower's class, fed with each client's weights as a Flower app feeds it, computes the same models."""
    cls = kinds("server_strategy")[kind]
    assert issubclass(cls, ServerOptimizer)
    plain = build_strategy(with_required(cls), clients=2)
    check(trained(server(optimizer(kind))), [m["w"].numpy() for m in trained(server(plain, each=True))])


def test_gradients_are_stepped_against() -> None:
    """With the step -0.5 the pseudo-gradient is minus half of the mean gradient."""
    check(trained(server(optimizer("fedavgm", server_momentum=0.0), step=-0.5)), [[0.5, -1.0], [0.0, -2.5]])


def test_shared_buffers_are_averaged_without_the_optimizer() -> None:
    model = MODEL | {"running": torch.tensor([9.0]), "kept": torch.tensor([7.0])}
    found = trained(server(optimizer("fedadam")), model, buffers={"running": torch.tensor([3.0])})
    assert [(m["running"].item(), m["kept"].item()) for m in found] == [(3.0, 7.0)] * 2


def own(name: str, monkeypatch: pytest.MonkeyPatch, clients: int = 2) -> Strategy:
    path = f"tests.user_strategies:{name}"
    monkeypatch.setenv(CONSENT, path)
    return build_strategy(OwnStrategy(path=path), clients=clients)


def test_a_users_strategy_sees_weights_and_gives_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the way: [1, 2] + [1, 6] / 2, then + [1, 3] / 2."""
    strategy = own("middle", monkeypatch)
    check(trained(server(strategy, each=True)), [[1.5, 5.0], [2.0, 6.5]])
    assert [list(seen["w"]) for seen in strategy.sent] == [[1.0, 2.0], [1.5, 5.0]]  # type: ignore[attr-defined]


def test_a_robust_aggregator_sees_every_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The median of two is their unweighted mean: [2, 4], then [0, 2]."""
    strategy = own("median", monkeypatch)
    assert isinstance(strategy, FedMedian)
    check(trained(server(strategy, each=True)), [[3.0, 6.0], [3.0, 8.0]])


def test_late_updates_are_applied_to_the_current_model(monkeypatch: pytest.MonkeyPatch) -> None:
    late = server(own("middle", monkeypatch), each=True, versions=lambda number: {0: 0, 1: number - 1})
    check(trained(late), [[1.5, 5.0], [2.0, 6.5]])


def test_its_random_draws_leave_the_global_generators_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = np.random.get_state()  # noqa: NPY002
    trained(server(own("middle", monkeypatch), each=True))
    after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        (ValueError("no"), "aggregate_train of Broken failed in round 1: ValueError: no"),
        (None, "Broken aggregated nothing in round 1"),
        (ArrayRecord({"v": Array(np.ones(2, np.float32))}), "names and shapes of the broadcast ones, not v (2,)"),
        (ArrayRecord({"w": Array(np.ones(3, np.float32))}), "names and shapes of the broadcast ones, not w (3,)"),
        (ArrayRecord({"w": Array(np.full(2, np.nan, np.float32))}), "gives NaN or infinite weights in round 1"),
    ],
)
def test_a_strategy_that_fails_is_named(gives: Any, message: str) -> None:
    with pytest.raises(FederationError, match=re.escape(message)):
        trained(server(Broken(gives), each=True))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_strategy", "it gives int, not a flwr.serverapp.strategy.Strategy"),
        ("failing", "it fails: LookupError: no such strategy"),
        ("waiting", "it waits for 9 clients; federation.clients is 2"),
        ("missing", "cannot be imported"),
    ],
)
def test_what_is_no_strategy_is_refused_before_anything_runs(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=rf"federation\.server\.strategy\.path: .*{re.escape(message)}"):
        own(name, monkeypatch)


def test_a_strategy_needs_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONSENT, raising=False)
    strange = scenario(federation__server={"strategy": {"kind": "factory", "path": "tests.user_strategies:adam"}})
    with pytest.raises(InputError, match=r"server\.strategy\.path.*FEDLEAK_TRUSTED_FACTORIES=tests"):
        make_plan(strange)


LOCAL = {"protocol": "fedavg", "samples": 4, "batch_size": 2, "local_learning_rate": 0.1}
SETTINGS: dict[str, dict[str, Any]] = {
    "optimizer": {"federation__server__strategy": {"kind": "fedadam", "eta": 0.5}},
    "own": {"federation__server__strategy": {"kind": "factory", "path": "tests.user_strategies:adam"}},
    "sum": {
        "federation__server__strategy": {"kind": "fedadam", "eta": 0.5},
        "federation__secure_aggregation": {"num_shares": 3, "reconstruction_threshold": 2},
        "adversary": {"level": 5, "public_images": 60},
        "attacks": [{"kind": "inverting_gradients", "iterations": 1}],
    },
}


def models(folder: Path, **changes: Any) -> list[dict[str, Tensor]]:
    run = run_federation(folder, scenario(federation__client=LOCAL, **changes))
    reader = TranscriptReader(run.transcript)
    return [dict(reader.model(version)) for version in range(3)]


@pytest.mark.parametrize("case", list(SETTINGS))
def test_a_federation_is_trained_by_it(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rounds of a real federation: the mean of plain FedAvg's first round, run through Flower's FedAdam."""
    monkeypatch.setenv(CONSENT, "tests.user_strategies:adam")
    plain, found = models(tmp_path / "plain"), models(tmp_path / case, **SETTINGS[case])
    for name, start in plain[0].items():
        delta = plain[1][name] - start
        rate = 0.5 * (1 - 0.99**2) ** 0.5 / (1 - 0.9**2)
        expected = start + rate * 0.1 * delta / (0.1 * delta.abs() + 1e-3)
        torch.testing.assert_close(found[1][name], expected, rtol=1e-3, atol=0.02 if case == "sum" else 1e-4)
        assert not torch.equal(found[2][name], found[1][name])
