"""Every kind can be described from its own schema and annotations; nothing of it is written a second time."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field

from fedleak.attacks.inversion.dlg import Dlg
from fedleak.attacks.labels.oracle import Oracle
from fedleak.attacks.latent.gias import Gias
from fedleak.client.postprocess.gaussian_noise import GaussianNoise
from fedleak.component import Component, Settings
from fedleak.families import FAMILIES, kinds
from fedleak.scenario.described import DescribedSetting, needs_of, settings_of


class _Inner(Settings):
    depth: int = Field(default=2, ge=1, le=9)
    """How deep it is, in layers."""
    kind: Literal["a", "b"] = "a"
    """Which of them."""


class _Outer(Component):
    kind: Literal["outer"] = "outer"
    size: int | None = Field(default=None, ge=4, le=1024)
    """Its ``size``
    in pixels."""
    share: float = Field(gt=0, lt=1)
    """A share."""
    rate: float = Field(default=0.5, gt=0, le=1e30)
    """A rate."""
    on: bool = False
    """Whether it is on."""
    inner: _Inner = _Inner(depth=5)
    """A block."""


def test_settings_have_defaults_bounds_and_meaning() -> None:
    assert settings_of(_Outer) == [
        DescribedSetting("size", "null", "4 to 1,024", "Its size in pixels."),
        DescribedSetting("share", "required", "above 0 to below 1", "A share."),
        DescribedSetting("rate", "0.5", "above 0", "A rate."),
        DescribedSetting("on", "false", "true, false", "Whether it is on."),
        DescribedSetting("inner", "", "", "A block."),
        DescribedSetting("inner.depth", "5", "1 to 9", "How deep it is, in layers."),
        DescribedSetting("inner.kind", "a", "a, b", "Which of them."),
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_setting_of_every_kind_is_described(family: str) -> None:
    for kind in kinds(family).values():
        described = settings_of(kind)
        own = {name for name in kind.model_fields if name != "kind"}
        assert {setting.path.split(".")[0] for setting in described} == {
            kind.model_fields[name].serialization_alias or name for name in own
        }
        assert all(setting.meaning for setting in described)
        assert len({setting.path for setting in described}) == len(described)


def test_a_block_shows_the_defaults_of_the_kind_that_holds_it() -> None:
    found = {setting.path: setting.default for setting in settings_of(Gias)}
    assert (found["distance.kind"], found["optimiser.learning_rate"]) == ("cosine", "0.03")
    assert (found["training.kind"], found["training.epochs"]) == ("vae", "30")
    assert Gias().optimiser.learning_rate == 0.03


def test_what_an_attack_needs_is_what_a_scenario_must_grant() -> None:
    for kind in kinds("attack").values():
        always = {need.name for need in needs_of(kind) if need.when == "always"}
        assert always == {capability.capability_name() for capability in kind().wanted()}  # type: ignore[attr-defined]
    assert "inferred_labels" not in {need.name for need in needs_of(Dlg) if need.when == "always"}
    by_name = {need.name: need for need in needs_of(Gias)}
    assert (by_name["public_data"].level, by_name["public_data"].when) == ("level 2", "always")
    exact = by_name["batch_statistics"]
    assert (exact.level, exact.when) == ("level 4, by name", "some settings")


def test_label_inferences_need_something_and_other_families_nothing() -> None:
    assert [need.name for need in needs_of(Oracle)] == ["true_labels"]
    assert needs_of(GaussianNoise) == []
