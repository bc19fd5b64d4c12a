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


@pytest.mark.parametrize("folder", ["transcript", "truth"])
def test_without_transcript_or_truth_nothing_can_be_scored(recorded: RecordedRun, folder: str) -> None:
    shutil.rmtree(recorded.files.root / folder)
    with pytest.raises(InputError, match=folder):
        RecordedRun.open(recorded.scenario, recorded.files)
