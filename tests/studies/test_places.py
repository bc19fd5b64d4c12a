"""Paths and addresses leave no trace in a ledger."""

from __future__ import annotations

import json

from fedleak.studies.places import without_places


def test_paths_and_addresses_are_replaced() -> None:
    settings = {
        "dataset": {"root": "/home/someone/cifar", "mean": 0.5},
        "matrix": {"dataset.root": ["~/a b", "/home/someone/cifar", "C:\\data"]},
        "federation": {"engine": {"kind": "ray", "address": "node7.example:6379"}},
        "description": "from (/mnt/images/x.png) and/or 3 / 4 of https://example.org/a",
    }
    found = without_places(settings)
    assert found["dataset"] == {"root": "<path 1>", "mean": 0.5}
    assert found["matrix"] == {"dataset.root": ["<path 2>", "<path 1>", "<path 3>"]}
    assert "node7" not in json.dumps(found)
    assert found["description"] == "from (<path 5>) and/or 3 / 4 of https://example.org/a"
