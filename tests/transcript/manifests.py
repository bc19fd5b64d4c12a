"""A manifest by hand."""

from __future__ import annotations

from typing import Any

import torch

from fedleak.transcript.layout import Layout
from fedleak.transcript.manifest import Manifest, RoundRecord, TrainingRecord, UpdateRecord


def update(row: int, **changes: Any) -> UpdateRecord:
    """Of client 1, in round ``row + 1``, on the model of the round before."""
    plain = {"row": row, "round": row + 1, "client": 1, "model_version": row, "samples": 2, "status": "ok"}
    return UpdateRecord.model_validate(plain | changes)


def manifest(**changes: Any) -> Manifest:
    """Two rounds of one victim, under a linear model of four pixels and two classes."""
    plain: dict[str, Any] = {
        "fingerprint": "by hand",
        "protocol": "fedsgd",
        "model": {"kind": "mlp", "hidden": []},
        "input_shape": (1, 2, 2),
        "classes": 2,
        "class_names": ("zero", "one"),
        "mean": (0.5,),
        "std": (0.5,),
        "parameters": Layout.of([("1.weight", torch.zeros(2, 4)), ("1.bias", torch.zeros(2))]),
        "buffers": (),
        "training": TrainingRecord(
            local_learning_rate=0.1, local_epochs=1, batch_size=1, samples=None, batch_norm="eval", postprocess=()
        ),
        "rounds": tuple(
            RoundRecord(round=number, accuracy=0.5, loss=1.0, replies=2, updates=(update(number - 1),))
            for number in (1, 2)
        ),
        "pairs": None,
        "checksums": {},
    }
    return Manifest.model_validate(plain | changes)
