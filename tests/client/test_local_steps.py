"""Local steps against plain torch: optimisers on one network after the other, and FedProx's objective written out."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedleak.client.local_sgd import PLAIN_SGD, LocalSgd
from fedleak.client.local_training import LocalTraining, compute_updates, mini_batches
from fedleak.client.optimizer.adam import Adam
from fedleak.client.optimizer.adamw import AdamW
from fedleak.client.optimizer.base import AnyOptimizer
from fedleak.models.lenet import LeNet

SEED = 5
RULES: list[AnyOptimizer] = [PLAIN_SGD, LocalSgd(momentum=0.5, weight_decay=0.1), Adam(), AdamW(amsgrad=True)]


def plain(model: nn.Module, images: Tensor, labels: Tensor, training: LocalTraining) -> dict[str, Tensor]:
    """Weight delta of ``torch.optim`` on the loss plus ``mu / 2 ||w - w_t||^2``."""
    own, old = copy.deepcopy(model), [p.detach().clone() for p in model.parameters()]
    stepper = training.optimizer.torch_optimizer(own.parameters(), rate=training.learning_rate)
    for batch in mini_batches(len(labels), training, SEED):
        stepper.zero_grad()
        distance = sum((p - o).square().sum() for p, o in zip(own.parameters(), old, strict=True))
        loss = F.cross_entropy(own(images[batch]), labels[batch]) + training.proximal_mu / 2 * distance
        loss.backward()  # type: ignore[no-untyped-call]
        stepper.step()
    return {name: (p - o).detach() for (name, p), o in zip(own.named_parameters(), old, strict=True)}


@pytest.mark.parametrize("mu", [0.0, 0.5])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_deltas_are_plain_torchs(rule: AnyOptimizer, count: int, mu: float) -> None:
    model = LeNet(channels=3).build((2, 8, 8), 4, seed=3)
    draws = torch.Generator().manual_seed(1)
    images, labels = torch.randn(count, 5, 2, 8, 8, generator=draws), torch.randint(4, (count, 5), generator=draws)
    training = LocalTraining("fedavg", 2, 3, 0.01, train_mode=False, optimizer=rule, proximal_mu=mu)
    updates = compute_updates(model, images, labels, training, seed=SEED)
    for i in range(count):
        for name, delta in plain(model, images[i], labels[i], training).items():
            torch.testing.assert_close(updates.tensors[name][i], delta, rtol=1e-3, atol=1e-5)


def test_the_proximal_term_by_hand() -> None:
    """From zero: w1 = -rate g0, then w2 = w1 - rate (g1 + mu w1); the first step feels no pull."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    for p in model.parameters():
        nn.init.zeros_(p)
    image, label = torch.ones(1, 1, 1, 1, 1), torch.zeros(1, 1, dtype=torch.long)
    training = LocalTraining("fedavg", 1, 2, 0.5, train_mode=False, proximal_mu=0.4)
    first = torch.tensor([0.25, -0.25])  # minus half of softmax((0, 0)) - (1, 0)
    second = torch.softmax(2 * first, dim=0) - torch.tensor([1.0, 0.0])
    expected = first - 0.5 * (second + 0.4 * first)
    updates = compute_updates(model, image, label, training, seed=0)
    torch.testing.assert_close(updates.tensors["1.bias"][0], expected)


def test_a_large_mu_keeps_the_weights_at_home() -> None:
    model = LeNet(channels=3).build((2, 8, 8), 4, seed=3)
    images, labels = torch.randn(1, 4, 2, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(4)[None]
    moved = []
    for mu in (0.0, 1.0, 9.0):
        training = LocalTraining("fedavg", 4, 20, 0.1, train_mode=False, proximal_mu=mu)
        tensors = compute_updates(model, images, labels, training, seed=0).tensors
        moved.append(float(torch.cat([t.flatten() for t in tensors.values()]).norm()))
    assert moved[0] > 1.5 * moved[1] > 3 * moved[2]
