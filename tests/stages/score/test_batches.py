from __future__ import annotations

import torch

from fedleak.stages.score.batches import LeakedBatches
from fedleak.stages.score.recorded import RecordedRun


def test_a_batch_is_the_truth_at_the_model_of_its_update(recorded: RecordedRun) -> None:
    batches = LeakedBatches(recorded)
    updates = list(recorded.updates.values())
    assert {update.model_version for update in updates} == {0, 1}
    for update in updates:
        leaked, truth = batches.of(update), recorded.truth_of(update)
        assert torch.equal(leaked.images, truth.images)
        assert torch.equal(leaked.labels, truth.labels)
        assert leaked.places == truth.places
        state, expected = leaked.module.state_dict(), recorded.reader.model(update.model_version)
        assert all(torch.equal(state[name], expected[name]) for name in expected)
        assert not leaked.module.training
        assert (leaked.mean, leaked.std) == (recorded.reader.manifest.mean, recorded.reader.manifest.std)
