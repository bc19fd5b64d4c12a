from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from fedleak.errors import InputError
from fedleak.stages.score.recorded import RecordedRun


def test_updates_are_those_that_arrived(recorded: RecordedRun) -> None:
    first, *rest = recorded.reader.manifest.rounds
    lost = first.updates[0].model_copy(update={"status": "missing"})
    changed = first.model_copy(update={"updates": (lost, *first.updates[1:])})
    assert set(recorded.updates) == {0, 1, 2, 3}
    recorded.reader.manifest = recorded.reader.manifest.model_copy(update={"rounds": (changed, *rest)})
    assert set(replace(recorded).updates) == {0, 1, 2, 3} - {lost.row}


def test_truth_of_an_update_is_that_of_its_row(recorded: RecordedRun) -> None:
    update = recorded.updates[3]
    truth = recorded.truth_of(update)
    assert truth.images.shape == (2, 1, 8, 8)
    assert torch.equal(truth.images, recorded.truth.batch(3).images)
    assert truth.places == ((update.client, 0), (update.client, 1))


def test_truth_of_a_sum_is_that_of_its_clients(recorded: RecordedRun) -> None:
    update = recorded.updates[0]
    alone = update.model_copy(update={"summed": (update.client,)})
    assert torch.equal(recorded.truth_of(alone).labels, recorded.truth_of(update).labels)


def test_without_transcript_nothing_can_be_opened(recorded: RecordedRun) -> None:
    shutil.rmtree(recorded.files.root / "transcript")
    with pytest.raises(InputError, match="transcript"):
        RecordedRun.open(recorded.scenario, recorded.files)


def test_without_truth_no_update_is_scored(recorded: RecordedRun) -> None:
    assert recorded.scored == recorded.updates
    shutil.rmtree(recorded.files.root / "truth")
    without = RecordedRun.open(recorded.scenario, recorded.files)
    assert without.updates == recorded.updates
    assert without.scored == {}
    with pytest.raises(InputError, match="it has no ground truth"):
        without.truth_of(recorded.updates[0])
