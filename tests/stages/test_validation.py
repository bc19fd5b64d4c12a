"""Validation of transcripts; what the command prints is tested with it."""

from __future__ import annotations

from pathlib import Path

from fedleak.audit.observed import LocalSettings
from fedleak.audit.recording import write_observed_run
from fedleak.models.factory import CONSENT
from fedleak.stages.validation import validate_transcript
from tests.audit.observations import PATH, about, observations


def test_remarks_tell_what_attacks_will_miss(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(CONSENT, PATH)
    few = (each for each in observations(1, samples=None, truth=None))
    run = write_observed_run(few, about(training=LocalSettings()), tmp_path / "run")
    found = validate_transcript(run.root)
    assert found.problems == ()
    assert found.facts["updates"] == "2, 2 usable"
    assert "round 1, client 0: number of images unknown, which most attacks need" in found.remarks
    assert "not known of the clients' training: local_learning_rate, local_epochs, batch_size" in found.remarks


def test_truth_of_other_images_is_a_problem(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv(CONSENT, PATH)
    run = write_observed_run(observations(1), about(), tmp_path / "run")
    (run.truth / "00000" / "labels.npy").write_bytes(b"other")
    assert "it was changed after it was written" in validate_transcript(run.root).problems[0]
