"""Client-level privacy: Flower's own arithmetic, noise of the stated scale, epsilon by Opacus."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, Context, Message, RecordDict
from flwr.app.user_config import UserConfig
from flwr.clientapp.mod import LocalDpMod
from flwr.supercore.differential_privacy import clip_inputs_inplace

from fedleak.client.client_level_dp import ClientLevelDp
from fedleak.client.postprocess.base import Update, apply_steps
from fedleak.errors import InputError, InputErrors
from fedleak.federation.accounting import account_clients, epsilon
from fedleak.federation.plan import make_plan
from fedleak.federation.without_replacement import epsilon_without_replacement
from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.report.build import write_report
from fedleak.transcript.reader import TranscriptReader
from tests.federation.test_rounds import faults
from tests.scenarios import run_federation, scenario, tree

pytest.importorskip("opacus")
BOUND = 0.5
OPEN: dict[str, Any] = {
    "adversary__level": 3,
    "adversary__injection": None,
    "adversary__victims__clients": [0, 1, 2],
    "attacks": [{"kind": "inverting_gradients", "iterations": 2}],
    "model": {"kind": "mlp", "hidden": [40]},
}


def norm_of(update: Update) -> float:
    """Euclidean norm over all tensors together."""
    return float(torch.cat([tensor.flatten().double() for tensor in update.values()]).norm())


def private(noise: str, sigma: float, **changes: Any) -> dict[str, Any]:
    settings = {"noise": noise, "max_norm": BOUND, "noise_multiplier": sigma}
    return OPEN | {"federation__client_level_dp": settings} | changes


def recorded(root: Path, **changes: Any) -> TranscriptReader:
    return TranscriptReader(run_federation(root, scenario(**changes)).transcript)


def test_clients_clip_as_flowers_mod_does(tmp_path: Path) -> None:
    plain, clipped = recorded(tmp_path / "a", **OPEN), recorded(tmp_path / "b", **private("central", 0.0))
    for update in plain.manifest.rounds[0].updates:
        arrays = [plain.update(update.row).numpy()]
        assert np.linalg.norm(arrays[0]) > BOUND
        clip_inputs_inplace(arrays, BOUND)
        torch.testing.assert_close(clipped.update(update.row), torch.from_numpy(arrays[0]))


def noise_in_the_model(reader: TranscriptReader, number: int) -> torch.Tensor:
    """What the server added to the mean update of a round: recorded rows are what it received."""
    old, new = (reader.manifest.parameters.flatten(reader.model(v)) for v in (number - 1, number))
    received = [reader.update(u.row) for u in reader.manifest.rounds[number - 1].updates if u.status == "ok"]
    return (old - new) / 0.1 - torch.stack(received).mean(dim=0)


def test_central_noise_has_the_stated_scale_and_reaches_no_update(tmp_path: Path) -> None:
    """``noise_multiplier * max_norm / n`` on the mean, new in every round; more where fewer clients reply."""
    quiet = recorded(tmp_path / "a", **private("central", 0.0))
    noisy = recorded(tmp_path / "b", **private("central", 2.0, federation__faults=faults("raise", (2, 0), (2, 2))))
    assert all(torch.equal(quiet.update(row), noisy.update(row)) for row in range(3))
    first, second = noise_in_the_model(noisy, 1), noise_in_the_model(noisy, 2)
    assert float(first.std()) == pytest.approx(2 * BOUND / 3, rel=0.05)
    assert float(second.std()) == pytest.approx(2 * BOUND / 1, rel=0.05)
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 0.1
    assert float(noise_in_the_model(quiet, 1).abs().max()) < 1e-5


def test_central_noise_falls_on_a_secure_sum_too(tmp_path: Path) -> None:
    secure = {"num_shares": 3, "reconstruction_threshold": 2}
    changes = private("central", 2.0, federation__secure_aggregation=secure, adversary__victims__clients="others")
    reader = recorded(tmp_path, **changes)
    assert float(noise_in_the_model(reader, 1).std()) == pytest.approx(2 * BOUND / 3, rel=0.05)


def test_two_private_runs_leave_the_same_bytes(tmp_path: Path) -> None:
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - Flower's noise comes from there
    for noise in ("central", "local"):
        first, second = (run_federation(tmp_path / noise / n, scenario(**private(noise, 1.0))) for n in "ab")
        assert tree(first.transcript) == tree(second.transcript)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_local_noise_is_on_every_update(tmp_path: Path) -> None:
    quiet, noisy = (recorded(tmp_path / str(s), **private("local", s)) for s in (0.0, 3.0))
    noise = torch.stack([noisy.update(row) - quiet.update(row) for row in range(3)])
    assert float(noise.std()) == pytest.approx(3 * BOUND, rel=0.02)
    assert float((torch.corrcoef(noise) - torch.eye(3)).abs().max()) < 0.1
    assert float(noise_in_the_model(noisy, 1).abs().max()) < 1e-4


def test_local_noise_is_that_of_flowers_mod() -> None:
    """Flower's mod for epsilon, delta and a sensitivity adds the noise that ours does for the same deviation."""
    spent, delta, sensitivity = 2.0, 1e-5, 2 * BOUND
    sigma = sensitivity * math.sqrt(2 * math.log(1.25 / delta)) / spent / BOUND
    update = {"w": torch.full((20000,), 0.01)}
    settings = ClientLevelDp(noise="local", max_norm=BOUND, noise_multiplier=sigma)
    ours = apply_steps(settings.steps, update, generator=torch.Generator().manual_seed(0))["w"]
    theirs = _flowers(LocalDpMod(BOUND, sensitivity, spent, delta), update["w"])
    assert float(ours.std()) == pytest.approx(float(theirs.std()), rel=0.03)
    clipped = ClientLevelDp(max_norm=BOUND, noise_multiplier=sigma).steps
    assert norm_of(apply_steps(clipped, update, generator=torch.Generator())) == pytest.approx(BOUND)


def _flowers(mod: LocalDpMod, update: torch.Tensor) -> torch.Tensor:
    from fedleak.federation.client import app
    from fedleak.federation.serial_grid import SerialGrid

    SerialGrid(app, 1)  # messages need a task's identity
    start = RecordDict({"arrays": ArrayRecord(torch_state_dict={"w": torch.zeros_like(update)})})
    message = Message(start, dst_node_id=1, message_type="train")
    context = Context(0, 1, UserConfig(), RecordDict(), UserConfig())

    def inner(request: Message, _: Context) -> Message:
        return Message(RecordDict({"arrays": ArrayRecord(torch_state_dict={"w": update})}), reply_to=request)

    return mod(message, context, inner).content.array_records["arrays"].to_torch_state_dict()["w"]


def test_central_epsilon_is_that_of_clients_sampled_without_replacement() -> None:
    """Ten of a hundred clients in each of fifty rounds; never less than dp-accounting's 1.5749... (replace-one)."""
    settings = ClientLevelDp(max_norm=1.0, noise_multiplier=8.0)
    rounds = [tuple(range(i % 10, 100, 10)) for i in range(50)]
    record = account_clients(settings, clients=100, rounds=rounds)
    assert record.epsilon == epsilon_without_replacement(noise_multiplier=8.0, rate=0.1, uses=1, samples=50, delta=1e-5)
    assert record.epsilon > 1.574959636381346
    assert (record.unit, record.noise, record.adjacency) == ("client", "server", "replace")


def test_central_epsilon_of_all_clients_is_that_of_one_more_or_less() -> None:
    settings = ClientLevelDp(max_norm=1.0, noise_multiplier=8.0)
    record = account_clients(settings, clients=2, rounds=[(0, 1)] * 3)
    assert record.epsilon == epsilon(noise_multiplier=8.0, sample_rate=1.0, steps=3, delta=1e-5)
    assert record.adjacency == "add_or_remove"


def test_local_epsilon_counts_the_clients_own_rounds_and_twice_the_bound() -> None:
    settings = ClientLevelDp(noise="local", max_norm=1.0, noise_multiplier=8.0)
    record = account_clients(settings, clients=4, rounds=[(0, 1), (0, 2), (0, 3)])
    assert record.epsilon == epsilon(noise_multiplier=4.0, sample_rate=1.0, steps=3, delta=1e-5)
    assert (record.unit, record.noise) == ("client", "client")


@pytest.mark.parametrize("noise", ["central", "local"])
def test_results_and_report_say_what_is_private(tmp_path: Path, noise: str) -> None:
    checked = scenario(**private(noise, 4.0))
    run = run_federation(tmp_path, checked)
    with run.claim(checked, force=False):
        pass
    results = attack_run(run, progress=QuietProgress(), isolated=False)
    assert results is not None
    sigma = 4.0 if noise == "central" else 2.0
    assert results.epsilon == epsilon(noise_multiplier=sigma, sample_rate=1.0, steps=2, delta=1e-5)
    assert results.privacy_unit == "client"
    assert any("updates reach the server without noise" in note for note in results.notes) == (noise == "central")
    assert "Client-level ε, δ" in write_report(run.root).read_text("utf-8")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"dp_sgd": {"max_norm": 1.0, "noise_multiplier": 1.0}}, "federation.client.dp_sgd"),
    ({"protocol": "fedavg"}, "federation.client.samples"),
    ({"batch_norm": "train_shared"}, "federation.client.batch_norm"),
    ({"postprocess": ["sign_sgd"], "error_feedback": True}, "federation.client.error_feedback"),
]


@pytest.mark.parametrize(("client", "path"), REFUSED)
def test_what_would_break_the_guarantee_is_refused(client: dict[str, Any], path: str) -> None:
    with pytest.raises(InputErrors) as caught:
        scenario(**private("central", 1.0, federation__client=client))
    assert [error.path for error in caught.value.errors] == [path]


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(InputError, match=r"client_level_dp.*pip install 'fedleak\[dp\]'"):
        make_plan(scenario(**private("local", 1.0)))


def test_who_adapts_knows_the_clipping(tmp_path: Path) -> None:
    kinds = [s["kind"] for s in recorded(tmp_path, **private("local", 1.0)).manifest.training.postprocess]
    assert kinds == ["l2_clipping", "gaussian_noise"]
