from __future__ import annotations

import re

import pytest

from fedleak.cli.kind_page import kind_page, named_kind
from fedleak.cli.kinds import EVERY_FAMILY, kinds_of
from fedleak.errors import InputError
from tests.scenarios import command


def test_an_attack_shows_what_it_is_what_it_must_know_and_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    shown = command(capsys, "list", "attacks", "gias").out
    assert "attack gias" in shown
    assert "(Jeon et al. 2021, arXiv 2110.14962)" in shown
    assert re.search(r"public_data +level 2 +always +The adversary's own images", shown)
    assert re.search(r"training_details +level 3 +some settings", shown)
    assert re.search(r"weight_iterations +6000 +0 to 10,000,000 +Steps of the search in the generator's weights", shown)
    assert re.search(r"distance\.kind +cosine", shown)
    assert "``" not in shown


@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_every_kind_has_a_page(family: str) -> None:
    for name, kind in kinds_of(family).items():
        assert named_kind(family, name) is kind
        assert len(list(kind_page(family, kind))) >= 2


def test_an_unknown_kind_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = command(capsys, "list", "attack", "gais")
    assert outcome.code == 2
    assert outcome.errors[0].startswith("KIND: got 'gais'; did you mean 'gias'? the kinds of attack: agic, april, ")
    with pytest.raises(InputError, match="capabilities have no settings"):
        named_kind("capability", "global_model")
