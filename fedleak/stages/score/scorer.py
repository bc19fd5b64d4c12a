"""Scoring of images, shared by attacks, baselines and theorems."""

from __future__ import annotations

from dataclasses import dataclass

from fedleak.examples import kind_of
from fedleak.metrics.base import PeerMetric, Peers
from fedleak.results.schema import PICTURES, AttackSummary, Interval, Picture, ResultRow, RoundSummary
from fedleak.stages.score.analyse import Analyses
from fedleak.stages.score.pictures import save_compared, save_pictures
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.rows import MatchedImages, evaluate_metrics
from fedleak.stages.score.summary import summarise_metrics, summarise_rounds
from fedleak.stages.score.truth import TruthReader


@dataclass(frozen=True)
class ImageScores:
    """Rows with metrics, means of the metrics over all images and over each round, and pictures of some images."""

    rows: tuple[ResultRow, ...]
    metrics: dict[str, Interval]
    rounds: tuple[RoundSummary, ...]
    pictures: tuple[Picture, ...]
    compared: tuple[Picture, ...]


@dataclass(frozen=True)
class Scores:
    """Scores of one attack, baseline or theorem: its summary and its rows, failures last."""

    summary: AttackSummary
    rows: tuple[ResultRow, ...]


class ImageScorer:
    """Scores reconstructions against their originals with the metrics of a scenario, and saves pictures of some.

    Args:
        run: the run, with metrics in its scenario; pictures are saved in its folder.
        analyses: values added to the metrics of each row.

    Attributes:
        shape, kind: of the run's examples.
        metrics: metrics that the scenario enables and that apply to this kind.
        left_out: names of the enabled metrics that do not apply.
        unavailable: kind of a metric that cannot be computed on this machine -> reason; filled while scoring.
    """

    def __init__(self, run: RecordedRun, analyses: Analyses) -> None:
        self.shape = run.reader.manifest.input_shape
        self.kind = kind_of(self.shape)
        enabled = run.scenario.metrics.enabled()
        self.metrics = tuple(metric for metric in enabled if metric.applies_to(self.kind))
        self.left_out = tuple(metric.kind for metric in enabled if not metric.applies_to(self.kind))
        self.unavailable: dict[str, str] = {}
        self.analyses = analyses
        self._pictures, self._log = run.files.root / PICTURES, run.files.errors
        asked = any(isinstance(metric, PeerMetric) for metric in self.metrics)
        self._peers = _peers(run.truth) if asked and run.truth is not None else None

    def score(self, images: MatchedImages, *, compared: bool = False) -> ImageScores:
        """Score all images of one attack.

        Args:
            images: reconstructions matched to their originals.
            compared: also save pictures of the run's first images, to show attacks side by side.
        """
        rows = evaluate_metrics(images, self.metrics, self.unavailable, peers=self._peers, log=self._log)
        return ImageScores(
            rows=tuple(self.analyses.beside(rows)),
            metrics=summarise_metrics(rows),
            rounds=summarise_rounds(rows),
            pictures=save_pictures(self._pictures, images, rows),
            compared=save_compared(self._pictures, images, rows) if compared else (),
        )


def _peers(truth: TruthReader) -> Peers:
    everyone = truth.peers()
    return Peers(everyone.images, everyone.labels)
