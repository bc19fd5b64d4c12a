from __future__ import annotations

import pytest

from fedleak.cli.kinds import EVERY_FAMILY, kinds_of, named_family
from fedleak.errors import InputError
from fedleak.families import FAMILIES


def test_claims_and_trackers_stand_beside_the_families_of_scenarios() -> None:
    assert set(EVERY_FAMILY) - set(FAMILIES) == {"claim", "tracker"}
    assert set(kinds_of("claim")) == {"at_least", "correlates", "less", "monotone", "within"}
    assert set(kinds_of("tracker")) == {"mlflow", "tensorboard", "wandb"}


@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_every_kind_says_what_it_is(family: str) -> None:
    kinds = kinds_of(family)
    assert kinds
    assert list(kinds) == sorted(kinds)
    assert all(component.summary() for component in kinds.values())


def test_a_family_may_be_named_in_the_plural() -> None:
    plurals = ["attacks", "analyses", "theories", "postprocesses", "Label-Inferences", "capabilities", "metrics"]
    expected = ["attack", "analysis", "theory", "postprocess", "label_inference", "capability", "metric"]
    assert [named_family(name) for name in plurals] == expected
    assert all(named_family(family) == family for family in EVERY_FAMILY)
    with pytest.raises(InputError, match="got 'atack'; did you mean 'attack'"):
        named_family("atack")
