"""What is known of a federation before it runs: who takes part when, on which images, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fedleak import seeds
from fedleak.errors import InputError
from fedleak.federation.model import initial_model, network_factory
from fedleak.federation.plan import make_plan
from tests.builders import digits
from tests.scenarios import scenario

NO_PAIRS: dict[str, Any] = {
    "adversary__injection": None,
    "attacks": [{"kind": "inverting_gradients", "iterations": 1}],
}
FOURS = {"federation__client__batch_size": 4}
SIX = {"federation__clients": 6, "federation__rounds": 5}


def rounds_of(**changes: Any) -> list[dict[int, list[int]]]:
    """Of each round: row -> clients whose updates go into it."""
    found = []
    for planned in make_plan(scenario(**changes)).rounds:
        rows: dict[int, list[int]] = {}
        for update in planned.updates:
            rows.setdefault(update.row, []).append(update.client)
        found.append(rows)
    return found


def test_images_are_dealt_without_overlap() -> None:
    plan = make_plan(scenario())
    everything = [plan.public.images, *(data.images for data in plan.clients)]
    assert len(plan.public) == 60
    assert sum(len(images) for images in everything) == len(digits().train)
    assert [len(data) for data in plan.clients] == [459, 459, 459]


def test_the_same_scenario_gives_the_same_plan_and_another_seed_another_one() -> None:
    first, again, other = (make_plan(scenario(seed=seed)) for seed in (0, 0, 1))
    assert np.array_equal(first.public.images, again.public.images)
    assert not np.array_equal(first.public.images, other.public.images)
    for own, same in zip(first.rounds, again.rounds, strict=True):
        assert [u.images.tolist() for u in own.updates] == [u.images.tolist() for u in same.updates]


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"adversary__public_images": 7, **NO_PAIRS}, 7),
        ({"adversary__public_images": None, **NO_PAIRS}, 100),
        (
            {"adversary__public_images": None, "adversary__injection__pairs": 30, "federation__client__batch_size": 4},
            120,
        ),
        (
            {"adversary__public_images": None, "adversary__injection__pairs": 400, "federation__client__batch_size": 4},
            718,
        ),
    ],
)
def test_how_many_images_are_public(changes: dict[str, Any], count: int) -> None:
    """As many as stated; 100; enough for every image to be in one pair; and at most half of all."""
    assert len(make_plan(scenario(**changes)).public) == count


def test_every_client_takes_part_and_all_but_the_compromised_one_are_victims() -> None:
    assert rounds_of(adversary__compromised=1) == [{0: [0], 1: [2]}, {2: [0], 3: [2]}]


def test_all_clients_may_be_victims_the_compromised_one_too() -> None:
    assert rounds_of(adversary__victims={"clients": "all", "rounds": [1]})[0].keys() == {0, 1, 2}


def test_victims_can_be_chosen_by_client_and_round() -> None:
    victims = {"clients": [0, 2], "rounds": [2, 3]}
    assert rounds_of(federation__rounds=3, adversary__victims=victims) == [{}, {0: [0], 1: [2]}, {2: [0], 3: [2]}]


def test_clients_are_sampled_by_the_round() -> None:
    plan = make_plan(scenario(**SIX, federation__clients_per_round=3))
    for planned in plan.rounds:
        order = seeds.numpy_generator(plan.streams.server, "sampling", planned.number).permutation(6)
        assert planned.clients == tuple(sorted(order[:3].tolist()))
    assert plan.recorded_updates == sum(client != 0 for planned in plan.rounds for client in planned.clients)


def test_late_clients_compute_on_old_versions_and_none_is_older_than_the_first() -> None:
    staleness = {"kind": "trace", "lags": [[0], [1], [3]]}
    plan = make_plan(scenario(federation__rounds=5, federation__staleness=staleness))
    assert [dict(planned.versions) for planned in plan.rounds] == [
        {0: 0, 1: 0, 2: 0},
        {0: 1, 1: 0, 2: 0},
        {0: 2, 1: 1, 2: 0},
        {0: 3, 1: 2, 2: 0},
        {0: 4, 1: 3, 2: 1},
    ]
    assert [(u.round, u.client, u.version) for u in plan.rounds[4].updates] == [(5, 1, 3), (5, 2, 1)]


def test_behind_secure_aggregation_a_round_is_one_row_of_all_clients() -> None:
    secure = {"num_shares": 3, "reconstruction_threshold": 2}
    changes = {"federation__secure_aggregation": secure, "adversary__level": 3}
    assert rounds_of(**changes, **NO_PAIRS) == [{0: [0, 1, 2]}, {1: [0, 1, 2]}]


def test_images_of_an_update_are_the_clients_own() -> None:
    plan = make_plan(scenario(federation__client__batch_size=5))
    for update in (update for planned in plan.rounds for update in planned.updates):
        assert len(set(update.images.tolist())) == 5
        assert 0 <= update.images.min() <= update.images.max() < len(plan.clients[update.client])


def test_pairs_use_every_public_image_before_any_is_used_twice() -> None:
    """12 images make six pairs of two: three passes over them, the last one cut short."""
    changes: dict[str, Any] = {"adversary__public_images": 12, "federation__client__batch_size": 2}
    plan = make_plan(scenario(**changes, adversary__injection={"pairs": 15, "rounds": [1]}))
    assert plan.pair_index is not None
    assert (plan.pair_index.shape, plan.pair_index.dtype) == ((15, 2), np.int64)
    for start in (0, 6):
        assert sorted(plan.pair_index[start : start + 6].ravel().tolist()) == list(range(12))
    assert len(set(plan.pair_index[12:].ravel().tolist())) == 6
    assert not np.array_equal(plan.pair_index[:6], plan.pair_index[6:12])


def test_images_that_fill_no_pair_are_left_out_of_a_pass() -> None:
    changes: dict[str, Any] = {"adversary__public_images": 13, "federation__client__batch_size": 4}
    plan = make_plan(scenario(**changes, adversary__injection={"pairs": 3, "rounds": [1]}))
    assert plan.pair_index is not None
    assert len(set(plan.pair_index.ravel().tolist())) == 12


def test_pairs_are_gathered_in_equal_shares_in_the_order_of_the_rounds() -> None:
    changes: dict[str, Any] = {"federation__rounds": 4, "adversary__injection": {"pairs": 10, "rounds": [4, 1, 2]}}
    assert [planned.pairs for planned in make_plan(scenario(**changes)).rounds] == [
        range(3),
        range(3, 6),
        range(0),
        range(6, 10),
    ]


def test_without_injection_there_are_no_pairs() -> None:
    plan = make_plan(scenario(**NO_PAIRS))
    assert plan.pair_index is None
    assert [planned.pairs for planned in plan.rounds] == [range(0), range(0)]


def test_the_first_model_depends_on_the_seed_alone() -> None:
    splits = digits()
    first, again, other = (
        torch.nn.utils.parameters_to_vector(initial_model(scenario(seed=seed), splits).parameters())
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("task", "outputs"), [("classification", 10), ("regression", 1)])
def test_the_network_has_as_many_outputs_as_the_task_needs(task: str, outputs: int) -> None:
    factory = network_factory(scenario(task=task, **(NO_PAIRS | {"attacks": ["dlg"]})), digits())
    assert factory(0)(torch.zeros(3, 1, 8, 8)).shape == (3, outputs)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"model": {"kind": "convnet", "widths": [2, 2, 2, 2]}}, "model", "it cannot be built for the images: images of"),
    ({"federation__clients": 1378}, "federation.clients", "at most 1377, the number of private images"),
    ({"federation__client__batch_size": 460}, "federation.client.batch_size", "client 0 holds only 459 images"),
    (
        {"federation__client": {"protocol": "fedavg", "samples": 460}, "adversary__public_images": 60},
        "federation.client.samples",
        "client 0 holds only 459 images; at most that many",
    ),
    ({"federation__client__batch_size": 61}, "adversary.public_images", "one pair needs 61 images"),
    ({"adversary__injection__pairs": 61}, "adversary.injection.pairs", "60 public images give at most 60 distinct"),
    (
        {"adversary__injection": {"pairs": 121, "rounds": [1, 2]}},
        "adversary.injection.pairs",
        "60 public images give at most 120 distinct pairs",
    ),
]


@pytest.mark.parametrize(("changes", "path", "reason"), REFUSED)
def test_what_does_not_fit_the_data_is_refused(changes: dict[str, Any], path: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        make_plan(scenario(**changes))
    assert caught.value.path == path


def test_a_victim_that_is_never_sampled_is_refused() -> None:
    """One of thirty clients takes part in the one round; it is some other."""
    changes: dict[str, Any] = {"federation__clients": 30, "federation__clients_per_round": 1, "federation__rounds": 1}
    server = make_plan(scenario(**changes, adversary__victims={"clients": list(range(30))})).streams.server
    sampled = int(seeds.numpy_generator(server, "sampling", 1).permutation(30)[0])
    with pytest.raises(InputError, match="no sampled client of any round is a victim"):
        make_plan(scenario(**changes, adversary__victims={"clients": [(sampled + 1) % 30]}))


def test_classes_that_no_client_holds_are_known() -> None:
    assert make_plan(scenario()).unheld_classes == ()
    few = make_plan(scenario(federation__partition={"kind": "one_per_class", "classes_per_client": 2}))
    held = {int(label) for data in few.clients for label in data.labels}
    assert few.unheld_classes == tuple(str(label) for label in range(10) if label not in held)
    assert len(few.unheld_classes) >= 4
