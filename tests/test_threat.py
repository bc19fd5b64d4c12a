"""The boundary: an attack receives what it asks for and was granted, and finds nothing else in it."""

from __future__ import annotations

import gc
import inspect
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedleak import threat
from fedleak.attacks.base import Attack, Reconstruction, TrainedAttack
from fedleak.families import kinds
from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.run_directory import RunDirectory
from fedleak.scenario import Scenario
from fedleak.threat import CAPABILITIES, Capability, granted_by_level, required_capabilities
from fedleak.transcript.reader import TranscriptReader
from fedleak.transcript.views import CapabilityNotGrantedError, View
from fedleak.truth import TruthReader
from tests.scenarios import command, run_federation, scenario, write_scenario

ATTACKS = kinds("attack")


def everything_asked(**capabilities: Capability) -> None:
    """Stands for an attack that asks for every grantable capability."""


everything_asked.__annotations__ = {
    name: capability for name, capability in CAPABILITIES.items() if capability.level is not None
}


def children(value: object) -> Iterator[object]:
    """What an object leads to: attributes, slots, items, closures, and whatever the garbage collector knows."""
    yield from vars(value).values() if hasattr(value, "__dict__") else ()
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, slot):
                yield getattr(value, slot)
    if isinstance(value, Mapping):
        yield from (*value.keys(), *value.values())
    if isinstance(value, types.MethodType):
        yield value.__self__
    if isinstance(value, types.FunctionType):
        yield from (cell.cell_contents for cell in value.__closure__ or ())
        return  # its globals are those of its module
    if isinstance(value, torch.Tensor):
        yield from (value.grad, value.grad_fn, value._base)
    if isinstance(value, torch.autograd.graph.Node):
        yield from (value.next_functions, getattr(value, "variable", None))
        yield from (getattr(value, name) for name in dir(value) if name.startswith("_saved_"))
    if isinstance(value, np.ndarray):
        yield value.base
    yield from gc.get_referents(value)


def is_code(value: object) -> bool:
    """Modules, classes and built-ins: the program, not what the attack was given."""
    return isinstance(value, types.ModuleType | type | types.BuiltinFunctionType | types.CodeType | types.FrameType)


def reachable(*roots: object) -> list[object]:
    """Everything that can be reached from ``roots``."""
    seen: dict[int, object] = {}
    waiting = list(roots)
    while waiting:
        value = waiting.pop()
        if id(value) in seen or is_code(value):
            continue
        seen[id(value)] = value
        waiting += list(children(value))
    return list(seen.values())


def memory(value: torch.Tensor | np.ndarray[Any, Any]) -> tuple[int, int]:
    """First and last address of the storage."""
    if isinstance(value, torch.Tensor):
        storage = value.untyped_storage()
        return storage.data_ptr(), storage.data_ptr() + storage.nbytes()
    while isinstance(value.base, np.ndarray):
        value = value.base
    return np.lib.array_utils.byte_bounds(value)


def arrays(values: list[object]) -> list[torch.Tensor | np.ndarray[Any, Any]]:
    """Tensors and arrays that hold anything."""
    found = [v for v in values if isinstance(v, torch.Tensor | np.ndarray)]
    return [v for v in found if (v.numel() if isinstance(v, torch.Tensor) else v.size)]


def overlap(first: object, second: object) -> bool:
    """Whether any arrays reachable from the two share memory."""
    spans = [[memory(v) for v in arrays(reachable(root))] for root in (first, second)]
    return any(a < d and c < b for a, b in spans[0] for c, d in spans[1])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished federation with everything granted."""
    return run_federation(tmp_path_factory.mktemp("boundary") / "run", scenario())


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


def test_what_attacks_really_receive(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Walk every argument of every call that the attack stage makes, ``self`` and progress included."""
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
    attack_run(run, progress=QuietProgress())
    assert set(calls) == {"fit", "restore", "reconstruct"}


@pytest.mark.parametrize("name", [n for n, c in CAPABILITIES.items() if c.level is not None])
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
    assert all(a <= b for a, b in zip(levels, levels[1:], strict=False))
    assert levels[5] == {name for name, c in CAPABILITIES.items() if c.level is not None}
    assert "injected_pairs" not in levels[4]
    assert {"shared_update", "model_architecture", "global_model"} <= levels[0]


def test_required_capabilities_are_read_off_the_annotations() -> None:
    def method(
        self: object, update: threat.SharedUpdate, count: int, *, prior: threat.PixelPrior, generator: torch.Generator
    ) -> Reconstruction: ...

    assert required_capabilities(method) == {"update": threat.SharedUpdate, "prior": threat.PixelPrior}


def test_capability_names_and_summaries() -> None:
    for name, capability in CAPABILITIES.items():
        assert name == name.lower()
        assert capability.summary().endswith(".")
