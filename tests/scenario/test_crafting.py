from __future__ import annotations

from typing import Any

import pytest

from fedleak.errors import InputErrors
from fedleak.models.imprinted import Imprinted
from fedleak.run_directory import federation_fingerprint
from fedleak.scenario.file import load_scenario

RAW: dict[str, Any] = {
    "name": "malicious",
    "dataset": "digits",
    "model": {"kind": "lenet", "channels": 4},
    "federation": {"clients": 3, "rounds": 2},
    "adversary": {"level": 5, "crafting": {"kind": "imprint", "bins": 16}},
    "attacks": ["imprint"],
}


def refused(*overrides: str) -> str:
    with pytest.raises(InputErrors) as error:
        load_scenario(RAW, overrides=overrides)
    return str(error.value)


def test_the_model_that_clients_get_is_declared() -> None:
    scenario = load_scenario(RAW)
    assert scenario.served_model == Imprinted(inner=scenario.model, bins=16)
    assert load_scenario(RAW, overrides=["adversary.crafting=null", "attacks=[dlg]"]).served_model == scenario.model


def test_an_honest_scenario_has_the_fingerprint_that_it_had_before_there_was_crafting() -> None:
    honest = load_scenario(RAW, overrides=["adversary.crafting=null", "attacks=[dlg]"])
    assert "crafting" not in honest.model_dump(mode="json")["adversary"]
    assert federation_fingerprint(honest) != federation_fingerprint(load_scenario(RAW))


def test_crafting_without_the_grant_is_refused() -> None:
    message = refused("adversary.level=4")
    assert "adversary.crafting: imprint" in message or "adversary.crafting" in message
    assert "it needs model_tampering (level 5), which the adversary is not granted" in message


def test_public_images_must_be_granted_too() -> None:
    message = refused("adversary.level=null", "adversary.grants=[model_tampering, shared_update, pixel_prior]")
    assert "it needs public_data (level 2)" in message


@pytest.mark.parametrize(
    ("crafting", "there"), [("null", "no crafting"), ("{kind: class_fishing}", "crafting class_fishing")]
)
def test_a_reader_without_its_crafting_is_refused(crafting: str, there: str) -> None:
    message = refused(f"adversary.crafting={crafting}")
    assert f"and the scenario has {there}: set adversary.crafting: {{kind: imprint}}" in message


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("adversary.crafting.clients=[3]", "clients are 0 to 2"),
        ("adversary.crafting.rounds=[3]", "rounds are 1 to 2"),
        ("federation.client.batch_norm=train_local", "use eval or train_shared"),
    ],
)
def test_what_does_not_fit_the_federation_is_refused(override: str, reason: str) -> None:
    assert reason in refused(override)
