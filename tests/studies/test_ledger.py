"""Files of the ledger are added and never changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedleak.errors import InputError
from fedleak.results.schema import Interval
from fedleak.studies.claims.at_least import AtLeast
from fedleak.studies.ledger import (
    LedgerEntry,
    LedgerLine,
    LedgerVerdict,
    add_entry,
    claim_digest,
    load_entry,
    load_ledger,
    withdraw,
)
from tests.studies.builders import ledger_entry


def test_an_entry_is_named_by_date_budget_and_commit(tmp_path: Path) -> None:
    path = add_entry(tmp_path, ledger_entry(budget="quick", commit="abc1234"))
    assert path == tmp_path / "results" / "small" / "2026-11-26-quick-abc1234.json"
    assert load_entry(path) == ledger_entry(budget="quick", commit="abc1234")


def test_what_is_not_known_stays_unknown(tmp_path: Path) -> None:
    entry = ledger_entry(commit=None, seeds=None, machines=None, settings=None, lines=(), verdicts=())
    path = add_entry(tmp_path, entry)
    assert path.name == "2026-11-26-default-unknown.json"
    assert load_entry(path) == entry


def test_an_entry_is_never_replaced(tmp_path: Path) -> None:
    path = add_entry(tmp_path, ledger_entry())
    before = path.read_bytes()
    with pytest.raises(InputError, match="added and never changed"):
        add_entry(tmp_path, ledger_entry(notes=("another",)))
    assert path.read_bytes() == before


def test_a_withdrawn_entry_stays_with_the_reason(tmp_path: Path) -> None:
    path = add_entry(tmp_path, ledger_entry())
    before = path.read_bytes()
    beside = withdraw(path, " the labels were wrong ")
    assert beside.name == path.stem + ".withdrawn.json"
    assert path.read_bytes() == before
    (run,) = load_ledger(tmp_path)
    assert run.withdrawal is not None
    assert run.withdrawal.reason == "the labels were wrong"


def test_what_cannot_be_withdrawn_is_refused(tmp_path: Path) -> None:
    path = add_entry(tmp_path, ledger_entry())
    with pytest.raises(InputError, match="there is no such file"):
        withdraw(path.with_name("2026-11-27-default-unknown.json"), "why")
    with pytest.raises(InputError, match="why the run no longer counts"):
        withdraw(path, "  ")
    beside = withdraw(path, "why")
    with pytest.raises(InputError, match="added and never changed"):
        withdraw(path, "why")
    with pytest.raises(InputError, match="it is a withdrawal"):
        withdraw(beside, "why")


def test_an_entry_that_was_renamed_or_removed_is_noticed(tmp_path: Path) -> None:
    path = add_entry(tmp_path, ledger_entry())
    withdraw(path, "why")
    renamed = path.rename(path.with_name("2026-11-25-default-abc1234.json"))
    with pytest.raises(InputError, match="its content belongs to small/2026-11-26"):
        list(load_ledger(tmp_path))
    renamed.unlink()
    with pytest.raises(InputError, match="withdraws an entry that is not there"):
        list(load_ledger(tmp_path))


def test_a_file_that_is_no_entry_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results" / "small" / "2026-11-26-default-abc1234.json"
    path.parent.mkdir(parents=True)
    for content in ("{}", "not JSON", '{"format": "fedleak-ledger", "format": "fedleak-ledger"}'):
        path.write_text(content)
        with pytest.raises(InputError, match="no readable file of the ledger"):
            list(load_ledger(tmp_path))


def test_a_budget_with_any_name_has_a_file(tmp_path: Path) -> None:
    path = add_entry(tmp_path, ledger_entry(budget="../one hour"))
    assert path.name == "2026-11-26-.._one_hour-abc1234.json"
    assert load_entry(path).budget == "../one hour"


def test_a_study_that_would_leave_the_folder_is_refused() -> None:
    for field in ("study", "commit", "date"):
        with pytest.raises(ValueError, match=field):
            ledger_entry(**{field: "../../outside"})


def test_the_digest_of_a_claim_covers_every_setting_and_its_words() -> None:
    claim = AtLeast(metric="accuracy", value=0.5, where={"round": 30})
    others = (
        claim.model_copy(update={"metric": "final_accuracy"}),
        claim.model_copy(update={"value": 0.4}),
        claim.model_copy(update={"where": {}}),
        claim.model_copy(update={"says": "More than half are right."}),
    )
    digests = {claim_digest(each) for each in (claim, *others)}
    assert len(digests) == 5
    assert claim_digest(AtLeast(metric="accuracy", value=0.5, where={"round": 30}, says="")) in digests


def test_infinite_bounds_are_written_and_read(tmp_path: Path) -> None:
    interval = Interval(mean=1.0, low=0.0, high=float("inf"))
    line = LedgerLine(point={}, attack="lti", metrics={"psnr": interval})
    verdict = LedgerVerdict(statement="It leaks.", state="inconclusive", claim=None, digest=None)
    entry = ledger_entry(lines=(line,), verdicts=(verdict,))
    assert isinstance(entry, LedgerEntry)
    assert load_entry(add_entry(tmp_path, entry)).lines[0].metrics["psnr"] == interval
