"""Third stage: compare reconstructions with the ground truth."""

from __future__ import annotations

import json
import shutil

from fedleak.errors import InputError
from fedleak.progress import Progress
from fedleak.records import write_atomically
from fedleak.results.schema import PICTURES, Results, save_results
from fedleak.run_directory import RunDirectory
from fedleak.scenario.schema import Scenario
from fedleak.stages.attack.record import AttackRecord, check_files, load_record
from fedleak.stages.score.analyse import Analyses
from fedleak.stages.score.assemble import assemble_results
from fedleak.stages.score.attacks import score_attacks
from fedleak.stages.score.baselines import BASELINES, score_baselines
from fedleak.stages.score.batches import LeakedBatches
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.scorer import ImageScorer
from fedleak.stages.score.theory import score_theories


def score(scenario: Scenario, files: RunDirectory, progress: Progress) -> Results:
    """Score every finished attack, the baselines and the theorems; write results and pictures.

    Raises:
        InputError: if an attack has not been run, or the truth is missing.
    """
    run = RecordedRun.open(scenario, files)
    records = [_record(files, attack.name) for attack in scenario.attacks]
    shutil.rmtree(files.root / PICTURES, ignore_errors=True)
    batches = LeakedBatches(run)
    scorer = ImageScorer(run, Analyses(run, batches))
    bar = progress.task("scoring", len(records) + len(BASELINES) + len(scenario.theory))
    scores = [
        *score_attacks(run, records, scorer=scorer, bar=bar),
        *score_baselines(run, scorer=scorer, bar=bar),
        *score_theories(run, batches, scorer=scorer, bar=bar),
    ]
    results = assemble_results(run, records, scores=scores, scorer=scorer)
    save_results(files.root, results)
    write_atomically(files.root / "environment.json", json.dumps(results.environment, indent=1))
    return results


def _record(files: RunDirectory, name: str) -> AttackRecord:
    record = load_record(files.attacks / name)
    if record is None:
        raise InputError("RUN_DIR", str(files.root), f"attack {name} has not been run there")
    check_files(files.attacks / name)
    return record
