"""Hybrids in the attack stage: another attack's images are the start, and nothing else of it is seen."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fedleak.attacks.generative.lti import Lti
from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.errors import AttackFailedError, InputErrors
from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.results.schema import AttackSummary, Results
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack.finished import FinishedAttack
from fedleak.stages.attack.record import load_images, load_record
from fedleak.stages.score.truth import TruthReader
from fedleak.threat import StartingImages
from tests.reachable import arrays, reachable
from tests.scenarios import run_federation, scenario

LTI = {"kind": "lti", "hidden": 8, "training": {"epochs": 2}}
HYBRID = {"kind": "inverting_gradients", "id": "hybrid", "iterations": 1, "keep": "lowest", "init": {"from": "lti"}}
LATER = {"kind": "inverting_gradients", "id": "later", "iterations": 1, "keep": "lowest", "init": {"from": "hybrid"}}
ATTACKS = [LATER, HYBRID, LTI]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return run_federation(tmp_path_factory.mktemp("recorded") / "run", scenario(attacks=ATTACKS))


@pytest.fixture
def fresh(recorded: RunDirectory, tmp_path: Path) -> Callable[[], RunDirectory]:
    numbers: Iterator[int] = iter(range(10))
    return lambda: RunDirectory(Path(shutil.copytree(recorded.root, tmp_path / f"run{next(numbers)}")))


def attacked(run: RunDirectory, *overrides: str) -> Results:
    results = attack_run(run, progress=QuietProgress(), overrides=overrides, isolated=False)
    assert results is not None
    return results


def summaries(results: Results) -> dict[str, AttackSummary]:
    return {summary.attack: summary for summary in results.attacks}


def test_a_hybrid_runs_after_its_source_and_carries_its_cost_and_knowledge(fresh: Callable[[], RunDirectory]) -> None:
    run = fresh()
    results = attacked(run)
    assert [summary.attack for summary in results.attacks[:3]] == ["later", "hybrid", "lti"]
    found = summaries(results)
    assert {"injected_pairs", "starting_images", "inferred_labels"} <= set(found["later"].capabilities)
    assert found["hybrid"].training_seconds == found["lti"].training_seconds
    assert found["hybrid"].parameters == found["lti"].parameters
    for name, source in (("hybrid", "lti"), ("later", "hybrid")):
        own, other = (load_record(run.attacks / n) for n in (name, source))
        assert own is not None
        assert other is not None
        assert all(a.seconds > b.seconds for a, b in zip(own.attempts, other.attempts, strict=True))


def test_one_iteration_from_a_start_stays_near_it(fresh: Callable[[], RunDirectory]) -> None:
    run = fresh()
    attacked(run)
    start, end = load_images(run.attacks / "lti"), load_images(run.attacks / "hybrid")
    for row, images in start.items():
        torch.testing.assert_close(end[row], images, rtol=0, atol=1e-6)


def test_new_settings_of_the_source_make_the_hybrid_run_again(fresh: Callable[[], RunDirectory]) -> None:
    run = fresh()
    attacked(run)
    first = load_record(run.attacks / "later")
    attacked(run, "attacks.lti.hidden=9")
    second = load_record(run.attacks / "later")
    assert first is not None
    assert second is not None
    assert first.fingerprint != second.fingerprint
    torch.testing.assert_close(load_images(run.attacks / "later"), load_images(run.attacks / "lti"), rtol=0, atol=1e-5)


def test_where_the_source_failed_the_hybrid_fails_too(
    fresh: Callable[[], RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Lti.reconstruct

    def fail_once(self: Lti, trained: Any, update: Any, *, generator: torch.Generator) -> Any:
        if (update.client, update.round) == (2, 1):
            raise AttackFailedError("no luck")
        return original(self, trained, update, generator=generator)

    fail_once.__annotations__ = dict(original.__annotations__)
    fail_once.__wrapped__ = original  # type: ignore[attr-defined]
    monkeypatch.setattr(Lti, "reconstruct", fail_once)
    results = attacked(fresh())
    reasons = {row.attack: row.reason for row in results.rows if row.status == "failed"}
    assert reasons == {
        "lti": "no luck",
        "hybrid": "lti, from which it starts, failed: no luck",
        "later": "hybrid, from which it starts, failed: lti, from which it starts, failed: no luck",
    }


def test_the_start_is_the_other_attacks_images_and_leads_to_no_truth(
    fresh: Callable[[], RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fresh()
    given: list[StartingImages] = []
    original = InvertingGradients.reconstruct

    def spy(self: InvertingGradients, known: Any, *, generator: torch.Generator) -> Any:
        assert known.start is not None
        given.append(known.start)
        values = reachable(self, known, generator)
        assert not [v for v in values if isinstance(v, Path | RunDirectory | TruthReader | FinishedAttack)]
        for row in range(4):
            for image in TruthReader(run.truth).batch(row).images:
                flat = [torch.as_tensor(a).flatten().float() for a in arrays(values)]
                assert not any(a.shape == image.flatten().shape and a.allclose(image.flatten()) for a in flat)
        return original(self, known, generator=generator)

    spy.__annotations__ = dict(original.__annotations__)
    spy.__wrapped__ = original  # type: ignore[attr-defined]
    monkeypatch.setattr(InvertingGradients, "reconstruct", spy)
    attacked(run, "attacks=[{kind: lti, hidden: 8, training: {epochs: 2}}, "
                  "{kind: inverting_gradients, iterations: 1, victims_per_call: 1, init: {from: lti}}]")  # fmt: skip
    made = load_images(run.attacks / "lti")
    assert all(torch.equal(start.images, images) for start, images in zip(given, made.values(), strict=True))
    assert {start.attack for start in given} == {"lti"}


@pytest.mark.parametrize(
    ("attacks", "path", "message"),
    [
        ([LTI | {"id": "small"}, HYBRID | {"init": {"from": "smal"}}], "attacks.1.init.from", "did you mean 'small'"),
        ([HYBRID | {"init": {"from": "hybrid"}}], "attacks.0.init.from", "cycle"),
        ([LTI, LTI | {"id": "other"}, HYBRID | {"init": {"from": "lti"}, "id": "h"}], None, ""),
        ([LTI | {"id": "a"}, LTI | {"id": "b"}, HYBRID], "attacks.2.init.from", "one of the ids a, b"),
    ],
)
def test_dependencies_are_checked_before_anything_runs(
    attacks: list[dict[str, Any]], path: str | None, message: str
) -> None:
    if path is None:
        scenario(attacks=attacks)
        return
    with pytest.raises(InputErrors) as caught:
        scenario(attacks=attacks)
    assert [error.path for error in caught.value.errors] == [path]
    assert message in str(caught.value)


def test_a_source_that_has_not_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="attack lti has not been run"):
        FinishedAttack(tmp_path / "lti")
