"""Facts about an update that are recorded only if the scenario grants them by name."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedleak.client.local_training import mini_batches
from fedleak.federation.plan import Plan, PlannedRound
from fedleak.federation.sampling import training_key
from fedleak.threat import MiniBatchOrder, TrueLabels
from fedleak.transcript.manifest import UpdateRecord


def with_oracles(records: tuple[UpdateRecord, ...], plan: Plan, planned: PlannedRound) -> tuple[UpdateRecord, ...]:
    """The records with true labels and mini-batch order added, each only if granted."""
    if not plan.clients:
        return records
    granted = plan.scenario.adversary.granted
    own = {update.client: plan.clients[update.client].labels[update.images] for update in planned.updates}
    extended = []
    for record in records:
        labels = np.concatenate([own[client] for client in record.clients])
        told: dict[str, Any] = {}
        if TrueLabels.capability_name() in granted:
            told["true_labels"] = tuple(int(label) for label in labels)
        if MiniBatchOrder.capability_name() in granted:
            told["mini_batches"] = _by_class(record, labels, plan)
        extended.append(record.model_copy(update=told))
    return tuple(extended)


def _by_class(record: UpdateRecord, labels: NDArray[np.int64], plan: Plan) -> tuple[tuple[int, ...], ...]:
    """The client's mini-batches, with its images numbered in class order."""
    scenario = plan.scenario
    rank = np.argsort(np.argsort(labels, kind="stable"), kind="stable")
    order = mini_batches(
        len(labels),
        scenario.federation.client.training(scenario.task),
        training_key(plan.streams.client(record.client), record.round),
    )
    return tuple(tuple(int(i) for i in rank[batch.numpy()]) for batch in order)
