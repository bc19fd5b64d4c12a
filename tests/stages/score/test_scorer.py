from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import pytest
import torch

from fedleak.metrics.base import MetricUnavailableError, PeerMetric, Peers
from fedleak.results.schema import Interval
from fedleak.stages.score.analyse import Analyses
from fedleak.stages.score.batches import LeakedBatches
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.rows import MatchedImages
from fedleak.stages.score.scorer import ImageScorer
from fedleak.stages.score.truth import Truth


def grey(*levels: float) -> torch.Tensor:
    """One 1x8x8 image of one level each."""
    return torch.tensor(levels)[:, None, None, None].expand(-1, 1, 8, 8)


def matched(run: RecordedRun) -> MatchedImages:
    """Updates 0 (round 1) and 2 (round 2) rebuilt with errors of 0.1 and 0.2, and of 0.3 and 0.4."""
    images = MatchedImages()
    truth = Truth(grey(0.0, 1.0), torch.tensor([1, 2]))
    for row, guesses in ((0, grey(0.1, 0.8)), (2, grey(0.3, 0.6))):
        images.add_update(attack="a", kind="dlg", update=run.updates[row], images=guesses, truth=truth)
    return images


def test_means_over_all_images_and_over_each_round_by_hand(recorded: RecordedRun, scorer: ImageScorer) -> None:
    scores = scorer.score(matched(recorded))
    assert [row.metrics["mse"] for row in scores.rows] == pytest.approx([0.01, 0.04, 0.09, 0.16])
    assert scores.metrics["mse"].mean == pytest.approx(0.075)
    assert [(r.round, r.metrics["mse"].mean) for r in scores.rounds] == [
        (1, pytest.approx(0.025)),
        (2, pytest.approx(0.125)),
    ]
    assert list(scores.metrics) == ["mse"]


def test_pictures_lie_in_the_folder_of_the_run(recorded: RecordedRun, scorer: ImageScorer) -> None:
    scores = scorer.score(matched(recorded), compared=True)
    folder: Path = recorded.files.root / "pictures"
    assert [picture.rank for picture in scores.pictures] == ["best", "best", "median", "worst"]
    assert [picture.rank for picture in scores.compared] == ["first"] * 4
    assert {p.reconstruction for p in (*scores.pictures, *scores.compared)} <= {p.name for p in folder.iterdir()}


def test_pictures_to_compare_are_kept_where_asked_for(recorded: RecordedRun, scorer: ImageScorer) -> None:
    assert scorer.score(matched(recorded)).compared == ()


def test_without_images_there_is_nothing(scorer: ImageScorer) -> None:
    scores = scorer.score(MatchedImages())
    assert (scores.rows, scores.metrics, scores.rounds, scores.pictures) == ((), {}, (), ())


class PeerCount(PeerMetric):
    """How many peers there are; counts how often it was asked."""

    kind: Literal["peer_count"] = "peer_count"
    higher_is_better: ClassVar[bool] = True

    def evaluate_among(self, reconstruction: torch.Tensor, truth: torch.Tensor, peers: Peers) -> torch.Tensor:
        return torch.full((len(truth),), float(len(peers.images)))


class Refusing(PeerCount):
    """Never to be had."""

    kind: Literal["refusing"] = "refusing"  # type: ignore[assignment]

    def evaluate_among(self, reconstruction: torch.Tensor, truth: torch.Tensor, peers: Peers) -> torch.Tensor:
        raise MetricUnavailableError("no weights")


class Chosen:
    """A scenario's block of metrics with metrics of the test's own."""

    def __init__(self, *metrics: PeerMetric) -> None:
        self._metrics = metrics

    def enabled(self) -> tuple[PeerMetric, ...]:
        return self._metrics


def scorer_with(run: RecordedRun, *metrics: PeerMetric) -> ImageScorer:
    chosen = run.scenario.model_copy(update={"metrics": Chosen(*metrics)})
    changed = RecordedRun(chosen, run.files, run.reader, run.truth)
    return ImageScorer(changed, Analyses(changed, LeakedBatches(changed)))


def test_peers_are_the_images_of_all_clients(recorded: RecordedRun) -> None:
    scores = scorer_with(recorded, PeerCount()).score(matched(recorded))
    held = len(recorded.truth.peers().images)
    assert held > 4
    assert scores.metrics["peer_count"] == Interval(mean=held)  # of fewer than five images


def test_a_metric_that_cannot_be_had_is_noted(recorded: RecordedRun) -> None:
    scorer = scorer_with(recorded, Refusing(), PeerCount())
    scores = scorer.score(matched(recorded))
    assert scorer.unavailable == {"refusing": "no weights"}
    assert {row.metrics["refusing"] for row in scores.rows} == {None}
    assert set(scores.metrics) == {"peer_count"}
