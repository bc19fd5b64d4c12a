"""A federation that knows nothing of fedleak: a plain loop of local SGD on digits."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak.audit.observed import LocalSettings, Observation, ObservedFederation, TrueBatch
from tests.builders import digits
from tests.user_models import Tutorial

SHAPE = (1, 8, 8)
RATE = 0.1
PATH = "tests.user_models:batch_norm"
KNOWN = LocalSettings(learning_rate=RATE, epochs=1, batch_size=2)


def about(**changes: Any) -> ObservedFederation:
    return ObservedFederation(**{"model": PATH, "input_shape": SHAPE, "classes": 10, "training": KNOWN} | changes)


def net() -> nn.Module:
    torch.manual_seed(0)
    return Tutorial(SHAPE, 10, batch_norm=True)


def batch(number: int) -> tuple[Tensor, Tensor]:
    data, some = digits().train, slice(2 * number, 2 * number + 2)
    return torch.from_numpy(data.images[some]), torch.from_numpy(data.labels[some])


def loss(model: nn.Module, number: int) -> Tensor:
    images, labels = batch(number)
    return F.cross_entropy(model((images.float() / 255 - 0.5) / 0.5), labels)


def trained(model: nn.Module, number: int) -> nn.Module:
    """A copy after one step on two images, in training mode."""
    own = copy.deepcopy(model).train()
    optimiser = torch.optim.SGD(own.parameters(), lr=RATE)
    loss(own, number).backward()
    optimiser.step()
    return own


def rounds(count: int = 2, clients: int = 2) -> Iterator[tuple[int, int, nn.Module, nn.Module]]:
    """Round, client, the model that was sent and the one that came back."""
    model = net()
    for number in range(1, count + 1):
        replies = [trained(model, clients * number + client) for client in range(clients)]
        for client, reply in enumerate(replies):
            yield number, client, model, reply
        model = replies[0]


def observations(count: int = 2, **changes: Any) -> Iterator[Observation]:
    """As a Flower app sends them: lists of arrays in the order of the state; the truth of client 0 is known."""
    for number, client, sent, back in rounds(count):
        truth = TrueBatch(*batch(2 * number)) if client == 0 else None
        tensors = [[value.clone().numpy() for value in model.state_dict().values()] for model in (sent, back)]
        fields = {"sent": tensors[0], "returned": tensors[1], "samples": 2, "truth": truth}
        yield Observation(number, client, **(fields | changes))
