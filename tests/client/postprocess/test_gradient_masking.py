from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from fedleak.attacks.replay import LocalSteps, replay, replica, split_state
from fedleak.client.local_training import LocalTraining, mini_batches
from fedleak.client.postprocess.base import Update
from fedleak.client.postprocess.gradient_masking import GradientMasking, frozen_layers
from fedleak.errors import InputError
from fedleak.federation.plan import make_plan
from fedleak.federation.sampling import training_key
from fedleak.models.mlp import Mlp
from fedleak.stages.score.truth import TruthReader
from fedleak.transcript.reader import TranscriptReader
from tests.client.postprocess.updates import generator, updates
from tests.scenarios import run_federation, scenario, streams

MODEL = Mlp(hidden=(6,))

UPDATE = {
    "0.weight": torch.tensor([[1.0, 2.0]]),
    "0.bias": torch.tensor([3.0]),
    "2.weight": torch.tensor([4.0]),
}


@pytest.mark.parametrize(
    ("layers", "omitted"),
    [(("0.*",), {"0.weight", "0.bias"}), (("*.bias", "2.*"), {"0.bias", "2.weight"}), (("nothing",), set())],
)
def test_layers_that_match_are_left_out_or_alone_kept(layers: tuple[str, ...], omitted: set[str]) -> None:
    without = GradientMasking(layers=layers).apply(UPDATE, generator=generator())
    only = GradientMasking(layers=layers, mode="keep").apply(UPDATE, generator=generator())
    for name, tensor in UPDATE.items():
        zero = torch.zeros_like(tensor)
        assert torch.equal(without[name], zero if name in omitted else tensor)
        assert torch.equal(only[name], tensor if name in omitted else zero)


def test_a_pattern_that_fits_no_parameter_is_refused_before_anything_runs() -> None:
    mask = [{"kind": "gradient_masking", "layers": ["*.bias", "head.*"]}]
    with pytest.raises(InputError, match=r"postprocess\.0\.layers.*head.*matches no trained parameter.*weight"):
        make_plan(scenario(federation__client__postprocess=mask))


@given(update=updates(), layers=st.lists(st.sampled_from(["a", "b", "?", "*"]), min_size=1), keep=st.booleans())
def test_tensor_by_tensor(update: Update, layers: list[str], keep: bool) -> None:
    result = GradientMasking(layers=tuple(layers), mode="keep" if keep else "omit").apply(update, generator=generator())
    for name, tensor in update.items():
        named = bool({"?", "*", name} & set(layers))
        assert torch.equal(result[name], tensor if named == keep else tensor * 0)


@pytest.mark.parametrize("mode", ["omit", "keep", "freeze"])
def test_who_knows_the_mask_omits_the_same_layers(mode: Literal["omit", "keep", "freeze"]) -> None:
    step = GradientMasking(layers=("0.*",), mode=mode)
    made = step.surrogate(UPDATE, shared={})
    assert all(torch.equal(made[name], t) for name, t in step.apply(UPDATE, generator=generator()).items())


def frozen_run(root: Path, mode: str, **changes: Any) -> TranscriptReader:
    mask = [{"kind": "gradient_masking", "layers": ["1.*"], "mode": mode}]
    client = {
        "protocol": "fedavg",
        "batch_size": 4,
        "samples": 8,
        "local_epochs": 2,
        "local_learning_rate": 0.5,
        "postprocess": mask,
    }
    open_to_all = {"adversary__injection": None, "attacks": ["dlg"], "federation__rounds": 1}
    return TranscriptReader(
        run_federation(root, scenario(federation__client=client, **(open_to_all | changes))).transcript
    )


def test_frozen_layers_do_not_train_and_the_others_feel_it(tmp_path: Path) -> None:
    """Omitted layers move while clients train, so the others' updates differ."""
    frozen, omitted = (frozen_run(tmp_path / mode, mode) for mode in ("freeze", "omit"))
    updates = [r.manifest.parameters.unflatten(r.update(0)) for r in (frozen, omitted)]
    hidden = [name for name in updates[0] if name.startswith("1.")]
    assert hidden
    for name in updates[0]:
        if name in hidden:
            assert not any(update[name].any() for update in updates)
            assert torch.equal(frozen.model(0)[name], frozen.model(1)[name])
        else:
            assert not torch.equal(updates[0][name], updates[1][name])


def test_frozen_layers_are_frozen_in_every_step(tmp_path: Path) -> None:
    """Against plain SGD on the other layers alone."""
    reader = frozen_run(tmp_path, "freeze")
    record = reader.manifest.updates[0]
    batch = TruthReader(tmp_path / "truth").batch(record.row)
    training = LocalTraining("fedavg", 4, 2, 0.5, train_mode=False)
    model = MODEL.build((1, 8, 8), 10, seed=0)
    model.load_state_dict(reader.model(0))
    pixels = (batch.images - 0.5) / 0.5
    trained = [p for name, p in model.named_parameters() if not name.startswith("1.")]
    for step in mini_batches(8, training, training_key(streams(tmp_path).client(record.client), 1)):
        loss = F.cross_entropy(model(pixels[step]), batch.labels[step])
        for p, g in zip(trained, torch.autograd.grad(loss, trained), strict=True):
            p.data -= 0.5 * g
    shared = reader.manifest.parameters.unflatten(reader.update(record.row))
    for name, p in model.named_parameters():
        torch.testing.assert_close(shared[name], p.detach() - reader.model(0)[name], rtol=1e-4, atol=1e-6)


def test_who_knows_of_the_freezing_unrolls_it_exactly(tmp_path: Path) -> None:
    """The replay of the true images is the shared update itself."""
    reader = frozen_run(tmp_path, "freeze")
    record = reader.manifest.updates[0]
    batch = TruthReader(tmp_path / "truth").batch(record.row)
    training = LocalTraining("fedavg", 4, 2, 0.5, train_mode=False)
    order = mini_batches(8, training, training_key(streams(tmp_path).client(record.client), 1))
    steps = LocalSteps(0.5, tuple(tuple(int(i) for i in part) for part in order), frozen=("1.*",))
    module = MODEL.build((1, 8, 8), 10, seed=0)
    parameters, buffers = split_state(module, reader.model(0))
    targets = F.one_hot(batch.labels, 10).float()
    made = replay(replica(module, train_mode=False), parameters, buffers, (batch.images - 0.5) / 0.5, targets, steps)
    shared = reader.manifest.parameters.unflatten(reader.update(record.row))
    for name, tensor in made.items():
        torch.testing.assert_close(tensor, shared[name], rtol=1e-4, atol=1e-6)


def test_an_adaptive_attacker_takes_frozen_layers_from_the_chain() -> None:
    chain = (GradientMasking(layers=("1.*",), mode="freeze"), GradientMasking(layers=("2.*",)))
    assert frozen_layers(chain) == ("1.*",)
