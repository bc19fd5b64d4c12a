"""The table of contents: what it says, how it is written, and what is refused."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fedleak.errors import InputError
from fedleak.transcript.manifest import (
    MANIFEST,
    Manifest,
    PairsRecord,
    PrivacyRecord,
    UpdateRecord,
    digest_of,
    file_digest,
    load_manifest,
)
from tests.transcript.manifests import manifest, update


def written(folder: Path, found: Manifest, **changes: Any) -> Path:
    """A folder with the manifest, some of it changed."""
    raw = json.loads(found.model_dump_json()) | changes
    (folder / MANIFEST).write_text(json.dumps(raw))
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = manifest(
        pairs=PairsRecord(count=4, images_per_pair=2, model_versions=(0, 1), postprocessed=False),
        privacy=PrivacyRecord(epsilon=math.inf, delta=1e-5, noise_multiplier=0.0, max_norm=1.0),
        task={"kind": "regression", "tolerance": 0.1},
        checksums={"updates.npy": "0" * 64},
    )
    read = load_manifest(written(tmp_path, found))
    assert read == found
    assert read.privacy is not None
    assert read.privacy.epsilon == math.inf


def test_updates_are_those_of_all_rounds() -> None:
    assert [record.row for record in manifest().updates] == [0, 1]


def test_the_usual_task_is_not_written(tmp_path: Path) -> None:
    """Transcripts from before there were others stay as they are."""
    assert "task" not in json.loads(manifest().model_dump_json())
    assert load_manifest(written(tmp_path, manifest())).task == {"kind": "classification"}
    other = {"kind": "regression", "tolerance": 0.1}
    assert json.loads(manifest(task=other).model_dump_json())["task"] == other


def test_whose_images_are_behind_an_update() -> None:
    assert update(0, client=3).clients == (3,)
    assert update(0, client=1, summed=(1, 2, 5)).clients == (1, 2, 5)


@pytest.mark.parametrize(("number", "version"), [(1, 0), (5, 4), (0, 0)])
def test_the_current_version_is_that_of_the_broadcast(number: int, version: int) -> None:
    assert update(0, round=number, model_version=0).current_version == version


@pytest.mark.parametrize("change", [{"client": -1}, {"status": "late"}, {"bytes": -1}, {"size": 3}, {"samples": 1.5}])
def test_an_update_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        update(0, **change)


def test_what_is_left_out_of_an_update_is_unknown() -> None:
    bare = UpdateRecord(row=0, round=1, client=0, model_version=0, status="missing")
    assert (bare.samples, bare.bytes, bare.true_labels, bare.mini_batches) == (None, None, None, None)
    assert (bare.summed, bare.reason) == ((), "")


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert file_digest(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_the_digest_of_a_value_does_not_depend_on_the_order_of_its_keys() -> None:
    value = {"a": [1, 2.5, None], "b": {"c": "ä", "d": True}}
    turned = {"b": {"d": True, "c": "ä"}, "a": [1, 2.5, None]}
    assert digest_of(value) == digest_of(turned)
    assert digest_of(value) != digest_of(value | {"a": [2.5, 1, None]})
    assert digest_of([1]) == hashlib.sha256(b"[1]").hexdigest()


@pytest.mark.parametrize(
    ("changes", "where", "reason"),
    [
        ({"format": "other"}, "transcript", "expected format 'fedleak-transcript', version 1"),
        ({"version": 2}, "transcript", "expected format 'fedleak-transcript', version 1"),
        ({"classes": "many"}, "transcript.classes", "valid integer"),
        ({"surprise": 1}, "transcript.surprise", "not permitted"),
        ({"rounds": [{"round": 1}]}, "transcript.rounds.0.accuracy", "Field required"),
        ({"protocol": "fedprox"}, "transcript.protocol", "'fedsgd' or 'fedavg'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], where: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        load_manifest(written(tmp_path, manifest(), **changes))
    assert caught.value.path == where


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null", b"[1]"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(InputError, match=r"not a readable manifest|expected format"):
        load_manifest(tmp_path)


def test_no_manifest_is_no_finished_transcript(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it contains no finished transcript"):
        load_manifest(tmp_path)
