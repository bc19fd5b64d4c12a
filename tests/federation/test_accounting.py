"""Epsilon against Opacus itself, and against the closed form where there is one."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from fedleak.client.dp_sgd import DpSgd
from fedleak.errors import InputError
from fedleak.federation.accounting import account, epsilon
from fedleak.federation.plan import make_plan
from fedleak.federation.without_replacement import epsilon_without_replacement
from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.report.build import write_report
from tests.scenarios import run_federation, scenario

PRIVATE = {
    "federation__client__dp_sgd": {"max_norm": 1.0, "noise_multiplier": 1.0},
    "federation__client__batch_size": 4,
}


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(InputError, match=r"dp_sgd.*pip install 'fedleak\[dp\]'"):
        make_plan(scenario(**PRIVATE))


def test_no_noise_is_no_privacy_and_no_step_costs_none() -> None:
    assert epsilon(noise_multiplier=0, sample_rate=0.1, steps=5, delta=1e-5) == math.inf
    assert epsilon(noise_multiplier=1.0, sample_rate=0.1, steps=0, delta=1e-5) == 0


@pytest.mark.parametrize(("sigma", "steps"), [(1.0, 1), (4.0, 10), (10.0, 100)])
def test_whole_batches_follow_the_closed_form(sigma: float, steps: int) -> None:
    """Renyi divergence ``alpha T / (2 sigma^2)``, converted as in Balle et al. 2020 (arXiv 1905.09982, theorem 21)."""
    pytest.importorskip("opacus")
    delta = 1e-5
    orders = [1 + x / 10 for x in range(1, 100)] + list(range(12, 64))
    expected = min(
        a * steps / (2 * sigma**2) + math.log1p(-1 / a) - (math.log(delta) + math.log(a)) / (a - 1) for a in orders
    )
    assert epsilon(noise_multiplier=sigma, sample_rate=1.0, steps=steps, delta=delta) == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.parametrize("target", [0.5, 2.0, 8.0])
def test_the_noise_that_opacus_asks_for_buys_what_it_promises(target: float) -> None:
    utils = pytest.importorskip("opacus.accountants.utils")
    sigma = utils.get_noise_multiplier(
        target_epsilon=target, target_delta=1e-5, sample_rate=0.02, steps=300, accountant="rdp", epsilon_tolerance=0.01
    )
    spent = epsilon(noise_multiplier=sigma, sample_rate=0.02, steps=300, delta=1e-5)
    assert target - 0.02 <= spent <= target


def test_the_least_private_client_counts() -> None:
    pytest.importorskip("opacus")
    record = account(
        DpSgd(max_norm=1, noise_multiplier=2), held=[100, 10, 10], batch_size=5, rounds=[[0, 2], [0, 2], [1]]
    )
    assert record.epsilon == epsilon_without_replacement(noise_multiplier=2, rate=0.5, uses=1, samples=2, delta=1e-5)
    assert record.adjacency == "replace"


@pytest.mark.parametrize("samples", [None, 20])
def test_in_every_local_epoch_an_image_of_the_round_is_used_once(samples: int | None) -> None:
    """Fixed mini-batches: no amplification within the images of a round, whatever the size of a mini-batch."""
    pytest.importorskip("opacus")
    for batch_size in (5, 20):
        record = account(
            DpSgd(max_norm=1, noise_multiplier=8),
            held=[100],
            batch_size=batch_size,
            rounds=[[0], [0], []],
            local_epochs=3,
            samples=samples,
        )
        expected = epsilon_without_replacement(
            noise_multiplier=8, rate=(samples or 100) / 100, uses=3, samples=2, delta=1e-5
        )
        assert (record.epsilon, record.adjacency) == (expected, "replace")


def test_poisson_sampled_local_steps_are_opacus_own() -> None:
    """Two rounds of three epochs of ceil(103 / 10) = 11 steps at the rate 10 / 103; the smaller client never trains."""
    accountants = pytest.importorskip("opacus.accountants")
    record = account(
        DpSgd(max_norm=1, noise_multiplier=1.5, sampling="poisson"),
        held=[103, 20],
        batch_size=10,
        rounds=[[0], [0]],
        local_epochs=3,
    )
    reference = accountants.RDPAccountant()
    for _ in range(2 * 3 * 11):
        reference.step(noise_multiplier=1.5, sample_rate=10 / 103)
    assert record.epsilon == pytest.approx(reference.get_epsilon(delta=1e-5))
    assert record.adjacency == "add_or_remove"


def test_results_and_report_state_it(tmp_path: Path) -> None:
    pytest.importorskip("opacus")
    checked = scenario(**PRIVATE)
    run = run_federation(tmp_path, checked)
    with run.claim(checked, force=False):
        pass
    results = attack_run(run, progress=QuietProgress(), isolated=False)
    assert results is not None
    held = min(len(data) for data in make_plan(checked).clients)
    assert results.epsilon == epsilon_without_replacement(
        noise_multiplier=1.0, rate=4 / held, uses=1, samples=2, delta=1e-5
    )
    assert "epsilon holds for replacing one example" in results.notes
    assert "Example-level ε, δ" in write_report(run.root).read_text("utf-8")


LOCAL = {"protocol": "fedavg", "batch_size": 40, "local_epochs": 2, "local_learning_rate": 0.1}


@pytest.mark.parametrize("sampling", ["fixed", "poisson"])
def test_a_federation_of_local_steps_is_accounted_for(tmp_path: Path, sampling: str) -> None:
    """Two rounds of FedAvg on whole partitions, attacked through the plain local steps."""
    pytest.importorskip("opacus")
    private = {"max_norm": 1.0, "noise_multiplier": 4.0, "sampling": sampling}
    checked = scenario(
        federation__client=LOCAL | {"dp_sgd": private},
        adversary={"level": 5, "public_images": 60, "victims": {"clients": [1], "rounds": [1]}},
        attacks=[{"kind": "inverting_averaging", "iterations": 1}],
    )
    run = run_federation(tmp_path, checked)
    with run.claim(checked, force=False):
        pass
    results = attack_run(run, progress=QuietProgress())
    assert results is not None
    held = min(len(data) for data in make_plan(checked).clients)
    poisson = epsilon(noise_multiplier=4.0, sample_rate=40 / held, steps=2 * 2 * -(-held // 40), delta=1e-5)
    fixed = epsilon_without_replacement(noise_multiplier=4.0, rate=1.0, uses=2, samples=2, delta=1e-5)
    assert results.epsilon == (poisson if sampling == "poisson" else fixed)
    how = "adding or removing" if sampling == "poisson" else "replacing"
    assert f"epsilon holds for {how} one example" in results.notes
    assert all(summary.failures == 0 for summary in results.attacks)
