from __future__ import annotations

import pytest
import torch

from fedleak.progress import QuietProgress
from fedleak.stages.score.baselines import (
    BASELINES,
    PublicImages,
    mean_image,
    nearest_class,
    random_image,
    score_baselines,
)
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.scorer import ImageScorer
from fedleak.stages.score.truth import Truth


def flat(*levels: float) -> torch.Tensor:
    """One 1x2x2 image of one colour for each level."""
    return torch.tensor(levels)[:, None, None, None].expand(-1, 1, 2, 2)


PUBLIC = PublicImages(flat(0.0, 0.2, 0.6, 1.0), torch.tensor([0, 0, 1, 1]))
TRUTH = Truth(flat(0.9, 0.15), torch.tensor([0, 1]))


def test_names_are_those_of_the_results() -> None:
    assert list(BASELINES) == ["baseline_mean_image", "baseline_nearest_class", "baseline_random_image"]


@pytest.mark.parametrize("name", list(BASELINES))
def test_every_baseline_has_the_shape_of_the_truth(name: str, generator: torch.Generator) -> None:
    assert BASELINES[name](PUBLIC, TRUTH, generator).shape == TRUTH.images.shape


def test_mean_image_is_the_mean_of_the_public_images(generator: torch.Generator) -> None:
    torch.testing.assert_close(mean_image(PUBLIC, TRUTH, generator), flat(0.45, 0.45))


def test_nearest_class_stays_within_the_class(generator: torch.Generator) -> None:
    """0.9 of class 0: nearest of 0.0 and 0.2; 0.15 of class 1: nearest of 0.6 and 1.0."""
    torch.testing.assert_close(nearest_class(PUBLIC, TRUTH, generator), flat(0.2, 0.6))


def test_nearest_class_falls_back_to_all_images_for_an_unseen_class(generator: torch.Generator) -> None:
    unseen = Truth(flat(0.9), torch.tensor([7]))
    torch.testing.assert_close(nearest_class(PUBLIC, unseen, generator), flat(1.0))


def test_random_images_are_public_ones_and_follow_the_generator() -> None:
    truth = Truth(flat(*[0.5] * 200), torch.zeros(200, dtype=torch.int64))
    draws = [random_image(PUBLIC, truth, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert draws[0].unique().tolist() == pytest.approx([0.0, 0.2, 0.6, 1.0])


def test_mean_and_random_image_do_not_look_at_the_truth() -> None:
    other = Truth(1 - TRUTH.images, 1 - TRUTH.labels)
    for guess in (mean_image, random_image):
        first, second = (guess(PUBLIC, t, torch.Generator().manual_seed(0)) for t in (TRUTH, other))
        assert torch.equal(first, second)


def test_scores_of_the_mean_image_by_a_naive_reference(recorded: RecordedRun, scorer: ImageScorer) -> None:
    found = score_baselines(recorded, scorer=scorer, bar=QuietProgress().task("", 3))
    assert [scores.summary.attack for scores in found] == list(BASELINES)
    images, _ = recorded.reader.public()
    guess = (images / 255).mean(axis=0)
    truths = [recorded.truth_of(update).images.numpy() for update in recorded.updates.values()]
    expected = [float(((guess - image) ** 2).mean()) for truth in truths for image in truth]
    assert [row.metrics["mse"] for row in found[0].rows] == pytest.approx(expected)
    summary = found[0].summary
    assert summary.metrics["mse"].mean == pytest.approx(sum(expected) / 8)
    assert (summary.is_baseline, summary.is_theory, summary.images, summary.compared) == (True, False, 8, ())
    assert summary.description.startswith("The mean public image: ")


def test_an_adversary_without_images_has_no_baselines(recorded: RecordedRun, scorer: ImageScorer) -> None:
    manifest = recorded.reader.manifest
    private = {name: digest for name, digest in manifest.checksums.items() if not name.startswith("public/")}
    recorded.reader.manifest = manifest.model_copy(update={"checksums": private})
    assert score_baselines(recorded, scorer=scorer, bar=QuietProgress().task("", 3)) == []
