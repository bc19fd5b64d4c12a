"""Manifests that contradict themselves: each is refused with its path, before anything is sized by it."""

from __future__ import annotations

import copy
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from fedleak.errors import InputError
from fedleak.records import LARGEST_JSON
from fedleak.transcript.manifest import MANIFEST, PairsRecord, PrivacyRecord, load_manifest
from tests.transcript.manifests import manifest

PAIRS = PairsRecord(count=4, images_per_pair=2, model_versions=(0, 1))
PRIVACY = PrivacyRecord(epsilon=1.0, delta=1e-5, noise_multiplier=1.0, max_norm=1.0)
HUGE = 10**9
CASES: list[tuple[str, Any, str]] = [
    ("classes", 0, "greater than or equal to 1"),
    ("classes", -1, "greater than or equal to 1"),
    ("classes", HUGE, "class_names holds 2 names"),
    ("classes", 10**12, "less than or equal to"),
    ("classes", True, "valid integer"),
    ("classes", 2.0, "valid integer"),
    ("class_names", ["zero"], "class_names holds 1 names"),
    ("input_shape", [0, 2, 2], "greater than or equal to 1"),
    ("input_shape", [1, 2], "no known kind"),
    ("input_shape", [1, HUGE, HUGE], "values of one image"),
    ("mean", [], "one value for each of 1 channels"),
    ("mean", ["NaN"], "valid number"),
    ("std", [0.0], "greater than 0"),
    ("std", [-1.0], "greater than 0"),
    ("std", ["Infinity"], "valid number"),
    ("parameters.slots", [], "at least one value"),
    ("parameters.slots.1.start", 7, "expected 8"),
    ("parameters.slots.1.start", 9, "expected 8"),
    ("parameters.slots.0.shape", [2, -4], "greater than or equal to 0"),
    ("parameters.slots.0.shape", [2, HUGE], "expected 2000000000"),
    ("parameters.slots.0.shape", [1] * 100, "at most 32 items"),
    ("parameters.slots.1.name", "1.weight", "have this name"),
    ("buffers", ["1.weight"], "have this name"),
    ("training.local_learning_rate", "NaN", "valid number"),
    ("training.local_learning_rate", 0, "greater than 0"),
    ("training.local_epochs", 0, "greater than or equal to 1"),
    ("training.local_epochs", HUGE, "steps of SGD"),
    ("training.batch_size", 0, "greater than or equal to 1"),
    ("training.batch_size", -3, "greater than or equal to 1"),
    ("rounds.1.round", 1, "rounds count from 1"),
    ("rounds.0.round", 0, "rounds count from 1"),
    ("rounds.0.updates.0.round", 5, "listed in round 1"),
    ("rounds.1.updates.0.row", 0, "two updates have this row"),
    ("rounds.1.updates.0.row", HUGE, "in rows 0 to 1"),
    ("rounds.1.updates.0.row", True, "valid integer"),
    ("rounds.0.updates.0.client", -1, "greater than or equal to 0"),
    ("rounds.0.updates.0.samples", HUGE, "at most"),
    ("rounds.0.updates.0.model_version", 1, "the version broadcast in round 1"),
    ("rounds.0.updates.0.summed", [1, 1], "in the sum twice"),
    ("rounds.0.updates.0.true_labels", [0, 2], "labels are 0 to 1"),
    ("rounds.0.updates.0.true_labels", [0], "one label for each of 2 samples"),
    ("rounds.0.updates.0.mini_batches", [[0], [2]], "images are 0 to 1"),
    ("rounds.0.updates.0.mini_batches", [[0], []], "a mini-batch is empty"),
    ("pairs.count", 0, "greater than or equal to 1"),
    ("pairs.count", 1, "pairs.count is 1"),
    ("privacy.epsilon", "NaN", "greater than or equal to 0"),
    ("privacy.epsilon", -1, "greater than or equal to 0"),
    ("privacy.delta", 2, "less than or equal to 1"),
    ("privacy.max_norm", 0, "greater than 0"),
    ("checksums", {"updates.npy": "abc"}, "match pattern"),
]


def raw() -> dict[str, Any]:
    """A manifest that is sound, as JSON."""
    value: dict[str, Any] = json.loads(manifest(pairs=PAIRS, privacy=PRIVACY).model_dump_json())
    return value


def changed(place: str, value: Any) -> dict[str, Any]:
    """The manifest with one value replaced."""
    found = copy.deepcopy(raw())
    *parents, last = [int(part) if part.isdecimal() else part for part in place.split(".")]
    node: Any = found
    for part in parents:
        node = node[part]
    node[last] = value
    return found


def test_the_manifest_that_is_changed_is_sound(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps(raw()))
    assert load_manifest(tmp_path).classes == 2


@pytest.mark.parametrize(("place", "value", "words"), CASES, ids=[f"{c[0]}={str(c[1])[:20]}" for c in CASES])
def test_what_cannot_be_is_refused_at_once(tmp_path: Path, place: str, value: Any, words: str) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps(changed(place, value)))
    tracemalloc.start()
    begun = time.monotonic()
    with pytest.raises(InputError, match=words) as caught:
        load_manifest(tmp_path)
    assert time.monotonic() - begun < 5
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()
    assert caught.value.path.startswith("transcript.")
    assert str(tmp_path / MANIFEST) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"format": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"version": 1, "version": 1}', "'version' is there twice"),
        (b'{"classes": ' + b"9" * 5000 + b"}", "not a readable manifest"),
        (b'{"format": "\xff"}', "not a readable manifest"),
    ],
)
def test_json_that_is_hostile_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(InputError, match=words):
        load_manifest(tmp_path)


def test_a_manifest_larger_than_any_honest_one_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / MANIFEST).open("wb") as file:
        file.truncate(LARGEST_JSON + 1)
    with pytest.raises(InputError, match="at most 67,108,864 are read"):
        load_manifest(tmp_path)


def test_a_folder_or_pipe_in_place_of_the_manifest_is_refused(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / MANIFEST)
    with pytest.raises(InputError, match="it is no regular file"):
        load_manifest(tmp_path)
