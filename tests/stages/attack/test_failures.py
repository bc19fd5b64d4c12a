"""A user's code may raise anything: the attack, label inference or metric fails with its reason, the others go on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fedleak.attacks.base import Reconstruction
from fedleak.attacks.inversion.dlg import Dlg
from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.attacks.labels.calibrated_counts import CalibratedCounts
from fedleak.errors import InputError
from fedleak.metrics.analysis.igsa import Igsa
from fedleak.metrics.mse import Mse
from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.results.schema import Results
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack.record import load_record
from tests.scenarios import run_federation, scenario

SHORT = {"iterations": 1}
BOTH = [{"kind": "dlg", **SHORT}, {"kind": "inverting_gradients", "restarts": 1, **SHORT}]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A recorded federation with two victims in one round, to be attacked by two inversions."""
    chosen = scenario(attacks=BOTH, adversary={"level": 2}, federation__rounds=1)
    return run_federation(tmp_path / "run", chosen)


def attacked(run: RunDirectory) -> Results:
    """Results of attacks in this process, where their code can be replaced."""
    results = attack_run(run, progress=QuietProgress(), isolated=False)
    assert results is not None
    return results


def replaced(monkeypatch: pytest.MonkeyPatch, cls: type[Any], name: str, instead: Callable[..., Any]) -> None:
    """Replace a method, with the capabilities that the original asks for."""

    def method(*args: Any, **kwargs: Any) -> Any:
        return instead(*args, **kwargs)

    original = getattr(cls, name)
    method.__annotations__ = dict(original.__annotations__)
    method.__wrapped__ = original  # type: ignore[attr-defined]
    monkeypatch.setattr(cls, name, method)


def raises(error: BaseException) -> Callable[..., Any]:
    """A function that raises."""

    def function(*_: Any, **__: Any) -> Any:
        raise error

    return function


ERRORS: list[tuple[BaseException, str]] = [
    (TypeError("int is no\n  tensor"), "TypeError: int is no tensor"),
    (KeyError("weight"), "KeyError: 'weight'"),
    (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "RuntimeError: mat1 and mat2 shapes"),
    (torch.OutOfMemoryError("CUDA out of memory"), "OutOfMemoryError: CUDA out of memory"),
    (MemoryError(), "MemoryError"),
    (AssertionError(), "AssertionError"),
    (StopIteration(3), "StopIteration: 3"),
    (RecursionError("maximum depth"), "RecursionError: maximum depth"),
    (SystemExit(3), "SystemExit: 3"),
]


@pytest.mark.parametrize(("error", "reason"), ERRORS, ids=lambda value: type(value).__name__)
def test_any_error_of_an_attack_is_a_failed_row_and_the_others_go_on(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, error: BaseException, reason: str
) -> None:
    replaced(monkeypatch, Dlg, "reconstruct", raises(error))
    results = attacked(run)
    rows = {name: [row for row in results.rows if row.attack == name] for name in ("dlg", "inverting_gradients")}
    assert [(row.status, row.victim) for row in rows["dlg"]] == [("failed", 1), ("failed", 2)]
    assert all(row.reason.startswith(reason) for row in rows["dlg"])
    assert [row.status for row in rows["inverting_gradients"]] == ["ok", "ok"]
    log = run.errors.read_text()
    assert log.count("attack dlg, round 1, client") == 2
    assert "Traceback (most recent call last)" in log
    assert "in function" in log, "the frame that raised"


def test_only_the_update_that_fails_is_lost(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Dlg.reconstruct

    def second(self: Dlg, known: Any, *, generator: torch.Generator) -> Reconstruction:
        if known.update.client == 2:
            raise ZeroDivisionError("division by zero")
        return original(self, known, generator=generator)

    replaced(monkeypatch, Dlg, "reconstruct", second)
    statuses = {(row.attack, row.victim): row.status for row in attacked(run).rows if row.kind == "dlg"}
    assert statuses == {("dlg", 1): "ok", ("dlg", 2): "failed"}


def test_a_failure_on_several_updates_at_once_is_tried_one_by_one(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [row.metrics for row in attacked(run).rows if row.attack == "inverting_gradients"]
    (run.attacks / "inverting_gradients/attack.json").unlink()
    for part in (run.attacks / "inverting_gradients").glob("part-*"):
        part.unlink()
    monkeypatch.setattr(InvertingGradients, "victims_together", lambda self, known: 2)
    original = InvertingGradients.reconstruct_several

    def one(self: InvertingGradients, known: Any, *, generators: Any) -> Any:
        if len(known) > 1:
            raise RuntimeError("too large")
        return original(self, known, generators=generators)

    monkeypatch.setattr(InvertingGradients, "reconstruct_several", one)
    rows = [row for row in attacked(run).rows if row.attack == "inverting_gradients"]
    assert [row.status for row in rows] == ["ok", "ok"]
    assert [row.metrics["mse"] for row in rows] == pytest.approx([metrics["mse"] for metrics in expected], rel=1e-3)
    assert "round 1, client 1; round 1, client 2" in run.errors.read_text()


def test_an_error_while_planning_groups_is_one_of_the_attack(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InvertingGradients, "victims_together", raises(LookupError("no group")))
    assert all(row.status == "ok" for row in attacked(run).rows)


RESULTS: list[tuple[Any, str]] = [
    (None, "TypeError: expected a Reconstruction"),
    (torch.zeros(1, 1, 8, 8), "TypeError: expected a Reconstruction"),
    (Reconstruction(None), "TypeError: expected a Reconstruction"),  # type: ignore[arg-type]
    (Reconstruction(torch.zeros(1, 3, 8, 8)), "ValueError: reconstruction: expected"),
    (Reconstruction(torch.zeros(0, 1, 8, 8)), "ValueError: reconstruction: expected"),
    (Reconstruction(torch.zeros(1, 1, 8, 8), curve={"loss": ["high"]}), "ValidationError: "),  # type: ignore[list-item]
    (Reconstruction(torch.zeros(1, 1, 8, 8), labels=torch.tensor([torch.nan])), "ValueError: cannot convert"),
    (Reconstruction(torch.full((1, 1, 8, 8), torch.inf)), "the reconstruction is not finite"),
]


@pytest.mark.parametrize(("given", "reason"), RESULTS)
def test_what_is_no_reconstruction_is_a_failed_row(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, given: Any, reason: str
) -> None:
    replaced(monkeypatch, Dlg, "reconstruct", lambda *_, **__: given)
    rows = [row for row in attacked(run).rows if row.attack == "dlg"]
    assert [row.status for row in rows] == ["failed", "failed"]
    assert all(row.reason.startswith(reason) for row in rows), rows[0].reason


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.uint8])
def test_one_tensor_for_all_updates_of_any_type_is_stored(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    """Safetensors stores no shared memory."""
    image = torch.ones(1, 1, 8, 8, dtype=dtype).requires_grad_(dtype.is_floating_point)
    replaced(monkeypatch, Dlg, "reconstruct", lambda *_, **__: Reconstruction(image))
    assert [row.status for row in attacked(run).rows if row.attack == "dlg"] == ["ok", "ok"]


def test_unexpected_failures_are_repeated_by_the_next_run_and_declared_ones_are_not(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        replaced(patch, Dlg, "reconstruct", raises(OSError("the disk went away")))
        assert [row.status for row in attacked(run).rows if row.attack == "dlg"] == ["failed", "failed"]
    assert [row.status for row in attacked(run).rows if row.attack == "dlg"] == ["ok", "ok"]
    assert not run.errors.exists(), "the log is that of the last run"
    record = load_record(run.attacks / "dlg")
    assert record is not None
    assert not any(attempt.crashed for attempt in record.attempts)


def test_an_interruption_ends_the_run_and_keeps_what_is_done(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Dlg.reconstruct, []

    def second(self: Dlg, known: Any, *, generator: torch.Generator) -> Reconstruction:
        calls.append(known.update.client)
        if calls == [1, 2]:
            raise KeyboardInterrupt
        return original(self, known, generator=generator)

    replaced(monkeypatch, Dlg, "reconstruct", second)
    with pytest.raises(KeyboardInterrupt):
        attacked(run)
    assert all(row.status == "ok" for row in attacked(run).rows)
    assert calls == [1, 2, 2], "the first update was not attacked again"


def test_an_error_of_the_users_input_still_ends_the_run(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(monkeypatch, Dlg, "reconstruct", raises(InputError("model.path", "x:y", "not trusted")))
    with pytest.raises(InputError, match="not trusted"):
        attacked(run)


def test_training_that_fails_fails_for_every_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fedleak.attacks.generative.lti import Lti

    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path / "cache"))
    run = run_federation(tmp_path / "run", scenario(federation__rounds=1))
    replaced(monkeypatch, Lti, "fit", raises(NameError("name 'nm' is not defined")))
    rows = {name: [row for row in attacked(run).rows if row.attack == name] for name in ("lti", "git_coarse")}
    assert {row.reason for row in rows["lti"]} == {"NameError: name 'nm' is not defined"}
    assert {row.status for row in rows["git_coarse"]} == {"ok"}
    assert "attack lti, training" in run.errors.read_text()


def test_a_failing_label_inference_leaves_images_without_labels(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``dlg`` finds its own labels; the other attack is given inferred ones, and cannot begin."""
    replaced(monkeypatch, CalibratedCounts, "infer", raises(IndexError("list index out of range")))
    rows = {row.attack: row for row in attacked(run).rows}
    assert rows["dlg"].status == "ok"
    assert (rows["inverting_gradients"].status, rows["inverting_gradients"].reason) == (
        "failed",
        "IndexError: list index out of range",
    )


def test_labels_that_could_not_be_inferred_are_noted(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(monkeypatch, Dlg, "reconstruct", lambda *_, **__: Reconstruction(torch.zeros(1, 1, 8, 8)))
    replaced(monkeypatch, CalibratedCounts, "infer", raises(IndexError("out of range")))
    results = attacked(run)
    assert {(row.status, row.label_guess) for row in results.rows if row.attack == "dlg"} == {("ok", None)}
    noted = "dlg: 2 of 2 reconstructions have no labels: calibrated_counts: IndexError: out of range"
    assert noted in results.notes


def test_a_failing_metric_is_absent_and_the_others_are_there(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mse, "evaluate", raises(ValueError("no\nluck")))
    results = attacked(run)
    assert "mse is absent: it failed: ValueError: no luck" in results.notes
    for row in results.rows:
        assert row.metrics["mse"] is None
        assert row.metrics["psnr"] is not None
    assert "metric mse" in run.errors.read_text()


def test_a_metric_with_too_few_values_is_absent(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mse, "evaluate", lambda self, guess, truth: torch.zeros(()))
    assert any("mse is absent: it failed: ValueError: expected one value" in note for note in attacked(run).notes)


def test_a_failing_analysis_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = scenario(attacks=BOTH[:1], adversary={"level": 2}, federation__rounds=1, analyses=["igsa"])
    run = run_federation(tmp_path / "run", chosen)
    monkeypatch.setattr(Igsa, "evaluate", raises(RuntimeError("singular")))
    results = attacked(run)
    assert "igsa is incomplete: RuntimeError: singular" in results.notes
    assert all(row.status == "ok" for row in results.rows)


def test_an_exit_in_an_attack_does_not_end_python(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(monkeypatch, Dlg, "reconstruct", lambda *_, **__: sys.exit("bye"))
    assert {row.reason for row in attacked(run).rows if row.attack == "dlg"} == {"SystemExit: bye"}
