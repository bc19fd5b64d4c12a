"""What a transcript says only where it is granted by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedleak.client.local_training import mini_batches
from fedleak.federation.oracles import with_oracles
from fedleak.federation.plan import Plan, PlannedRound, PlannedUpdate
from fedleak.federation.sampling import training_key
from fedleak.transcript.manifest import UpdateRecord
from tests.federation.small import labelled, plan

FEDAVG = {
    "federation__client__protocol": "fedavg",
    "federation__client__batch_size": 2,
    "federation__client__local_epochs": 2,
}
LABELS = ((0, 0, 1, 1), (1, 0, 1, 0), (0, 1, 1, 1))
"""Of each client's four images."""


def planned(*grants: str, images: tuple[int, ...] = (3, 1, 0, 2)) -> tuple[Plan, PlannedRound]:
    """Both victims use their images in the given order."""
    found = plan(adversary__grants=list(grants), **FEDAVG)
    data = tuple(labelled(("++++",) * 4, labels) for labels in LABELS)
    updates = tuple(PlannedUpdate(c - 1, 1, c, 0, np.array(images)) for c in (1, 2))
    number = PlannedRound(1, dict.fromkeys(range(3), 0), updates, range(0))
    return Plan(found.scenario, found.splits, found.public, data, None, (number,), found.streams), number


def record(client: int, summed: tuple[int, ...] = ()) -> UpdateRecord:
    """Of round 1."""
    return UpdateRecord(row=client - 1, round=1, client=client, summed=summed, model_version=0, status="ok")


def test_nothing_is_told_unless_it_is_granted() -> None:
    records = (record(1), record(2))
    assert with_oracles(records, *planned()) == records


def test_true_labels_are_those_of_the_images_used_in_their_order() -> None:
    found = with_oracles((record(1), record(2)), *planned("true_labels"))
    assert [each.true_labels for each in found] == [(0, 0, 1, 1), (1, 1, 0, 1)]
    assert [each.mini_batches for each in found] == [None, None]
    assert all(isinstance(label, int) for label in found[0].true_labels or ())


def test_the_labels_of_a_sum_are_those_of_all_clients_in_it() -> None:
    (found,) = with_oracles((record(1, (1, 2)),), *planned("true_labels"))
    assert found.true_labels == (0, 0, 1, 1, 1, 1, 0, 1)


@pytest.mark.parametrize(
    ("client", "ranks"),
    [(1, {0: 0, 1: 1, 2: 2, 3: 3}), (2, {0: 1, 1: 2, 2: 0, 3: 3})],
)
def test_mini_batches_number_images_in_the_order_of_their_classes(client: int, ranks: dict[int, int]) -> None:
    """Client 2's images have the classes 1, 1, 0, 1: the third comes first, the others keep their order."""
    plan, number = planned("mini_batch_order")
    (found,) = with_oracles((record(client),), plan, number)
    key = training_key(plan.streams.client(client), 1)
    own = mini_batches(4, plan.scenario.federation.client.training(plan.scenario.task), key)
    assert found.mini_batches == tuple(tuple(ranks[int(i)] for i in batch) for batch in own)
    assert [len(batch) for batch in found.mini_batches or ()] == [2, 2, 2, 2]
    assert found.true_labels is None
    assert torch.cat(own).unique().tolist() == [0, 1, 2, 3]
