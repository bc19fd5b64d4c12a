"""The plan of a federation: everything that is known and checked before it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedleak import seeds
from fedleak.data.sources.base import DatasetSplits, LabelledImages
from fedleak.errors import InputError
from fedleak.federation.accounting import check_accountant
from fedleak.federation.amounts import check_amounts
from fedleak.federation.channel import ExpectedUpdate
from fedleak.federation.crafting import check_crafted_model, crafting_knowledge
from fedleak.federation.model import check_model, initial_model
from fedleak.federation.optimized import build_strategy
from fedleak.federation.sampling import draw_images
from fedleak.federation.selection import largest_gradients_first
from fedleak.federation.streams import Streams, repeatable_secret, system_secret
from fedleak.scenario.schema import Scenario
from fedleak.server.crafting.base import CraftingKnowledge
from fedleak.threat import PublicData

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
    streams: Streams
    """Roots of all random streams of the run."""
    counts: tuple[int, ...] = ()
    """Number of images of each client, if the images are known to its node alone and ``clients`` is empty."""

    @property
    def held(self) -> tuple[int, ...]:
        """Number of images of each client."""
        return self.counts or tuple(len(data) for data in self.clients)

    @property
    def crafting_knowledge(self) -> CraftingKnowledge:
        """What the server knows if it crafts models."""
        granted = PublicData.capability_name() in self.scenario.adversary.granted
        return crafting_knowledge(self.splits, self.public if granted else self.public.take(np.arange(0)))

    @property
    def unheld_classes(self) -> tuple[str, ...]:
        """Names of the classes of which no client holds an image."""
        held = {int(label) for data in self.clients for label in np.unique(data.labels)}
        if not self.clients:
            return ()
        return tuple(name for label, name in enumerate(self.splits.class_names) if label not in held)

    @property
    def recorded_updates(self) -> int:
        """Number of update rows in the transcript."""
        return len({update.row for planned in self.rounds for update in planned.updates})


def make_plan(
    scenario: Scenario, *, secret: str | None = None, roll_call: Callable[[DatasetSplits], Sequence[int]] | None = None
) -> Plan:
    """Load the data, partition it, and plan every round.

    Args:
        scenario: the scenario.
        secret: with ``randomness: system``, the clients' secret of a run to be continued (default: a new one).
        roll_call: asks nodes that hold images of their own how many each has.

    Raises:
        InputError: if the scenario and its data do not fit together; nothing has been written.
    """
    check_accountant(scenario.federation)
    if scenario.federation.server.strategy is not None:
        build_strategy(scenario.federation.server.strategy, clients=scenario.federation.clients)
    splits = scenario.dataset.load()
    check_model(scenario, splits)
    public, private = scenario.adversary.shift.deal(
        splits,
        public=_public_count(scenario, len(splits.train)),
        generator=seeds.numpy_generator(scenario.seed, "public"),
    )
    if roll_call is not None:
        return _plan_own(scenario, splits, public, tuple(roll_call(splits)))
    streams = _streams(scenario, private, secret)
    check_crafted_model(scenario, splits, public, nonce=streams.nonce)
    if scenario.federation.clients > len(private):
        raise InputError(
            "federation.clients",
            scenario.federation.clients,
            f"at most {len(private)}, the number of private images",
        )
    parts = scenario.federation.partition.split(
        private.labels, clients=scenario.federation.clients, seed=seeds.derive(streams.secret, "partition")
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
    check_amounts(scenario, splits, [len(data) for data in clients])
    return Plan(
        scenario=scenario,
        splits=splits,
        public=public,
        clients=clients,
        pair_index=_pair_index(scenario, streams, len(public), len(clients[scenario.adversary.compromised])),
        rounds=_plan_rounds(scenario, streams, [len(data) for data in clients]),
        streams=streams,
    )


def _plan_own(scenario: Scenario, splits: DatasetSplits, public: LabelledImages, counts: tuple[int, ...]) -> Plan:
    """A plan for nodes that hold ``counts`` images of their own.

    Nodes draw from keys that only they can compute, so the secret, which plans the schedule, hides nothing of theirs.
    """
    streams = Streams(seeds.key(scenario.seed, "nodes with images of their own"))
    check_amounts(scenario, splits, counts)
    pairs = _pair_index(scenario, streams, len(public), counts[scenario.adversary.compromised])
    rounds = _plan_rounds(scenario, streams, list(counts), known=False)
    return Plan(scenario, splits, public, (), pairs, rounds, streams, counts)


def _streams(scenario: Scenario, private: LabelledImages, secret: str | None) -> Streams:
    if scenario.federation.randomness == "system":
        return Streams(secret or system_secret())
    return Streams(repeatable_secret(scenario.seed, private))


def _public_count(scenario: Scenario, available: int) -> int:
    adversary = scenario.adversary
    if adversary.public_images is not None:
        return adversary.public_images
    if available < 2:
        raise InputError("dataset", scenario.dataset.kind, f"{available} training images; the least is 2")
    wanted = adversary.injection.pairs * scenario.federation.client.batch_size if adversary.injection else 100
    return min(wanted, available // 2)


def _pair_index(scenario: Scenario, streams: Streams, public: int, held: int) -> Indices | None:
    """Batches of public images from consecutive permutations; each permutation draws an image at most once."""
    injection = scenario.adversary.injection
    if injection is None:
        return None
    per_pair = scenario.federation.client.images_per_update(held)
    if per_pair > public:
        raise InputError("adversary.public_images", public, f"one pair needs {per_pair} images of the adversary's own")
    if per_pair == 1 and injection.pairs > public * len(injection.rounds):
        distinct = public * len(injection.rounds)
        raise InputError(
            "adversary.injection.pairs",
            injection.pairs,
            f"with one image per pair, {public} public images give at most {distinct} distinct pairs",
        )
    generator = seeds.numpy_generator(streams.nonce, "pairs")
    batches = public // per_pair
    passes = -(-injection.pairs // batches)
    index = [generator.permutation(public)[: batches * per_pair].reshape(batches, per_pair) for _ in range(passes)]
    return np.concatenate(index)[: injection.pairs].astype(np.int64)


def _plan_rounds(
    scenario: Scenario, streams: Streams, held: list[int], *, known: bool = True
) -> tuple[PlannedRound, ...]:
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
        versions = {c: _version(scenario, streams, number, c) for c in _sample_clients(scenario, streams, number)}
        updates: list[PlannedUpdate] = []
        for client, version in versions.items():
            if recorded and client in victims:
                key = streams.client(client)
                drawn = draw_images(federation.client, key=key, round_number=number, held=held[client])
                images = drawn if known else np.empty(0, dtype=np.int64)
                place = row if together else row + len(updates)
                updates.append(PlannedUpdate(place, number, client, version, images))
        row = updates[-1].row + 1 if updates else row
        rounds.append(PlannedRound(number, versions, tuple(updates), _pairs_of_round(scenario, number)))
    if row == 0:
        raise InputError(
            "adversary.victims", adversary.victims.model_dump(), "no sampled client of any round is a victim"
        )
    return tuple(rounds)


def _sample_clients(scenario: Scenario, streams: Streams, number: int) -> tuple[int, ...]:
    federation = scenario.federation
    count = federation.clients_per_round or federation.clients
    generator = seeds.numpy_generator(streams.server, "sampling", number)
    return tuple(sorted(int(c) for c in generator.permutation(federation.clients)[:count]))


def _version(scenario: Scenario, streams: Streams, number: int, client: int) -> int:
    generator = seeds.numpy_generator(streams.server, "staleness", number, client)
    lag = scenario.federation.staleness.lag_of(client, number, generator=generator)
    return max(0, number - 1 - lag)


def _pairs_of_round(scenario: Scenario, number: int) -> range:
    injection = scenario.adversary.injection
    if injection is None or number not in injection.rounds:
        return range(0)
    position, shares = sorted(injection.rounds).index(number), len(injection.rounds)
    return range(injection.pairs * position // shares, injection.pairs * (position + 1) // shares)
