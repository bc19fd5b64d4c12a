"""Finished work is found again as long as nothing that it depends on has changed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fedleak.attacks.base import TrainedAttack
from fedleak.families import kinds
from fedleak.scenario.schema import Scenario
from fedleak.stages.attack.fingerprints import artefact_key, attack_fingerprint
from fedleak.stages.attack.job import AttackJob
from fedleak.transcript.manifest import Manifest
from tests.scenarios import scenario
from tests.transcript.manifests import manifest

CPU = torch.device("cpu")
DLG = {"kind": "dlg", "iterations": 2}
HYBRID: list[dict[str, Any]] = [
    {"kind": "lti", "hidden": 8, "training": {"epochs": 2}},
    {"kind": "inverting_gradients", "iterations": 2, "init": {"from": "lti"}},
]

SHA = [str(digit) * 64 for digit in range(10)]


def fingerprint(checked: Scenario, *, digest: str = "t", device: torch.device = CPU, number: int = 0) -> str:
    return attack_fingerprint(AttackJob.of(checked), checked.attacks[number], digest, device)


def test_an_attacks_fingerprint_follows_what_its_images_depend_on() -> None:
    base = scenario(attacks=[DLG])
    same = fingerprint(base)
    assert same == fingerprint(scenario(attacks=[DLG])) == fingerprint(base, device=torch.device("cpu"))
    others = [
        fingerprint(scenario(attacks=[DLG | {"iterations": 3}])),
        fingerprint(scenario(attacks=[DLG], threads=2)),
        fingerprint(scenario(attacks=[DLG], adversary__label_inference="greedy_bias")),
        fingerprint(scenario(attacks=[DLG], adversary__label_inference=None)),
        fingerprint(base, digest="another"),
        fingerprint(base, device=torch.device("cuda", 0)),
    ]
    assert len({same, *others}) == len(others) + 1


@pytest.mark.parametrize("change", [{"description": "another"}, {"bootstrap_resamples": 200}, {"metrics__lpips": None}])
def test_and_nothing_else(change: dict[str, Any]) -> None:
    assert fingerprint(scenario(attacks=[DLG], **change)) == fingerprint(scenario(attacks=[DLG]))


def test_other_attacks_of_the_scenario_do_not_matter() -> None:
    assert fingerprint(scenario(attacks=[DLG, "lti"])) == fingerprint(scenario(attacks=[DLG]))


def test_which_gpu_of_a_machine_does_not_matter() -> None:
    base = scenario(attacks=[DLG])
    first, second = (fingerprint(base, device=torch.device("cuda", number)) for number in (0, 1))
    assert first == second


def test_an_attack_depends_on_the_one_that_it_starts_from() -> None:
    changed = [HYBRID[0] | {"hidden": 9}, HYBRID[1]]
    before, after = (fingerprint(scenario(attacks=attacks), number=1) for attacks in (HYBRID, changed))
    assert before != after


def key(checked: Scenario, known: Manifest, *, device: torch.device = CPU) -> str:
    attack = checked.attacks[0]
    assert isinstance(attack, TrainedAttack)
    return artefact_key(AttackJob.of(checked), attack, known, device)


def test_a_generator_follows_its_pairs_and_settings() -> None:
    base, known = (
        scenario(attacks=[HYBRID[0]]),
        manifest(checksums={"pairs/updates.npy": SHA[1], "updates.npy": SHA[2]}),
    )
    same = key(base, known)
    others = [
        key(scenario(attacks=[HYBRID[0] | {"hidden": 9}]), known),
        key(base, manifest(checksums=known.checksums, nonce="another seed")),
        key(scenario(attacks=[HYBRID[0]], threads=2), known),
        key(base, manifest(checksums={"pairs/updates.npy": SHA[3], "updates.npy": SHA[2]})),
        key(
            base,
            manifest(checksums={"pairs/updates.npy": SHA[1], "updates.npy": SHA[2], "public/images.npy": SHA[4]}),
        ),
        key(base, manifest(checksums=known.checksums, classes=3)),
        key(base, manifest(checksums=known.checksums, model={"kind": "mlp", "hidden": [2]})),
        key(base, known, device=torch.device("cuda")),
    ]
    assert len({same, *others}) == len(others) + 1


def test_a_generator_is_found_under_another_name_and_for_other_victims() -> None:
    base, known = (
        scenario(attacks=[HYBRID[0]]),
        manifest(checksums={"pairs/updates.npy": SHA[1], "updates.npy": SHA[2]}),
    )
    renamed = scenario(attacks=[HYBRID[0] | {"id": "other"}])
    others = manifest(
        checksums={"pairs/updates.npy": SHA[1], "updates.npy": SHA[9], "models/version-00000.safetensors": SHA[9]}
    )
    assert key(base, known) == key(renamed, known) == key(base, others)


def test_another_version_of_the_code_trains_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    base, known = scenario(attacks=[HYBRID[0]]), manifest()
    before = key(base, known)
    monkeypatch.setattr("fedleak.stages.attack.fingerprints._code_of_attacks", lambda: "another")
    assert key(base, known) != before


NEVER_TRAINED = {"id", "version"}
OF_NETWORKS = {"gias": {"kind", "latent", "width", "training"}, "rog": {"kind", "code", "training"}}
"""Settings of training of the attacks that search afterwards; all others are of the search."""
GIAS = {"kind": "gias", "latent": 4, "width": 8, "training": {"epochs": 2}}
TRAINED = {name: kind for name, kind in kinds("attack").items() if issubclass(kind, TrainedAttack)}


@pytest.mark.parametrize("name", TRAINED)
def test_what_a_key_leaves_out_is_known_of_every_trained_attack(name: str) -> None:
    """Whoever adds a setting decides here whether it belongs to training."""
    attack = TRAINED[name].model_validate({"hidden": 8} if "hidden" in TRAINED[name].model_fields else {})
    left_out = set(TRAINED[name].model_fields) - set(attack.training_settings())
    if name in OF_NETWORKS:
        assert left_out == set(TRAINED[name].model_fields) - OF_NETWORKS[name]
    else:
        ignored = {"parameters"} if "hidden" in TRAINED[name].model_fields else set()
        ignored |= {"preset"} & set(TRAINED[name].model_fields)  # the default leaves no trace, so that old keys stay
        assert left_out == NEVER_TRAINED | ignored


@pytest.mark.parametrize(
    "change",
    [{"weight_iterations": 7}, {"iterations": 9}, {"restarts": 3}, {"priors": {"total_variation": 0.1}}, {"id": "b"}],
    ids=str,
)
def test_settings_of_the_search_alone_find_the_same_generator(change: dict[str, Any]) -> None:
    known = manifest(checksums={"public/images.npy": "1" * 64})
    assert key(scenario(attacks=[GIAS]), known) == key(scenario(attacks=[GIAS | change]), known)


@pytest.mark.parametrize("change", [{"latent": 5}, {"width": 16}, {"training": {"epochs": 3}}], ids=str)
def test_settings_of_the_training_do_not(change: dict[str, Any]) -> None:
    known = manifest(checksums={"public/images.npy": "1" * 64})
    assert key(scenario(attacks=[GIAS]), known) != key(scenario(attacks=[GIAS | change]), known)


def test_an_image_generator_depends_on_public_images_alone() -> None:
    base, images = scenario(attacks=[GIAS]), {"public/images.npy": "1" * 64}
    same = key(base, manifest(checksums=images))
    assert key(base, manifest(checksums=images | {"pairs/updates.npy": "2" * 64})) == same
    assert key(base, manifest(checksums=images, model={"kind": "mlp", "hidden": [2]}, classes=3)) == same
    assert key(base, manifest(checksums={"public/images.npy": "3" * 64})) != same
    assert key(base, manifest(checksums=images, input_shape=(1, 3, 3))) != same


def test_a_given_hidden_width_makes_the_number_of_parameters_irrelevant() -> None:
    known = manifest(checksums={"pairs/updates.npy": "1" * 64})
    given, derived = {"kind": "lti", "hidden": 8}, {"kind": "lti"}
    assert key(scenario(attacks=[given | {"parameters": 5000}]), known) == key(scenario(attacks=[given]), known)
    assert key(scenario(attacks=[derived | {"parameters": 5000}]), known) != key(scenario(attacks=[derived]), known)


def test_git_exact_does_not_use_weight_decay() -> None:
    known = manifest(checksums={"pairs/updates.npy": "1" * 64})
    first, second = (
        scenario(attacks=[{"kind": "git_exact", "training": {"epochs": 5, "weight_decay": decay}}]) for decay in (0, 1)
    )
    assert key(first, known) == key(second, known)
