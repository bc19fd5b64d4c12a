"""The boundary: an attack receives what it asks for and was granted, and finds nothing else in it."""

from __future__ import annotations

import inspect
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from fedleak import threat
from fedleak.attacks.base import Attack, TrainedAttack
from fedleak.families import kinds
from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.run_directory import RunDirectory
from fedleak.scenario.schema import Scenario
from fedleak.stages.attack.view import CapabilityNotGrantedError, View
from fedleak.stages.score.truth import TruthReader
from fedleak.threat import CAPABILITIES, Capability, granted_by_level, required_capabilities
from fedleak.transcript.reader import TranscriptReader
from tests.reachable import arrays, overlap, reachable
from tests.scenarios import command, run_federation, scenario, write_scenario

ATTACKS = kinds("attack")


def everything_asked(**capabilities: Capability) -> None:
    """Stands for an attack that asks for every grantable capability."""


everything_asked.__annotations__ = {
    name: capability
    for name, capability in CAPABILITIES.items()
    if capability.level is not None and not capability.by_name
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished federation with everything granted, also of a server that crafts models."""
    crafted = scenario(adversary__crafting={"kind": "trap_weights"})
    return run_federation(tmp_path_factory.mktemp("boundary") / "run", crafted)


@pytest.fixture(scope="module")
def view(run: RunDirectory) -> View:
    """All knowledge about the first update."""
    reader = TranscriptReader(run.transcript)
    return View(reader, granted_by_level(5), reader.manifest.updates[0])


def check_no_paths(values: list[object], run: RunDirectory) -> None:
    """No path, and no text that names the run directory."""
    assert not [v for v in values if isinstance(v, Path)]
    assert not [v for v in values if isinstance(v, str) and str(run.root) in v]
    assert not [v for v in values if isinstance(v, TranscriptReader | RunDirectory | TruthReader | View | Scenario)]


def check_no_truth(values: list[object], run: RunDirectory) -> None:
    """No private image in any form: not its memory, not its pixels."""
    truth = TruthReader(run.truth)
    private = [truth.batch(row) for row in range(len(TranscriptReader(run.transcript).manifest.updates))]
    for batch in private:
        for image in batch.images:
            for array in arrays(values):
                flat = torch.as_tensor(array).flatten().to(torch.float32)
                if flat.numel() % image.numel() == 0 and flat.numel() < 10**6:
                    rows = flat.reshape(-1, image.numel())
                    assert not (rows / 255 - image.flatten()).abs().amax(1).lt(1e-6).any()
                    assert not (rows - image.flatten()).abs().amax(1).lt(1e-6).any()


def test_the_walker_finds_what_is_hidden(run: RunDirectory) -> None:
    secret, tensor = Path("/secret"), torch.ones(3, requires_grad=True)

    class Slotted:
        __slots__ = ("hidden",)

        def __init__(self) -> None:
            self.hidden = {"a": [lambda: secret]}

    assert secret in reachable(Slotted())
    assert any(v is tensor for v in reachable((tensor * 2).grad_fn))
    whole = torch.zeros(10)
    assert overlap({"a": whole[2:4]}, [whole[7:]])
    assert not overlap(whole, torch.zeros(10))
    reader = TranscriptReader(run.transcript)
    with pytest.raises(AssertionError):
        check_no_paths(reachable(reader), run)
    with pytest.raises(AssertionError):
        check_no_truth([TruthReader(run.truth).batch(0).images.clone()], run)


def test_no_capability_leads_to_a_path_or_the_truth(run: RunDirectory, view: View) -> None:
    known = view.capabilities(everything_asked)
    assert set(known) == set(everything_asked.__annotations__)
    values = reachable(*known.values())
    check_no_paths(values, run)
    check_no_truth(values, run)


def test_every_tensor_is_detached_and_unshared(view: View) -> None:
    known = view.capabilities(everything_asked)
    for value in reachable(*known.values()):
        if isinstance(value, torch.Tensor):
            assert value.grad_fn is None
            assert not value.requires_grad
    names = sorted(known)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            assert not overlap(known[first], known[second]), f"{first} and {second} share memory"


def test_each_attack_gets_its_own_copies(view: View) -> None:
    first, second = (view.capabilities(everything_asked) for _ in range(2))
    for name in first:
        assert not overlap(first[name], second[name]), name
    update = first["shared_update"]
    assert isinstance(update, threat.SharedUpdate)
    next(iter(update.tensors.values())).fill_(7)
    again = view.capabilities(everything_asked)["shared_update"]
    assert isinstance(again, threat.SharedUpdate)
    assert not (next(iter(again.tensors.values())) == 7).all()


def test_what_attacks_really_receive(run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Walk every argument of every call that the attack stage makes, ``self`` and progress included."""
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path / "cache"))  # nothing trained before, so that fit is called
    calls: list[str] = []
    checked = scenario()

    def spy(cls: type[Attack], name: str) -> None:
        original = getattr(cls, name)

        def walked(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            values = reachable(*args, *kwargs.values())
            check_no_paths(values, run)
            check_no_truth(values, run)
            assert not [v for v in values if isinstance(v, torch.Tensor) and v.grad_fn is not None]
            return original(*args, **kwargs)

        walked.__annotations__ = inspect.get_annotations(original, eval_str=False)
        walked.__wrapped__ = original  # type: ignore[attr-defined]
        monkeypatch.setattr(cls, name, walked)

    for component in checked.attacks:
        assert isinstance(component, TrainedAttack)
        for name in ("fit", "restore", "reconstruct"):
            spy(type(component), name)
    attack_run(run, progress=QuietProgress(), isolated=False)
    assert set(calls) == {"fit", "restore", "reconstruct"}


@pytest.mark.parametrize("name", list(everything_asked.__annotations__))
def test_a_view_refuses_what_is_not_granted(run: RunDirectory, name: str) -> None:
    reader = TranscriptReader(run.transcript)
    view = View(reader, granted_by_level(5) - {name}, reader.manifest.updates[0])
    with pytest.raises(CapabilityNotGrantedError, match=name):
        view.capabilities(everything_asked)


def test_training_cannot_ask_for_an_update(run: RunDirectory) -> None:
    def fit(update: threat.SharedUpdate) -> None: ...

    with pytest.raises(LookupError):
        View(TranscriptReader(run.transcript), granted_by_level(5), None).capabilities(fit)


@pytest.mark.parametrize("kind", sorted(ATTACKS))
def test_an_ungranted_attack_is_refused_before_anything_runs(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    component = ATTACKS[kind]
    assert issubclass(component, Attack)
    needed = [c.capability_name() for c in component.capabilities() if c.level is not None]
    for missing in needed:
        monkeypatch.chdir(tmp_path)
        granted = sorted(set(needed) - {missing})
        path = write_scenario(tmp_path, adversary__level=None, adversary__grants=granted, attacks=[kind])
        outcome = command(capsys, "run", path, "--set", "adversary.label_inference=null")
        assert outcome.code == 2
        assert f"attacks.0: got '{kind}'; it needs {missing} (level" in outcome.errors[0]
        assert [p.name for p in tmp_path.iterdir()] == ["tiny.yaml"]


def test_levels_are_cumulative() -> None:
    levels = [granted_by_level(level) for level in range(6)]
    assert all(lower <= higher for lower, higher in pairwise(levels))
    assert levels[5] == {name for name, c in CAPABILITIES.items() if c.level is not None and not c.by_name}
    assert "injected_pairs" not in levels[4]
    assert {"shared_update", "model_architecture", "global_model"} <= levels[0]


def test_required_capabilities_are_read_off_the_annotations() -> None:
    def method(
        self: object, update: threat.SharedUpdate, count: int, *, prior: threat.PixelPrior, generator: torch.Generator
    ) -> None: ...

    assert required_capabilities(method) == {"update": threat.SharedUpdate, "prior": threat.PixelPrior}


def test_capability_names_and_summaries() -> None:
    for name, capability in CAPABILITIES.items():
        assert name == name.lower()
        assert capability.summary().endswith(".")
