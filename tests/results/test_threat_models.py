from __future__ import annotations

from itertools import pairwise

import pytest

from fedleak.results.threat_models import MODELS, threat_model
from fedleak.threat import CAPABILITIES

LEVELS = {name: capability.level for name, capability in CAPABILITIES.items()}
PASSIVE = ("shared_update", "model_architecture", "global_model", "inferred_labels")


@pytest.mark.parametrize(
    ("more", "level", "letter"),
    [
        ((), 0, "A"),
        (("pixel_prior",), 1, "B"),
        (("pixel_prior", "training_details"), 3, "C"),
        (("post_processing_details",), 3, "C"),
        (("pixel_prior", "public_data"), 2, "D"),
        (("pixel_prior", "batch_statistics"), 4, "E"),
    ],
)
def test_a_passive_adversary_by_hand(more: tuple[str, ...], level: int, letter: str) -> None:
    """The rows of the table of Carletti et al.: each letter is the first that has all that was used."""
    found = threat_model((*PASSIVE, *more), LEVELS)
    assert (found.level, found.letter, found.beyond) == (level, letter, ())
    assert found.adversary == "a passive server that sees single updates"


def test_who_injects_is_beyond_all_of_their_models() -> None:
    found = threat_model(("shared_update", "injected_pairs"), LEVELS)
    assert (found.level, found.letter) == (5, "D")
    assert found.text == "level 5; D (data-enhanced eavesdropper), and injects data through one client"
    assert found.adversary == "a server that injects its own images through one client"


def test_true_labels_are_named_as_such() -> None:
    assert threat_model((*PASSIVE, "true_labels"), LEVELS).beyond == ("is given the true labels",)


@pytest.mark.parametrize(("more", "letter"), [((), "F"), (("public_data",), "G"), (("batch_statistics",), "G")])
def test_a_server_that_crafts_models_manipulates(more: tuple[str, ...], letter: str) -> None:
    assert threat_model((*PASSIVE, *more), LEVELS, crafted=True).letter == letter
    reader = threat_model((*PASSIVE, *more, "model_tampering"), LEVELS)
    assert (reader.level, reader.letter, reader.beyond) == (5, letter, ())
    assert reader.adversary == "a malicious server that crafts the model"


def test_each_passive_model_knows_all_that_weaker_ones_do() -> None:
    passive = [MODELS[letter][1] for letter in "ABCDE"]
    assert all(weak < strong for weak, strong in pairwise(passive))


def test_every_capability_that_can_be_granted_has_a_place() -> None:
    """A new capability has to be entered, or stay with what every model has."""
    everywhere = {"shared_update", "model_architecture", "global_model", "true_labels"}
    placed = {name for name in CAPABILITIES if threat_model((name,), LEVELS).letter != "A"}
    grantable = {name for name, level in LEVELS.items() if level is not None}
    assert grantable == placed | everywhere
