"""Third stage: compare reconstructions with the truth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import torch

from fedleak import seeds
from fedleak.environment import describe_environment
from fedleak.errors import InputError
from fedleak.metrics.base import PeerMetric, Peers
from fedleak.progress import Progress, Task
from fedleak.records import write_atomically
from fedleak.results.leakage import worst_samples
from fedleak.results.schema import (
    PICTURES,
    THEORY_PREFIX,
    AttackSummary,
    CapabilityNote,
    FederationRound,
    ResultRow,
    Results,
    save_results,
)
from fedleak.run_directory import RunDirectory
from fedleak.scenario.schema import Scenario
from fedleak.stages.attack.record import AttackRecord, load_images, load_record
from fedleak.stages.attack.weights import weight_course
from fedleak.stages.score.analyse import Analyses
from fedleak.stages.score.baselines import BASELINES, PublicImages
from fedleak.stages.score.batches import LeakedBatches
from fedleak.stages.score.pictures import save_compared, save_pictures
from fedleak.stages.score.predict import predict
from fedleak.stages.score.rows import ScoredImages, add_update, evaluate_metrics
from fedleak.stages.score.summary import label_accuracy, label_accuracy_class, summarise_metrics, summarise_rounds
from fedleak.stages.score.truth import TruthReader
from fedleak.threat import CAPABILITIES, GRANTABLE
from fedleak.transcript.manifest import Manifest, digest_of
from fedleak.transcript.reader import TranscriptReader


def score(scenario: Scenario, run: RunDirectory, progress: Progress) -> Results:
    """Score every finished attack and the baselines; write results and pictures.

    Raises:
        InputError: if an attack has not been run, or the truth is missing.
    """
    reader = TranscriptReader(run.transcript, verify=False)
    scorer = _Scorer(scenario, run, reader, TruthReader(run.truth))
    records = [_record(run, attack.name) for attack in scenario.attacks]
    bar = progress.task("scoring", len(records) + len(BASELINES) + len(scenario.theory))
    shutil.rmtree(run.root / PICTURES, ignore_errors=True)
    for record in records:
        scorer.add_attack(record, bar)
    if reader.has_public_images:
        scorer.add_baselines(bar)
    scorer.add_theory(bar)
    results = scorer.results(records)
    save_results(run.root, results)
    write_atomically(run.root / "environment.json", json.dumps(results.environment, indent=1))
    return results


def _record(run: RunDirectory, name: str) -> AttackRecord:
    record = load_record(run.attacks / name)
    if record is None:
        raise InputError("RUN_DIR", str(run.root), f"attack {name} has not been run there")
    return record


class _Scorer:
    def __init__(self, scenario: Scenario, run: RunDirectory, reader: TranscriptReader, truth: TruthReader) -> None:
        self.scenario, self.run, self.reader, self.truth = scenario, run, reader, truth
        self.updates = {u.row: u for u in reader.manifest.updates if u.status == "ok"}
        self.summaries: list[AttackSummary] = []
        self.rows: list[ResultRow] = []
        self.unavailable: dict[str, str] = {}
        self.metrics = scenario.metrics.enabled()
        self.batches = LeakedBatches(scenario, reader, truth)
        self.analyses = Analyses(scenario, self.updates.values(), self.batches)
        self.peers = _peers(truth) if any(isinstance(metric, PeerMetric) for metric in self.metrics) else None

    def add_attack(self, record: AttackRecord, bar: Task) -> None:
        """Score one attack."""
        scored, failed = ScoredImages(), []
        images = load_images(self.run.attacks / record.attack)
        for attempt in record.attempts:
            update = self.updates[attempt.row]
            if attempt.status == "failed":
                failed.append(
                    ResultRow(
                        attack=record.attack,
                        kind=record.kind,
                        victim=update.client,
                        round=update.round,
                        summed=update.summed,
                        seconds=attempt.seconds,
                        bytes_per_update=update.bytes,
                        status="failed",
                        reason=attempt.reason,
                    )
                )
                continue
            add_update(
                scored,
                attack=record.attack,
                kind=record.kind,
                update=update,
                images=images[attempt.row],
                truth=self.truth.batch(attempt.row, update.summed),
                guesses=attempt.labels,
                labels_ordered=record.label_source == "attack",
                seconds=attempt.seconds,
            )
        rows = evaluate_metrics(scored, self.metrics, self.unavailable, peers=self.peers)
        worked = [attempt.seconds for attempt in record.attempts if attempt.status == "ok"]
        summary = self._summary(record.attack, record.kind, record.description, scored, rows)
        self.summaries.append(
            summary.model_copy(
                update={
                    "settings": record.settings,
                    "capabilities": record.capabilities,
                    "failures": len(failed),
                    "adaptive": record.adaptive,
                    "local_knowledge": record.local_knowledge,
                    "label_accuracy": label_accuracy(rows),
                    "label_accuracy_class": label_accuracy_class(rows),
                    "label_source": record.label_source,
                    "training_seconds": record.training_seconds,
                    "training_cached": record.training_cached,
                    "seconds_per_reconstruction": sum(worked) / len(worked) if worked else None,
                    "peak_memory_bytes": record.peak_memory_bytes,
                    "parameters": record.parameters,
                    "curves": dict(record.curves) | weight_course(self.run.attacks / record.attack, self.reader),
                }
            )
        )
        self.rows += self.analyses.beside(rows) + failed
        bar.advance()

    def add_baselines(self, bar: Task) -> None:
        """Score what needs no update."""
        images, labels = self.reader.public()
        public = PublicImages(torch.from_numpy(images).to(torch.float32) / 255, torch.from_numpy(labels))
        for name, guess in BASELINES.items():
            scored = ScoredImages()
            for row, update in self.updates.items():
                truth = self.truth.batch(row, update.summed)
                generator = seeds.torch_generator(self.scenario.seed, "baseline", name, row)
                guessed = guess(public, truth, generator)
                add_update(scored, attack=name, kind=name, update=update, images=guessed, truth=truth)
            rows = evaluate_metrics(scored, self.metrics, self.unavailable, peers=self.peers)
            description = (guess.__doc__ or "").split("\n", maxsplit=1)[0]
            self.summaries.append(self._summary(name, name, description, scored, rows))
            self.rows += self.analyses.beside(rows)
            bar.advance()

    def add_theory(self, bar: Task) -> None:
        """Score what theorems predict."""
        training, seed = self.reader.manifest.training, self.scenario.seed
        for theory in self.scenario.theory:
            scored, numbers, failed = predict(theory, self.updates.values(), self.batches, training, seed=seed)
            rows = [
                row.model_copy(update={"metrics": {**row.metrics, **more}})
                for row, more in zip(
                    evaluate_metrics(scored, self.metrics, self.unavailable, peers=self.peers), numbers, strict=True
                )
            ]
            summary = self._summary(theory.row_name, theory.kind, theory.summary(), scored, rows)
            settings = theory.model_dump(mode="json")
            self.summaries.append(
                summary.model_copy(update={"is_theory": True, "settings": settings, "failures": len(failed)})
            )
            self.rows += self.analyses.beside(rows) + failed
            bar.advance()

    def _summary(
        self, attack: str, kind: str, description: str, scored: ScoredImages, rows: list[ResultRow]
    ) -> AttackSummary:
        resamples, seed = self.scenario.bootstrap_resamples, self.scenario.seed
        is_baseline = kind in BASELINES or attack.startswith(THEORY_PREFIX)
        folder = self.run.root / PICTURES
        return AttackSummary(
            attack=attack,
            kind=kind,
            is_baseline=is_baseline,
            description=description,
            images=len(rows),
            metrics=summarise_metrics(rows, resamples=resamples, seed=seed),
            rounds=summarise_rounds(rows, resamples=resamples, seed=seed),
            pictures=save_pictures(folder, scored, rows),
            compared=() if is_baseline else save_compared(folder, scored, rows),
        )

    def results(self, records: list[AttackRecord]) -> Results:
        """Everything, assembled."""
        manifest, scenario = self.reader.manifest, self.scenario
        return Results(
            fingerprint=digest_of([record.fingerprint for record in records]),
            name=scenario.name,
            description=scenario.description,
            scenario=scenario.model_dump(mode="json", exclude={"budgets"}),
            environment=describe_environment(),
            protocol=manifest.protocol,
            compromised=scenario.adversary.compromised if manifest.pairs else None,
            pairs=manifest.pairs.count if manifest.pairs else None,
            capabilities=_capability_notes(scenario.adversary.granted, records),
            withheld=_capability_notes(frozenset(GRANTABLE) - scenario.adversary.granted, []),
            higher_is_better=tuple(m.kind for m in self.metrics if m.higher_is_better),
            federation=tuple(
                FederationRound(
                    round=r.round,
                    accuracy=r.accuracy,
                    loss=r.loss,
                    failures=r.failures,
                    broadcast_accuracy=r.broadcast_accuracy,
                    analyses=self.analyses.of_round(r.round),
                )
                for r in manifest.rounds
            ),
            attacks=tuple(self._with_worst_samples()),
            epsilon=manifest.privacy.epsilon if manifest.privacy else None,
            delta=manifest.privacy.delta if manifest.privacy else None,
            privacy_unit=manifest.privacy.unit if manifest.privacy else None,
            bytes_per_update=self._bytes_per_update(),
            notes=self._notes(),
            rows=tuple(self.rows),
        )

    def _with_worst_samples(self) -> list[AttackSummary]:
        rows: dict[str, list[ResultRow]] = {}
        for row in self.rows:
            rows.setdefault(row.attack, []).append(row)
        rates = worst_samples(self.summaries, rows)
        return [
            summary.model_copy(
                update={
                    "worst_sample": {
                        name: sum(by_update.values()) / len(by_update)
                        for name, by_update in rates.get(summary.attack, {}).items()
                    }
                }
            )
            for summary in self.summaries
        ]

    def _bytes_per_update(self) -> float | None:
        sizes = [update.bytes for update in self.updates.values() if update.bytes is not None]
        return sum(sizes) / len(sizes) if sizes else None

    def _notes(self) -> tuple[str, ...]:
        notes = [f"{name} is absent: {reason}" for name, reason in self.unavailable.items()]
        notes += [note for metric in self.metrics if metric.kind not in self.unavailable and (note := metric.note())]
        notes += [
            f"round {u.round}, client {u.client}: update not attacked ({u.status}): {u.reason}"
            for u in self.reader.manifest.updates
            if u.status != "ok"
        ]
        return (*notes, *_protection(self.reader.manifest))


def _protection(manifest: Manifest) -> Iterator[str]:
    """From whom the federation's own protocol keeps what."""
    sizes = sorted({len(update.summed) for update in manifest.updates if update.summed})
    if sizes:
        yield f"the adversary saw sums over {' or '.join(map(str, sizes))} clients, and no client's own update"
    if manifest.privacy is not None and manifest.privacy.noise == "server":
        yield "epsilon is that of the models which the server gives away; updates reach it without noise"


def _peers(truth: TruthReader) -> Peers:
    everyone = truth.peers()
    return Peers(everyone.images, everyone.labels)


def _capability_notes(names: frozenset[str], records: list[AttackRecord]) -> tuple[CapabilityNote, ...]:
    return tuple(
        CapabilityNote(
            name=name,
            level=CAPABILITIES[name].level,
            summary=CAPABILITIES[name].summary(),
            used_by=tuple(record.attack for record in records if name in record.capabilities),
        )
        for name in sorted(names, key=lambda n: (CAPABILITIES[n].level or 0, n))
    )
