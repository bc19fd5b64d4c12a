"""Ledger entries of studies that were run here."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path

import pytest
import yaml

from fedleak.errors import InputError
from fedleak.studies.keep import make_entry, paper_folder
from fedleak.studies.ledger import LedgerEntry, add_entry, claim_digest, load_entry, load_ledger
from fedleak.studies.places import without_places
from fedleak.studies.records import load_cell
from fedleak.studies.results import load_study_results, save_study
from fedleak.studies.study import study_settings
from fedleak.version import source_commit


def test_an_entry_holds_what_the_study_measured(finished: Path, tmp_path: Path) -> None:
    entry, results = make_entry(finished), load_study_results(finished)
    assert (entry.source, entry.study, entry.budget, entry.seeds) == ("run", results.name, None, (0,))
    assert [line.metrics for line in entry.lines] == [line.metrics for line in results.lines]
    assert [(line.images, line.seeds) for line in entry.lines] == [(line.images, line.seeds) for line in results.lines]
    assert [verdict.state for verdict in entry.verdicts] == [verdict.state for verdict in results.verdicts]
    assert entry.settings == without_places(yaml.safe_load(results.study))
    (path,) = (add_entry(tmp_path, entry),)
    assert load_entry(path) == entry
    assert [run.entry for run in load_ledger(tmp_path)] == [entry]


def test_each_cell_has_its_own_scores(finished: Path) -> None:
    entry, results = make_entry(finished), load_study_results(finished)
    assert entry.cells is not None
    assert [(cell.point, cell.seed) for cell in entry.cells] == [(cell.point, cell.seed) for cell in results.cells]
    for cell, line in zip(entry.cells, results.cells, strict=True):
        record = load_cell(finished / "cells" / line.key)
        assert record is not None
        (lti,) = (measured for measured in record.attacks if measured.attack == "lti")
        values = [value for value in lti.metrics["mse"] if value is not None]
        assert cell.scores["lti"]["mse"].mean == pytest.approx(sum(values) / len(values))
        assert cell.seconds == line.seconds


def test_the_commit_day_machine_and_claim_are_in_it(finished: Path) -> None:
    entry = make_entry(finished)
    assert entry.commit == source_commit()
    assert entry.judged_by == source_commit()
    records = [load_cell(path) for path in (finished / "cells").iterdir()]
    assert entry.date == max(str(record.finished) for record in records if record)[:10]
    assert entry.file_name == f"{entry.date}-default-{entry.commit or 'unknown'}.json"
    assert entry.machines is not None
    assert [machine.cores > 0 for machine in entry.machines] == [True]
    (verdict,) = entry.verdicts
    assert verdict.claim is not None
    assert {key: verdict.claim[key] for key in ("kind", "metric", "direction")} == {
        "kind": "monotone",
        "metric": "mse",
        "direction": "decreasing",
    }
    (claim,) = study_settings(yaml.safe_load(load_study_results(finished).study)).claims
    assert verdict.digest == claim_digest(claim)


def test_no_path_and_no_host_is_in_it(finished: Path) -> None:
    text = make_entry(finished).model_dump_json()
    assert str(finished) not in text
    assert str(Path.home()) not in text
    assert platform.node() not in text or len(platform.node()) < 4


def test_a_study_that_is_not_finished_is_refused(finished: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(finished, tmp_path / "copy", symlinks=True))
    results = load_study_results(copy)
    waiting = results.cells[0].model_copy(update={"status": "waiting"})
    save_study(copy, results.model_copy(update={"cells": (waiting, *results.cells[1:])}))
    with pytest.raises(InputError, match="1 of its 4 cells have not been run"):
        make_entry(copy)


def test_verdicts_of_other_claims_are_refused(copied: Path) -> None:
    results = load_study_results(copied)
    other = results.verdicts[0].model_copy(update={"statement": "something else"})
    save_study(copied, results.model_copy(update={"verdicts": (other,)}))
    with pytest.raises(InputError, match="its verdicts are not those of its claims"):
        make_entry(copied)


def test_cells_of_earlier_versions_have_no_commit_and_the_day_of_their_file(copied: Path) -> None:
    for path in (copied / "cells").glob("*/cell.json"):
        content = json.loads(path.read_text())
        del content["finished"]
        path.write_text(json.dumps(content))
        path.with_name("environment.json").unlink()
    entry = make_entry(copied)
    assert isinstance(entry, LedgerEntry)
    assert (entry.commit, entry.machines, entry.fedleak) == (None, (), None)
    assert entry.file_name.endswith("-default-unknown.json")


def test_a_shipped_study_has_the_folder_of_its_paper() -> None:
    assert paper_folder("sok-f7").name == "sok"
    with pytest.raises(InputError, match="no shipped study is called"):
        paper_folder("no-such-study")
