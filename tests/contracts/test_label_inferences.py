"""Every label inference gives as many sorted labels as asked, and never touches the update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from fedleak.attacks.labels.base import LabelInference
from fedleak.errors import AttackFailedError
from fedleak.families import kinds
from fedleak.models.lenet import LeNet
from fedleak.threat import CAPABILITIES, GlobalModel, SharedUpdate, required_capabilities
from tests.attacks.labels.recovery import known
from tests.builders import MODEL_SEED, Protocol, architecture, digits, shared_update, with_required

KINDS = [kind for kind in kinds("label_inference") if kind != "oracle"]  # which is told, and infers nothing
NEEDS_BIAS = {"ilrg"}


def inference(kind: str) -> LabelInference:
    cls = kinds("label_inference")[kind]
    assert issubclass(cls, LabelInference)
    return with_required(cls)


def infer(kind: str, update: SharedUpdate, *, count: int, last_bias: bool = True) -> torch.Tensor:
    """What the kind makes of an update, given what it asks for and no more."""
    made, leaked = inference(kind), architecture(LeNet(last_bias=last_bias))
    model = GlobalModel(leaked.build(seed=MODEL_SEED).state_dict(), version=0)
    return made.infer(**known(made, update, leaked, model), count=count)


def update_of(count: int, protocol: Protocol = "fedsgd", *, last_bias: bool = True) -> SharedUpdate:
    data = digits().train
    return shared_update(
        architecture(LeNet(last_bias=last_bias)), data.images[:count], data.labels[:count], protocol=protocol
    )


@pytest.mark.parametrize("last_bias", [True, False])
@pytest.mark.parametrize("protocol", ["fedsgd", "fedavg"])
@pytest.mark.parametrize("count", [1, 4, 12])
@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_as_many_as_asked_sorted_and_classes(
    kind: str, count: int, protocol: Protocol, last_bias: bool
) -> None:
    update = update_of(count, protocol, last_bias=last_bias)
    if kind in NEEDS_BIAS and not last_bias:
        with pytest.raises(AttackFailedError, match="bias"):
            infer(kind, update, count=count, last_bias=False)
        return
    labels = infer(kind, update, count=count, last_bias=last_bias)
    assert labels.shape == (count,)
    assert labels.dtype == torch.int64
    assert labels.tolist() == sorted(labels.tolist())
    assert 0 <= labels.min() <= labels.max() < 10


@pytest.mark.parametrize("kind", KINDS)
def test_the_update_stays_as_it_was_and_the_answer_is_the_same_twice(kind: str) -> None:
    update = update_of(4)
    kept = {name: tensor.clone() for name, tensor in update.tensors.items()}
    first, second = (infer(kind, update, count=4) for _ in range(2))
    assert torch.equal(first, second)
    assert all(torch.equal(update.tensors[name], tensor) for name, tensor in kept.items())


SPOILS: dict[str, Callable[[SharedUpdate], dict[str, torch.Tensor]]] = {
    "nothing in it": lambda update: {},
    "not a number": lambda update: {n: torch.full_like(t, torch.nan) for n, t in update.tensors.items()},
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_update_that_cannot_be_read_is_a_failed_attack(
    kind: str, spoil: Callable[[SharedUpdate], dict[str, torch.Tensor]]
) -> None:
    update = update_of(2)
    with pytest.raises(AttackFailedError):
        infer(kind, replace(update, tensors=spoil(update)), count=2)


@pytest.mark.parametrize("kind", KINDS)
def test_it_asks_for_known_capabilities_only(kind: str) -> None:
    asked = set(required_capabilities(inference(kind).infer).values())
    assert asked
    assert asked <= set(CAPABILITIES.values())
