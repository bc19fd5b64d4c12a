"""Every attack runs through a tiny real federation and leaves images of the right shape, and nothing else changed."""

from __future__ import annotations

import copy
import csv
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fedleak
from fedleak.attacks.base import Attack, TrainedAttack
from fedleak.families import kinds
from fedleak.progress import QuietProgress
from fedleak.results.schema import Results
from fedleak.scenario.file import load_scenario
from fedleak.scenario.schema import Scenario
from fedleak.stages.attack.record import load_images
from fedleak.stages.attack.view import View
from fedleak.threat import CAPABILITIES, SharedUpdate, bundles, required_capabilities
from fedleak.transcript.reader import TranscriptReader

KINDS = list(kinds("attack"))
CPU = torch.device("cpu")
BATCH, VICTIMS = 2, 2
TINY = {
    "parameters": 20_000,
    "training": {"epochs": 2, "batch_size": 8},
    "iterations": 3,
    "restarts": 2,
    "weight_iterations": 2,
}
SETTINGS = {
    "usual": [],
    "linear first layer": ["model={kind: mlp, hidden: [64]}"],
    "one image": ["federation.client.batch_size=1"],
    "patches": ["model={kind: vit, patch: 2, width: 32, mlp_width: 8, blocks: 1}"],
    "imprint": ["adversary.crafting={kind: imprint, bins: 16}"],
    "loki": ["adversary.crafting={kind: loki, bins: 16}"],
    "trap weights": [
        "model={kind: mlp, hidden: [16]}",
        "adversary.crafting={kind: trap_weights, activation_rate: 0.3}",
    ],
    "one class": [
        "federation.client.batch_size=10",
        "federation.partition={kind: one_per_class, classes_per_client: 10}",
        "adversary.crafting={kind: class_fishing, target: 9}",
    ],
    "plain patches": ["model={kind: vit, patch: 2, width: 32, mlp_width: 32, blocks: 2, design: plain}"],
}
"""Changes to the scenario for attacks that need another one."""
NEEDS = {
    "linear_layer": "linear first layer",
    "spear": "linear first layer",
    "git_ridge": "one image",
    "git_identified": "one image",
    "r_gap": "one image",
    "patch_positions": "patches",
    "april": "plain patches",
    "imprint": "imprint",
    "loki": "loki",
    "trap_weights": "trap weights",
    "class_fishing": "one class",
}
"""Attack -> the setting that it needs; the usual one for all others."""
FINDS = {"class_fishing": 1}
"""Attack -> images that it finds of every batch; all of them for all others."""


def tiny(kind: str) -> dict[str, Any]:
    """The kind with as little work as its settings allow."""
    known = kinds("attack")[kind].model_fields
    return {"kind": kind} | {name: value for name, value in TINY.items() if name in known}


SCENARIO: dict[str, Any] = {
    "name": "contract",
    "dataset": "digits",
    "model": {"kind": "lenet", "channels": 4},
    "federation": {
        "clients": 1 + VICTIMS,
        "rounds": 1,
        "client": {"batch_size": BATCH},
        "engine": {"kind": "serial"},
    },
    "adversary": {"level": 5, "public_images": 60, "injection": {"pairs": 24}},
    "metrics": {"lpips": None},
    "bootstrap_resamples": 100,
    "device": "cpu",
}


@dataclass(frozen=True)
class Run:
    """A finished run with every attack in it."""

    scenario: Scenario
    folder: Path
    results: Results

    @property
    def batch(self) -> int:
        """Images in an update."""
        return self.scenario.federation.client.batch_size


def scenario_for(setting: str) -> Scenario:
    """With all attacks that belong there."""
    attacks = [tiny(kind) for kind in KINDS if NEEDS.get(kind, "usual") == setting]
    return load_scenario(SCENARIO | {"attacks": attacks}, overrides=SETTINGS[setting])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """One for each setting."""
    made = {}
    for setting in SETTINGS:
        scenario, folder = scenario_for(setting), tmp_path_factory.mktemp("contract") / "run"
        made[setting] = Run(scenario, folder, fedleak.run(scenario, out=folder))
    return made


@pytest.fixture
def run(runs: dict[str, Run], kind: str) -> Run:
    return runs[NEEDS.get(kind, "usual")]


def attack(kind: str) -> Attack:
    made = kinds("attack")[kind].model_validate(tiny(kind))
    assert isinstance(made, Attack)
    return made


def contents(value: Any) -> Any:
    """Everything inside a capability, as something that can be compared."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return np.asarray(value).tobytes()
    if isinstance(value, Mapping):
        return {name: contents(item) for name, item in value.items()}
    if is_dataclass(value):
        return {field.name: contents(getattr(value, field.name)) for field in fields(value)}
    return repr(value) if not hasattr(value, "read") else contents(value.read(np.arange(len(value))))


def call(run: Run, component: Attack) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train and apply the attack by hand; the contents of every capability before and after."""
    reader = TranscriptReader(run.folder / "transcript")
    granted, update = run.scenario.adversary.granted, reader.manifest.updates[0]
    trained: tuple[Any, ...] = ()
    given: dict[str, Any] = {}
    before: dict[str, Any] = {}

    def known(method: Any, view: View) -> dict[str, Any]:
        capabilities = view.capabilities(method)
        given.update({f"{method.__name__}.{name}": value for name, value in capabilities.items()})
        before.update({f"{method.__name__}.{name}": contents(value) for name, value in capabilities.items()})
        return dict(capabilities)

    if isinstance(component, TrainedAttack):
        offline, generator = View(reader, granted, None), torch.Generator().manual_seed(0)
        artefact = component.fit(
            **known(component.fit, offline), generator=generator, progress=QuietProgress(), device=CPU
        )
        kept = copy.deepcopy(artefact)
        trained = (component.restore(artefact, **known(component.restore, offline), device=CPU),)
        assert contents(artefact) == contents(kept)
    inference = run.scenario.adversary.label_inference
    online = View(reader, granted, update, inference=inference)
    component.reconstruct(*trained, **known(component.reconstruct, online), generator=torch.Generator())
    return before, {name: contents(value) for name, value in given.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_it_rebuilds_finite_images_in_range_for_every_victim(run: Run, kind: str) -> None:
    images = load_images(run.folder / "attacks" / kind)
    assert sorted(images) == list(range(VICTIMS))
    for batch in images.values():
        assert batch.shape == (FINDS.get(kind, run.batch), 1, 8, 8)
        assert batch.dtype == torch.float32
        assert batch.isfinite().all()
        assert batch.min() >= 0
        assert batch.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_image_has_a_row_with_scores(run: Run, kind: str) -> None:
    rows = [row for row in csv.DictReader((run.folder / "results.csv").open()) if row["attack"] == kind]
    images = [(str(victim), str(image)) for victim in (1, 2) for image in range(run.batch)]
    if kind in FINDS:
        assert [row["victim"] for row in rows] == [str(victim) for victim in (1, 2) for _ in range(FINDS[kind])]
    else:
        assert [(row["victim"], row["image"]) for row in rows] == images
    for row in rows:
        assert row["status"] == "ok"
        assert all(np.isfinite(float(row[name])) for name in ("mse", "psnr", "ssim", "seconds"))
        assert row["lpips"] == ""


@pytest.mark.parametrize("kind", KINDS)
def test_results_state_what_it_was_given(run: Run, kind: str) -> None:
    (summary,) = [summary for summary in run.results.attacks if summary.attack == kind]
    assert set(summary.capabilities) == {c.capability_name() for c in attack(kind).wanted()}
    assert summary.failures == 0
    assert summary.description == kinds("attack")[kind].summary()


@pytest.mark.parametrize("kind", KINDS)
def test_it_asks_for_known_capabilities_only_and_for_an_update(kind: str) -> None:
    asked = attack(kind).capabilities()
    assert asked <= set(CAPABILITIES.values())
    assert SharedUpdate in asked


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_of_its_methods_is_a_capability_or_offered_by_the_framework(kind: str) -> None:
    component = attack(kind)
    offered = {"fit": {"generator", "progress", "device"}, "restore": {"artefact", "device"}}
    for method in component.entry_methods():
        parameters = dict(inspect.signature(method).parameters)
        parameters.pop("self")
        if isinstance(component, TrainedAttack) and method.__name__ == "reconstruct":
            parameters.pop(next(iter(parameters)))
        names = {c.__name__ for c in CAPABILITIES.values()}
        names |= {f"{name} | None" for name in names}
        rest = {name for name, p in parameters.items() if p.annotation not in names} - bundles(method).keys()
        assert rest <= offered.get(method.__name__, {"generator"}), method.__name__


@pytest.mark.parametrize("kind", KINDS)
def test_training_never_asks_for_a_victims_update(kind: str) -> None:
    component = attack(kind)
    if not isinstance(component, TrainedAttack):
        pytest.skip("it is not trained")
    for method in (component.fit, component.restore):
        assert SharedUpdate not in required_capabilities(method).values()


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_is_given_stays_as_it_was(run: Run, kind: str) -> None:
    state = torch.get_rng_state()
    before, after = call(run, attack(kind))
    assert before
    assert after == before
    assert torch.equal(torch.get_rng_state(), state)
