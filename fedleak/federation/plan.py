"""The plan of a federation: everything that is known and checked before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedleak import seeds
from fedleak.client.postprocess.base import UnfitSettingError
from fedleak.data.sources.base import DatasetSplits, LabelledImages
from fedleak.errors import InputError
from fedleak.federation.accounting import check_accountant
from fedleak.federation.channel import ExpectedUpdate
from fedleak.federation.sampling import draw_images
from fedleak.federation.selection import largest_gradients_first
from fedleak.models.base import NetworkFactory
from fedleak.scenario.schema import Scenario

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class PlannedUpdate(ExpectedUpdate):
    """One victim's update to be recorded; ``images`` are indices into the client's data.

    Under secure aggregation all updates of a round form one sum, in one row.
    """

    images: Indices


@dataclass(frozen=True)
class PlannedRound:
    """Participants of a round, the updates to be recorded, and the pairs gathered before it."""

    number: int
    versions: Mapping[int, int]
    """Participating clients, in order, each with the model version that its update is computed on."""
    updates: tuple[PlannedUpdate, ...]
    pairs: range

    @property
    def clients(self) -> tuple[int, ...]:
        """Participating clients, in order."""
        return tuple(self.versions)


@dataclass(frozen=True)
class Plan:
    """The partitioned data and the schedule of a federation."""

    scenario: Scenario
    splits: DatasetSplits
    public: LabelledImages
    clients: tuple[LabelledImages, ...]
    pair_index: Indices | None
    """Indices of the public images in each pair, ``(P, B)``."""
    rounds: tuple[PlannedRound, ...]

    @property
    def recorded_updates(self) -> int:
        """Number of update rows in the transcript."""
        return len({update.row for planned in self.rounds for update in planned.updates})


def make_plan(scenario: Scenario) -> Plan:
    """Load the data, partition it, and plan every round.

    Raises:
        InputError: if the scenario and its data do not fit together; nothing has been written.
    """
    check_accountant(scenario.federation)
    splits = scenario.dataset.load()
    _check_model(scenario, splits)
    public, private = scenario.adversary.shift.deal(
        splits,
        public=_public_count(scenario, len(splits.train)),
        generator=seeds.numpy_generator(scenario.seed, "public"),
    )
    if scenario.federation.clients > len(private):
        raise InputError(
            "federation.clients",
            scenario.federation.clients,
            f"at most {len(private)}, the number of private images",
        )
    parts = scenario.federation.partition.split(
        private.labels, clients=scenario.federation.clients, seed=seeds.derive(scenario.seed, "partition")
    )
    clients = tuple(private.take(part) for part in parts)
    if scenario.federation.client.selection == "largest_gradients":
        first = initial_model(scenario, splits)
        ranks = [
            largest_gradients_first(
                first, data, splits.normalisation, task=scenario.task, classes=len(splits.class_names)
            )
            for data in clients
        ]
        clients = tuple(data.take(rank) for data, rank in zip(clients, ranks, strict=True))
    for client, data in enumerate(clients):
        _check_client_data(scenario, client, len(data))
    return Plan(
        scenario=scenario,
        splits=splits,
        public=public,
        clients=clients,
        pair_index=_pair_index(scenario, len(public), len(clients[scenario.adversary.compromised])),
        rounds=_plan_rounds(scenario, [len(data) for data in clients]),
    )


def initial_model(scenario: Scenario, splits: DatasetSplits) -> nn.Module:
    """The model that the server broadcasts in the first round."""
    seed = seeds.derive(scenario.seed, "model")
    return network_factory(scenario, splits)(seed)


def network_factory(scenario: Scenario, splits: DatasetSplits) -> NetworkFactory:
    """Factory of the network that the clients train."""
    return scenario.model.factory(splits.input_shape, scenario.task.outputs(len(splits.class_names)))


def _check_model(scenario: Scenario, splits: DatasetSplits) -> None:
    try:
        scenario.task.check_classes(len(splits.class_names))
    except ValueError as error:
        raise InputError("task", scenario.task.kind, str(error)) from error
    try:
        model = network_factory(scenario, splits)(0)
    except (ValueError, RuntimeError) as error:
        raise InputError("model", scenario.model.kind, f"it cannot be built for the images: {error}") from error
    _check_steps(scenario, model, splits)


def _check_steps(scenario: Scenario, model: nn.Module, splits: DatasetSplits) -> None:
    """Check that the model has every layer that a post-processing step names."""
    for i, step in enumerate(scenario.federation.client.postprocess):
        try:
            step.check_model(model, torch.zeros(1, *splits.input_shape))
        except UnfitSettingError as error:
            path = f"federation.client.postprocess.{i}.{error.setting}"
            raise InputError(path, error.value, error.reason) from error


def _public_count(scenario: Scenario, available: int) -> int:
    adversary = scenario.adversary
    if adversary.public_images is not None:
        return adversary.public_images
    wanted = adversary.injection.pairs * scenario.federation.client.batch_size if adversary.injection else 100
    return min(wanted, available // 2)


def _check_client_data(scenario: Scenario, client: int, held: int) -> None:
    settings = scenario.federation.client
    if settings.drift is not None and settings.drift.images > held:
        raise InputError(
            "federation.client.drift.images",
            settings.drift.images,
            f"client {client} holds only {held} images; at most that many",
        )
    needed = scenario.federation.client.images_per_update(held)
    if needed > held:
        name = "batch_size" if settings.protocol == "fedsgd" else "samples"
        raise InputError(
            f"federation.client.{name}",
            needed,
            f"client {client} holds only {held} images; at most that many",
        )


def _pair_index(scenario: Scenario, public: int, held: int) -> Indices | None:
    """Batches of public images from consecutive permutations; each permutation draws an image at most once."""
    injection = scenario.adversary.injection
    if injection is None:
        return None
    per_pair = scenario.federation.client.images_per_update(held)
    if per_pair > public:
        raise InputError("adversary.public_images", public, f"one pair needs {per_pair} images")
    if per_pair == 1 and injection.pairs > public * len(injection.rounds):
        distinct = public * len(injection.rounds)
        raise InputError(
            "adversary.injection.pairs",
            injection.pairs,
            f"with one image per pair, {public} public images give at most {distinct} distinct pairs",
        )
    generator = seeds.numpy_generator(scenario.seed, "pairs")
    batches = public // per_pair
    passes = -(-injection.pairs // batches)
    index = [generator.permutation(public)[: batches * per_pair].reshape(batches, per_pair) for _ in range(passes)]
    return np.concatenate(index)[: injection.pairs].astype(np.int64)


def _plan_rounds(scenario: Scenario, held: list[int]) -> tuple[PlannedRound, ...]:
    federation, adversary = scenario.federation, scenario.adversary
    together = federation.secure_aggregation is not None
    victims = set(range(federation.clients)) - (set() if together else {adversary.compromised})
    chosen = adversary.victims.clients
    if chosen != "others":
        victims = set(range(federation.clients)) if chosen == "all" else set(chosen)
    rounds: list[PlannedRound] = []
    row = 0
    for number in range(1, federation.rounds + 1):
        recorded = adversary.victims.rounds == "all" or number in adversary.victims.rounds
        versions = {client: _version(scenario, number, client) for client in _sample_clients(scenario, number)}
        updates: list[PlannedUpdate] = []
        for client, version in versions.items():
            if recorded and client in victims:
                images = draw_images(
                    federation.client,
                    seed=scenario.seed,
                    round_number=number,
                    client=client,
                    held=held[client],
                )
                place = row if together else row + len(updates)
                updates.append(PlannedUpdate(place, number, client, version, images))
        row = updates[-1].row + 1 if updates else row
        rounds.append(PlannedRound(number, versions, tuple(updates), _pairs_of_round(scenario, number)))
    if row == 0:
        raise InputError(
            "adversary.victims", adversary.victims.model_dump(), "no sampled client of any round is a victim"
        )
    return tuple(rounds)


def _sample_clients(scenario: Scenario, number: int) -> tuple[int, ...]:
    federation = scenario.federation
    count = federation.clients_per_round or federation.clients
    generator = seeds.numpy_generator(scenario.seed, "sampling", number)
    return tuple(sorted(int(c) for c in generator.permutation(federation.clients)[:count]))


def _version(scenario: Scenario, number: int, client: int) -> int:
    generator = seeds.numpy_generator(scenario.seed, "staleness", number, client)
    lag = scenario.federation.staleness.lag_of(client, number, generator=generator)
    return max(0, number - 1 - lag)


def _pairs_of_round(scenario: Scenario, number: int) -> range:
    injection = scenario.adversary.injection
    if injection is None or number not in injection.rounds:
        return range(0)
    position, shares = sorted(injection.rounds).index(number), len(injection.rounds)
    return range(injection.pairs * position // shares, injection.pairs * (position + 1) // shares)
