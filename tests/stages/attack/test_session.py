"""Attacking and scoring recorded federations: resumed, reused, and honest about failures."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fedleak import seeds
from fedleak.attacks.generative.base import GenerativeAttack
from fedleak.attacks.generative.git_coarse import GitCoarse
from fedleak.attacks.generative.lti import Lti
from fedleak.data.sources.base import Dataset
from fedleak.errors import AttackFailedError, InputError
from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.results.schema import Results, load_results
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack import session as stage
from fedleak.stages.attack import victims
from fedleak.stages.attack.record import PartFiles, load_images, load_record
from fedleak.stages.attack.view import View
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import run_federation, scenario

FreshRun = Callable[[], RunDirectory]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A federation with five clients; not to be changed."""
    return run_federation(tmp_path_factory.mktemp("recorded") / "run", scenario(federation__clients=5))


@pytest.fixture
def fresh(recorded: RunDirectory, tmp_path: Path) -> FreshRun:
    """A copy that may be attacked."""
    numbers: Iterator[int] = iter(range(100))
    return lambda: RunDirectory(Path(shutil.copytree(recorded.root, tmp_path / f"run{next(numbers)}")))


def attacked(run: RunDirectory, *overrides: str) -> Results:
    """Results of the attack stage."""
    results = attack_run(run, progress=QuietProgress(), overrides=overrides, isolated=False)
    assert results is not None
    return results


def images(run: RunDirectory) -> dict[str, dict[int, list[float]]]:
    """Every reconstruction, as numbers."""
    return {
        folder.name: {row: image.flatten().tolist() for row, image in load_images(folder).items()}
        for folder in sorted(run.attacks.iterdir())
    }


def test_results_cover_every_update_and_baseline(fresh: FreshRun) -> None:
    run = fresh()
    results = attacked(run)
    assert [attack.attack for attack in results.attacks[:2]] == ["lti", "git_coarse"]
    assert {attack.images for attack in results.attacks} == {8}
    assert sum(attack.is_baseline for attack in results.attacks) == 3
    assert {(row.victim, row.round) for row in results.rows} == {(c, r) for c in range(1, 5) for r in (1, 2)}
    assert load_results(run.root) == results
    assert (run.root / "report.html").is_file()
    with (run.root / "results.csv").open() as file:
        header, *rows = list(csv.reader(file))
    assert header[:12] == ["attack", "kind", "victim", "round", "image", "mse", "psnr", "ssim", "lpips",
                           "label_true", "label_guess", "seconds"]  # fmt: skip
    assert len(rows) == 8 * 5
    assert {row[8] for row in rows} == {""}, "an absent metric is an empty cell"


def test_the_attack_stage_loads_no_dataset_and_no_truth(fresh: FreshRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = fresh()
    for kind in Dataset.__subclasses__():
        monkeypatch.setattr(kind, "load", lambda self: pytest.fail("the data set was loaded"))
    shutil.rmtree(run.truth)
    results = attack_run(run, progress=QuietProgress(), isolated=False)
    assert set(images(run)) == {"git_coarse", "lti"}
    assert not any(row.metrics for row in results.rows)


def test_two_attacks_on_one_transcript_agree_bit_for_bit(fresh: FreshRun, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name in "ab":
        monkeypatch.setenv("FEDLEAK_CACHE", str(fresh().root / name))
        run = fresh()
        results = attacked(run)
        found.append((images(run), [(row.attack, row.victim, row.round, row.metrics) for row in results.rows]))
    assert found[0] == found[1]


def test_finished_attacks_are_reused(fresh: FreshRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = fresh()
    first = attacked(run)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "_run", None)
        assert attacked(run).rows == first.rows
    calls = count_calls(monkeypatch, Lti, "fit")
    attacked(run, "attacks.git_coarse.hidden=5")
    assert calls == []
    attacked(run, "attacks.lti.hidden=9")
    assert len(calls) == 1


def count_calls(monkeypatch: pytest.MonkeyPatch, cls: type[Any], name: str) -> list[object]:
    """A list that grows with every call."""
    calls: list[object] = []
    original = getattr(cls, name)

    def counted(self: object, *args: Any, **kwargs: Any) -> Any:
        calls.append(self)
        return original(self, *args, **kwargs)

    counted.__annotations__ = dict(original.__annotations__)
    counted.__wrapped__ = original  # type: ignore[attr-defined]
    monkeypatch.setattr(cls, name, counted)
    return calls


class KilledError(BaseException):
    """As hard as a kill."""


def test_a_killed_attack_continues(fresh: FreshRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, killed = fresh(), fresh()
    attacked(whole)
    monkeypatch.setattr(victims, "PART_SECONDS", -1.0)
    original, calls = PartFiles.write, [0]

    def deadly(self: PartFiles, *args: Any) -> None:
        original(self, *args)
        calls[0] += 1
        if calls[0] == 3:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(PartFiles, "write", deadly)
        with pytest.raises(KilledError):
            attacked(killed)
    calls_after = count_calls(monkeypatch, GenerativeAttack, "reconstruct")
    attacked(killed)
    assert len([call for call in calls_after if isinstance(call, Lti)]) == 8 - 3
    assert images(killed) == images(whole)


def test_whose_labels_they_are_survives_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DLG finds its own labels; killed after its last victim, before its record, it is continued without a victim."""
    plain = scenario(attacks=[{"kind": "dlg", "iterations": 1}], adversary={"level": 1})
    run = run_federation(tmp_path / "run", plain)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "finish", deadly_finish)
        with pytest.raises(KilledError):
            attacked(run)
    attacked(run)
    record = load_record(run.attacks / "dlg")
    assert record is not None
    assert record.label_source == "attack"


def deadly_finish(*_: Any) -> None:
    raise KilledError


def test_what_a_kill_left_of_other_settings_is_not_scored(fresh: FreshRun) -> None:
    clean, dirty = fresh(), fresh()
    attacked(clean)
    attacked(dirty, "attacks.lti.hidden=9")
    part = next((dirty.attacks / "lti").glob("part-*.safetensors"))
    part.rename(part.with_name("part-00007.safetensors"))  # its .json was never written
    attacked(dirty, "attacks.lti.hidden=8")
    assert images(dirty) == images(clean)


def test_damaged_reconstructions_are_named_and_made_again(fresh: FreshRun) -> None:
    run = fresh()
    first = attacked(run)
    part = next((run.attacks / "lti").glob("part-*.safetensors"))
    content = images(run)
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(InputError, match=part.name):
        attacked(run)
    shutil.rmtree(run.attacks / "lti")
    second = attacked(run)
    assert images(run) == content
    assert [row.metrics for row in second.rows] == [row.metrics for row in first.rows]


def test_a_damaged_cache_is_made_again(fresh: FreshRun, cache: Path) -> None:
    first = attacked(fresh())
    files = sorted(cache.rglob("*.safetensors"))
    assert len(files) == 2
    for path in files:
        path.write_bytes(path.read_bytes()[:-9])
    second = attacked(fresh())
    assert [row.metrics for row in second.rows] == [row.metrics for row in first.rows]
    third = attacked(fresh())
    assert all(attack.training_cached for attack in third.attacks if not attack.is_baseline)
    assert not any(attack.training_cached for attack in second.attacks)


def test_what_other_code_trained_is_not_used(fresh: FreshRun, monkeypatch: pytest.MonkeyPatch) -> None:
    attack_run(fresh(), progress=QuietProgress(), isolated=False)
    monkeypatch.setattr("fedleak.stages.attack.fingerprints._code_of_attacks", lambda: "another version")
    again = attack_run(fresh(), progress=QuietProgress(), isolated=False)
    assert not any(attack.training_cached for attack in again.attacks)


def test_a_renamed_kind_trains_from_the_stream_of_its_old_name(fresh: FreshRun) -> None:
    run = fresh()
    (summary,) = (attack for attack in attacked(run).attacks if attack.attack == "git_coarse")
    setup, reader = run.scenario(), TranscriptReader(run.transcript)
    component, view = setup.attacks[1], View(reader, setup.adversary.granted, None)
    assert isinstance(component, GitCoarse)
    curves = {}
    for stream in ("coarse_git", "git_coarse"):
        artefact = component.fit(
            **view.capabilities(component.fit),
            generator=seeds.torch_generator(reader.manifest.stream_root, "attack-training", stream),
            progress=QuietProgress(),
            device=torch.device("cpu"),
        )
        curves[stream] = artefact.curves["train"]
    assert summary.curves["train"] == curves["coarse_git"] != curves["git_coarse"]


def faulty(tmp_path: Path, *places: tuple[int, int]) -> RunDirectory:
    """A federation whose clients share NaN at (round, client)."""
    faults = [{"round": number, "client": client, "mode": "nan"} for number, client in places]
    return run_federation(tmp_path / "faulty", scenario(federation__faults=faults))


def test_an_update_with_nan_is_skipped_and_named(tmp_path: Path) -> None:
    run = faulty(tmp_path, (1, 2))
    results = attacked(run)
    assert {(row.victim, row.round) for row in results.rows} == {(1, 1), (1, 2), (2, 2)}
    assert results.notes == (
        "round 1, client 2: update not attacked (non_finite): the update holds NaN or infinite values",
    )
    assert results.federation[0].failures
    assert "round 1, client 2" in (run.root / "report.html").read_text()


def test_a_run_in_which_no_victim_delivers(tmp_path: Path) -> None:
    run = faulty(tmp_path, (1, 1), (1, 2), (2, 1), (2, 2))
    results = attacked(run)
    assert results.rows == ()
    assert len(results.notes) == 4
    assert {attack.images for attack in results.attacks} == {0}
    assert (run.root / "report.html").is_file()


def test_a_failed_attack_is_a_row_with_its_reason(fresh: FreshRun, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Lti.reconstruct

    def fail_once(self: Lti, trained: Any, update: Any, *, generator: torch.Generator) -> Any:
        if (update.client, update.round) == (2, 1):
            raise AttackFailedError("no luck")
        return original(self, trained, update, generator=generator)

    fail_once.__annotations__ = dict(original.__annotations__)
    fail_once.__wrapped__ = original  # type: ignore[attr-defined]
    monkeypatch.setattr(Lti, "reconstruct", fail_once)
    results = attacked(fresh())
    failed = [row for row in results.rows if row.status == "failed"]
    assert [(row.attack, row.victim, row.round, row.reason) for row in failed] == [("lti", 2, 1, "no luck")]
    assert failed[0].metrics == {}, "a failure has no score"
    assert results.attacks[0].failures == 1
    assert results.attacks[0].images == 7


def test_an_attack_that_cannot_be_trained_fails_for_every_update(tmp_path: Path) -> None:
    run = run_federation(tmp_path, scenario(adversary__injection__pairs=2, attacks__lti__training__held_out=0.9))
    results = attacked(run)
    failed = [row for row in results.rows if row.attack == "lti"]
    assert {row.status for row in failed} == {"failed"}
    assert all("too few to hold out" in row.reason for row in failed)
    record = load_record(run.attacks / "lti")
    assert record is not None
    assert len(record.attempts) == 4


def test_stored_settings_follow_the_override(fresh: FreshRun) -> None:
    run = fresh()
    attacked(run, "attacks=[{kind: lti, id: small, hidden: 3, training: {epochs: 1}}]")
    assert [attack.name for attack in run.scenario().attacks] == ["small"]
    assert json.loads((run.root / "results.json").read_text())["attacks"][0]["attack"] == "small"
