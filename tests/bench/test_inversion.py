from __future__ import annotations

import json

import pytest
import torch

from fedleak.bench.inversion import _engine, _in_turn, _known, _on_one_thread, _reference_speed, _Runner, _victims
from fedleak.models.lenet import LeNet
from tests.data_folder import data_folder, needs_data
from tests.scenarios import command

CIFAR = "cifar10/train"
SMALL = LeNet(channels=2).build((3, 32, 32), 10, seed=0)


def test_engine_and_reference_minimise_the_same_objective() -> None:
    """The engine's matching loss at the start is the reference's, computed by torch's own cosine similarity."""
    gradients, start = _victims(SMALL, 2)
    known = _known(SMALL, gradients)
    _, _, matching = _engine(SMALL, compiled=False).objective.value_and_gradient({"code": start}, known)
    for i in range(2):
        loss = torch.nn.functional.cross_entropy(SMALL(start[i]), torch.tensor([i]))
        trial = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(SMALL.parameters()))])
        shared = torch.cat([g.flatten() for g in gradients[i].values()])
        expected = 1 - torch.nn.functional.cosine_similarity(trial, shared, dim=0)
        torch.testing.assert_close(matching[i], expected, rtol=1e-4, atol=1e-6)


def test_speeds_are_positive() -> None:
    assert _Runner(SMALL, victims=2, compiled=False).speed(2) > 0
    assert _reference_speed(SMALL, 2) > 0


def test_candidates_take_turns_and_medians_count() -> None:
    calls: list[str] = []
    values = {"a": iter([1.0, 9.0, 2.0, 3.0, 0.0]), "b": iter([5.0, 5.0, 6.0, 7.0, 1.0])}

    def run(name: str) -> float:
        calls.append(name)
        return next(values[name])

    assert _in_turn({name: lambda name=name: run(name) for name in "ab"}) == {"a": 2.0, "b": 5.0}  # type: ignore[misc]
    assert calls == list("ababababab")


def test_threads_are_put_back() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert _on_one_thread(lambda: float(torch.get_num_threads())) == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
def test_a_compiled_engine_has_a_speed_too() -> None:
    assert _Runner(SMALL, victims=1, compiled=True).speed(2) > 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
@needs_data(CIFAR)
def test_the_benchmark_prints_its_four_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON object; how large they are is for the benchmark's reader to judge."""
    done = command(capsys, "bench", "inversion", "--images", data_folder(CIFAR), "--json")
    figures = json.loads(done.out)
    for name in ("lenet_speedup", "resnet18_speedup", "batch16_speedup", "time_to_20db_ratio"):
        assert figures[name] > 0
