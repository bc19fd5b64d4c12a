"""Every mistake is found in a real scenario or a real run, and not where it was not made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedleak.doctor.examination import examine
from fedleak.run_directory import RunDirectory
from fedleak.transcript.manifest import MANIFEST, file_digest, load_manifest
from fedleak.transcript.rows import RowFile
from tests.scenarios import run_federation, scenario, write_scenario

LIGHT: dict[str, Any] = {"adversary": {"level": 3, "public_images": 60}}
INVERTING = {"kind": "inverting_gradients", "iterations": 1, "compile": "never"}
DLG = {"kind": "dlg", "iterations": 1}
MIN_RULE = {"level": 1, "label_inference": "min_rule"}
EXPECTING = {"level": 3, "label_inference": {"kind": "calibrated_counts", "train_mode": True}}
CONVNET = {"kind": "convnet", "widths": [4]}
NORMED = {"model": CONVNET, "attacks": [INVERTING], **LIGHT}


def fedavg(attack: dict[str, Any], **client: Any) -> dict[str, Any]:
    return {"federation__client": {"protocol": "fedavg", "samples": 4} | client, "attacks": [attack], **LIGHT}


def found(path: Path) -> dict[str, str]:
    """Check -> its worst severity."""
    return {finding.check: finding.severity for finding in reversed(examine(path))}


MISTAKES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ungranted": ("settings", "error", {"adversary": {"level": 0}}),
    "unknown key": ("settings", "error", {"federation__cleints": 3}),
    "no data": ("settings", "error", {"dataset": {"kind": "image_folder", "root": "no/such/folder"}}),
    "clients in train mode": ("train_mode", "warning", NORMED | {"federation__client": {"batch_norm": "train_shared"}}),
    "attack in train mode": ("train_mode", "warning", NORMED | {"attacks": [INVERTING | {"train_mode": True}]}),
    "label inference in train mode": (
        "train_mode",
        "warning",
        NORMED | {"adversary": EXPECTING},
    ),
    "drift": ("local_drift", "warning", NORMED | {"federation__client": {"drift": {"images": 2, "epochs": 1}}}),
    "dropout": (
        "dropout",
        "warning",
        NORMED
        | {
            "model": CONVNET | {"dropout": 0.3},
            "federation__client": {"batch_norm": "train_shared"},
            "attacks": [INVERTING | {"train_mode": True}],
        },
    ),
    "local buffers": ("local_buffers", "warning", NORMED | {"federation__client": {"batch_norm": "train_local"}}),
    "no bias": (
        "last_bias",
        "error",
        {"model": {"kind": "lenet", "last_bias": False}, "adversary__label_inference": "ilrg"},
    ),
    "no bias, greedy": (
        "last_bias",
        "warning",
        {"model": {"kind": "lenet", "last_bias": False}, "adversary__label_inference": "greedy_bias"},
    ),
    "more images than classes": (
        "repeats",
        "error",
        {"federation__client": {"batch_size": 12}, "adversary": MIN_RULE, "attacks": [INVERTING]},
    ),
    "probable repeats": (
        "repeats",
        "warning",
        {"federation__client": {"batch_size": 6}, "adversary": MIN_RULE, "attacks": [INVERTING]},
    ),
    "rate unknown": ("local_rate", "error", fedavg(DLG)),
    "one step assumed": ("local_rate", "warning", fedavg(INVERTING, local_epochs=3)),
    "rate mistaken": ("local_rate", "warning", fedavg(INVERTING | {"local_training": {"learning_rate": 0.5}})),
    "mini-batches mistaken": (
        "local_rate",
        "warning",
        fedavg(INVERTING | {"local_training": {"learning_rate": 0.01}}, batch_size=2),
    ),
    "momentum overlooked": (
        "local_rate",
        "warning",
        fedavg(INVERTING | {"local_training": {"learning_rate": 0.01}}, batch_size=4, local_sgd={"momentum": 0.9}),
    ),
    "optimizer overlooked": (
        "local_rate",
        "warning",
        fedavg(INVERTING | {"local_training": {"learning_rate": 0.01}}, batch_size=4, local_optimizer="adam"),
    ),
    "proximal term overlooked": (
        "local_rate",
        "warning",
        fedavg(INVERTING | {"local_training": {"learning_rate": 0.01}}, batch_size=4, proximal_mu=0.1),
    ),
    "no gpu": ("device", "error", {"device": "cuda:63"}),
    "no lpips weights": ("lpips_weights", "warning", {"metrics": {"lpips": {"backbone": "no/such/file.pth"}}}),
    "few pairs": ("pairs", "warning", {}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(tmp_path: Path, mistake: str) -> None:
    check, severity, changes = MISTAKES[mistake]
    assert found(write_scenario(tmp_path, **changes)).get(check) == severity


@pytest.mark.parametrize(
    "changes",
    [
        {"attacks": [INVERTING], **LIGHT},
        NORMED,
        NORMED
        | {
            "federation__client": {"batch_norm": "train_shared"},
            "attacks": [INVERTING | {"train_mode": True}],
            "adversary": EXPECTING,
        },
        fedavg(INVERTING | {"local_training": {"learning_rate": 0.01}}, batch_size=4),
        fedavg(INVERTING | {"local_training": {"learning_rate": [0.01, 0.1], "batch_size": [2, 4]}}, batch_size=2),
        fedavg({"kind": "inverting_averaging", "iterations": 1}),
        {"attacks": [INVERTING], "adversary": MIN_RULE},
    ],
)
def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert found(write_scenario(tmp_path, **changes)) == {}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A real run of a federation, ready to be spoilt."""
    return run_federation(tmp_path / "run", scenario(attacks=[INVERTING], **LIGHT))


def rewrite(run: RunDirectory, change: Any) -> None:
    """Change every update on disk, and the checksum with it."""
    file, manifest = run.transcript / "updates.npy", load_manifest(run.transcript)
    rows = RowFile(file, writable=True)
    rows.write(0, change(rows.read(np.arange(len(rows)))).astype(np.float32))
    sums = manifest.checksums | {"updates.npy": file_digest(file)}
    (run.transcript / MANIFEST).write_text(manifest.model_copy(update={"checksums": sums}).model_dump_json())


def test_a_sound_run_has_no_findings(run: RunDirectory) -> None:
    assert found(run.root) == {}


SPOILS: dict[str, tuple[str, Any]] = {
    "turned": ("delta_sign", lambda rows: -rows),
    "zero": ("update_values", np.zeros_like),
    "infinite": ("update_values", lambda rows: rows + np.inf),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_spoilt_updates_are_found(run: RunDirectory, spoil: str) -> None:
    check, change = SPOILS[spoil]
    rewrite(run, change)
    assert found(run.root) == {check: "error"}


def test_turned_weight_deltas_are_found(tmp_path: Path) -> None:
    client = {"protocol": "fedavg", "samples": 2, "batch_size": 2}
    one = INVERTING | {"local_training": {"learning_rate": 0.01}}
    run = run_federation(tmp_path / "run", scenario(attacks=[one], federation__client=client, **LIGHT))
    assert found(run.root) == {}
    rewrite(run, lambda rows: -rows)
    assert found(run.root) == {"delta_sign": "error"}


def test_a_layer_that_never_moves_is_found(run: RunDirectory) -> None:
    size = load_manifest(run.transcript).parameters.slots[0].size
    rewrite(run, lambda rows: np.where(np.arange(rows.shape[1]) < size, 0, rows))
    assert found(run.root) == {"update_values": "warning"}


def test_lost_updates_and_failed_attacks_are_found(tmp_path: Path) -> None:
    import fedleak
    from tests.scenarios import tiny

    faults = [{"round": 1, "client": 1, "mode": "nan"}]
    attacks = [{"kind": "linear_layer"}, {"kind": "r_gap", "most_unknowns": 1}]
    fedleak.run(tiny(attacks=attacks, federation__faults=faults, **LIGHT), out=tmp_path / "run")
    assert found(tmp_path / "run") == {"lost_updates": "warning", "failed_attacks": "error", "evidence": "warning"}


def test_a_model_that_does_not_fit_is_found(run: RunDirectory) -> None:
    from safetensors.torch import load_file, save_file

    manifest = load_manifest(run.transcript)
    name = next(name for name in manifest.checksums if name.startswith("models/"))
    file = run.transcript / name
    save_file(load_file(file) | {"running_mean": torch.zeros(3)}, file)
    sums = manifest.checksums | {name: file_digest(file)}
    (run.transcript / MANIFEST).write_text(manifest.model_copy(update={"checksums": sums}).model_dump_json())
    assert found(run.root) == {"local_buffers": "error"}


def test_raw_pixels_are_found(run: RunDirectory) -> None:
    manifest = load_manifest(run.transcript)
    raw = manifest.model_copy(update={"mean": (0.0,), "std": (1.0,)})
    (run.transcript / MANIFEST).write_text(raw.model_dump_json())
    assert found(run.root) == {"pixel_normalisation": "warning"}
