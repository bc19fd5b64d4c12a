from __future__ import annotations

import pytest

from fedleak.results.settings import flat_settings

SCENARIO = {
    "name": "s",
    "dataset": {"kind": "digits", "size": None},
    "attacks": [{"kind": "lti", "hidden": 300}, {"kind": "lti", "id": "wide", "hidden": 600}],
    "federation": {"clients": 3, "sizes": [1, 2]},
}


def test_every_setting_has_its_path_and_entries_of_lists_go_by_id_or_kind() -> None:
    assert dict(flat_settings(SCENARIO)) == {
        "name": "s",
        "dataset.kind": "digits",
        "dataset.size": None,
        "attacks.lti.kind": "lti",
        "attacks.lti.hidden": 300,
        "attacks.wide.kind": "lti",
        "attacks.wide.id": "wide",
        "attacks.wide.hidden": 600,
        "federation.clients": 3,
        "federation.sizes": "[1, 2]",
    }


def test_items_without_a_name_go_by_their_place() -> None:
    assert list(flat_settings({"steps": [{"rate": 0.1}, {"rate": 0.2}]})) == [
        ("steps.0.rate", 0.1),
        ("steps.1.rate", 0.2),
    ]


@pytest.mark.parametrize("empty", [{}, {"a": {}}])
def test_empty_blocks_have_no_settings(empty: dict[str, object]) -> None:
    assert list(flat_settings(empty)) == []
