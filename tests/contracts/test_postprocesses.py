"""Every post-processing step is a pure function of the update and the generator."""

from __future__ import annotations

import pytest
import torch
from torch.func import vmap

from fedleak.client.postprocess.base import PostProcess, Update
from fedleak.families import kinds
from tests.builders import architecture, digits, updates_of, with_required

KINDS = list(kinds("postprocess"))


def step(kind: str) -> PostProcess:
    cls = kinds("postprocess")[kind]
    assert issubclass(cls, PostProcess)
    return with_required(cls)


def gradient() -> dict[str, torch.Tensor]:
    """One real gradient."""
    data = digits().train
    tensors = updates_of(architecture(), data.images[None, :1], data.labels[None, :1])
    return {name: tensor[0] for name, tensor in tensors.items()}


UPDATES = {
    "gradient": gradient(),
    "zero": {name: torch.zeros_like(tensor) for name, tensor in gradient().items()},
    "odd shapes": {"scalar": torch.tensor(-2.0), "empty": torch.zeros(0, 3), "one": torch.tensor([[[3.0]]])},
    "double": {name: tensor.double() for name, tensor in gradient().items()},
    "tiny": {"w": torch.full((5,), 1e-30), "b": torch.tensor([-1e-38])},
    "huge": {"w": torch.tensor([3e38, -2e38, 1e38]), "b": torch.tensor([-3e38, 0.0])},
    "counters": {
        "w": torch.tensor([0.5, -1.5]),
        "count": torch.tensor([3, -7]),
        "none": torch.zeros(0, dtype=torch.int64),
    },
    "empty": {"w": torch.zeros(0), "b": torch.zeros(2, 0)},
    "not contiguous": {"w": torch.arange(12.0).reshape(3, 4).T},
}


def applied(kind: str, update: Update, *, seed: int = 0) -> dict[str, torch.Tensor]:
    return step(kind).apply(update, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_argument_stays_as_it_was(kind: str, name: str) -> None:
    update = UPDATES[name]
    kept = {key: tensor.clone() for key, tensor in update.items()}
    result = applied(kind, update)
    for tensor in result.values():
        tensor.fill_(7.0)  # the result shares no memory with the argument either
    assert list(update) == list(kept)
    assert all(torch.equal(update[key], tensor) for key, tensor in kept.items())


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("kind", KINDS)
def test_names_shapes_and_types_are_kept(kind: str, name: str) -> None:
    result = applied(kind, UPDATES[name])
    assert [(key, t.shape, t.dtype) for key, t in result.items()] == [
        (key, t.shape, t.dtype) for key, t in UPDATES[name].items()
    ]


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_result_is_finite(kind: str, name: str) -> None:
    assert all(tensor.isfinite().all() for tensor in applied(kind, UPDATES[name]).values())


@pytest.mark.parametrize("kind", KINDS)
def test_counters_pass_through(kind: str) -> None:
    result = applied(kind, {"count": torch.tensor([3, -7]), "flag": torch.tensor([True])})
    assert torch.equal(result["count"], torch.tensor([3, -7]))
    assert result["flag"].item() is True


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_decides_and_the_global_stream_is_not_touched(kind: str) -> None:
    state = torch.get_rng_state()
    first, second = applied(kind, UPDATES["gradient"]), applied(kind, UPDATES["gradient"])
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", KINDS)
def test_the_surrogate_keeps_shapes_can_be_differentiated_and_changes_nothing_it_is_given(kind: str) -> None:
    """With the shared update as the trial one, a surrogate answers with values of the shared update's size."""
    original = gradient()
    shared = applied(kind, original)
    trial = {name: tensor.clone().requires_grad_(True) for name, tensor in original.items()}
    made = step(kind).surrogate(trial, shared=shared)
    assert {name: tensor.shape for name, tensor in made.items()} == {n: t.shape for n, t in original.items()}
    torch.stack([tensor.square().sum() for tensor in made.values()]).sum().backward()
    assert all(t.grad is not None and t.grad.isfinite().all() for t in trial.values())
    assert all(torch.equal(trial[name], tensor) for name, tensor in original.items())


@pytest.mark.parametrize("kind", KINDS)
def test_the_surrogate_runs_over_many_trials_at_once(kind: str) -> None:
    original = gradient()
    shared = applied(kind, original)
    trials = {name: torch.stack([tensor, -2 * tensor]) for name, tensor in original.items()}
    made = vmap(lambda update: step(kind).surrogate(update, shared=shared))(trials)
    for i in range(2):
        alone = step(kind).surrogate({name: tensor[i] for name, tensor in trials.items()}, shared=shared)
        assert all(torch.allclose(made[name][i], tensor, atol=1e-7) for name, tensor in alone.items())


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_noise_is_a_finite_variance_of_each_tensor_or_none(kind: str, name: str) -> None:
    noise = step(kind).noise_variance(applied(kind, UPDATES[name]))
    values = [key for key, tensor in UPDATES[name].items() if tensor.is_floating_point() and tensor.numel()]
    assert list(noise) in ([], values)
    assert all(value.ndim == 0 and not value.isnan() and value >= 0 for value in noise.values())
