"""Healthy inputs that are mutated: shipped scenarios, a small scenario, a small study, and what they leave on disk."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fedleak.scenario.shipped import shipped_scenarios

SMALL: dict[str, Any] = {
    "name": "small",
    "dataset": {"kind": "synthetic", "size": 8, "images": 60, "seed": 1},
    "model": {"kind": "mlp", "hidden": [4]},
    "federation": {"clients": 2, "rounds": 1, "engine": {"kind": "serial"}, "client": {"batch_size": 1}},
    "adversary": {"level": 5, "public_images": 20, "injection": {"pairs": 20, "rounds": [1]}},
    "attacks": ["linear_layer", {"kind": "lti", "hidden": 4, "training": {"epochs": 1}}],
    "metrics": {"lpips": None, "ssim": None},
    "threads": 1,
    "bootstrap_resamples": 100,
    "budgets": {"more": {"federation.rounds": 2}},
}
"""A run of it takes about a second."""

STUDY: dict[str, Any] = SMALL | {
    "name": "small-study",
    "attacks": ["linear_layer"],
    "matrix": {"defense": {"none": {}, "sign": {"federation.client.postprocess": ["sign_sgd"]}}},
    "claims": [
        {
            "says": "Signs stop it.",
            "less": {"metric": "psnr", "left": {"defense": "sign"}, "right": {"defense": "none"}},
        }
    ],
    "figure": {"metric": "mse", "along": "defense"},
    "budgets": {"more": {"seeds": [0, 1]}},
}
"""Two cells."""


def text_of(tree: object) -> str:
    """YAML of a tree, with every character that YAML can write."""
    return yaml.dump(tree, Dumper=yaml.SafeDumper, sort_keys=False)


def flow_text(value: object) -> str:
    """YAML of a value in one line."""
    return (
        yaml.dump(value, Dumper=yaml.SafeDumper, default_flow_style=True, width=10**9)
        .removesuffix("\n...\n")
        .strip("\n")
    )


def write(folder: Path, tree: object, name: str = "case.yaml") -> Path:
    """A tree as a YAML file."""
    path = folder / name
    path.write_text(text_of(tree))
    return path


@cache
def shipped_texts() -> tuple[str, ...]:
    """The shipped scenarios and studies, as they are written."""
    return tuple(path.read_text(encoding="utf-8") for path in shipped_scenarios().values())


@cache
def shipped_trees() -> tuple[Any, ...]:
    """The same, parsed. Do not change them."""
    return tuple(yaml.safe_load(text) for text in shipped_texts())
