"""Matching of tensors with a network, by name and by order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fedleak.audit.fitting import BY_ORDER, matched
from fedleak.audit.observed import UnorderedTensors
from fedleak.errors import InputError


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


NAMES = [name for name, _ in network().named_parameters()]


def state() -> dict[str, Tensor]:
    return dict(network().state_dict())


def fit(given: Any, needed: list[str] = NAMES) -> tuple[dict[str, Tensor], str]:
    return matched(given, network(), needed, what="update")


def test_its_own_names_in_any_order_with_buffers_or_without() -> None:
    found, how = fit(dict(reversed(state().items())))
    assert how == ""
    assert found.keys() == state().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in state().items())
    few, _ = fit({name: state()[name] for name in NAMES})
    assert list(few) == NAMES


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "net.body."])
def test_a_common_prefix_is_left_out_and_said(prefix: str) -> None:
    found, how = fit({prefix + name: tensor for name, tensor in state().items()})
    assert torch.equal(found["3.weight"], state()["3.weight"])
    assert prefix in how


@pytest.mark.parametrize("names", [list(state()), NAMES], ids=["the whole state", "parameters"])
def test_a_list_is_in_the_order_of_the_state_or_of_the_parameters(names: list[str]) -> None:
    found, how = fit([state()[name].numpy() for name in names])
    assert how == BY_ORDER
    assert list(found) == names
    assert all(torch.equal(found[name], state()[name]) for name in names)


def test_foreign_names_are_taken_by_order_unless_their_order_means_nothing() -> None:
    numbered = {str(i): state()[name] for i, name in enumerate(NAMES)}
    assert fit(numbered)[1] == BY_ORDER
    with pytest.raises(InputError, match=r"they do not fit the model; missing: .*0\.weight"):
        fit(UnorderedTensors(numbered))


def test_only_trained_parameters_may_come_back() -> None:
    model = network()
    model[0].requires_grad_(False)
    trained = [name for name in NAMES if not name.startswith("0.")]
    found, _ = matched([state()[name] for name in trained], model, trained, what="update")
    assert list(found) == trained


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([torch.zeros(2, 2)], r"'1 tensors, the first \(2, 2\)'.*7 tensors in its state|9 tensors in its state"),
        (
            [torch.zeros(2, 1, 5, 5), *[state()[n] for n in NAMES[1:]]],
            r"tensor 1 of 6.*\(2, 1, 3, 3\) there \(0.weight",
        ),
        ({**state(), "3.bias": torch.zeros(4)}, r"update\.3\.bias: got \(4,\); the model has \(3,\)"),
        ({**state(), "extra": torch.zeros(1)}, "unknown: 'extra'"),
        ({name: state()[name] for name in NAMES[:-1]}, r"missing: '3\.bias'"),
        ({**state(), "3.bias": torch.zeros(3, dtype=torch.int64)}, r"'int64'.*encrypted, masked or encoded"),
        (["text"], "a str"),
        ([np.array(["a"])], "an array of"),
    ],
)
def test_what_does_not_fit_is_named_with_what_the_model_has(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit(given)
