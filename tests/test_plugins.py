"""Kinds of other packages: a real installed distribution on the path, found by its entry points."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedleak.cli.kinds import plugin_lines
from fedleak.errors import InputError
from fedleak.families import kind_named, kinds
from fedleak.plugins import plugins
from fedleak.run_directory import federation_fingerprint
from fedleak.scenario.file import load_scenario, to_yaml
from fedleak.scenario.reader import parse_yaml
from tests.scenarios import command, tiny

CODE = '''
"""Kinds that somebody else wrote."""
from __future__ import annotations
from typing import Literal
import torch
from torch import nn
from fedleak.attacks.base import Attack, Reconstruction
from fedleak.client.postprocess.base import PostProcess
from fedleak.data.sources.digits import Digits
from fedleak.metrics.base import Metric
from fedleak.models.base import Model
from fedleak.threat import PublicData, SharedUpdate

class Shade(Attack):
    """Returns the mean public image, darker."""
    kind: Literal["toy_shade"] = "toy_shade"
    factor: float = 0.5
    def reconstruct(self, update: SharedUpdate, public: PublicData, *, generator: torch.Generator) -> Reconstruction:
        mean = public.images.float().mean(dim=0, keepdim=True) / 255 * self.factor
        return Reconstruction(images=mean.expand(update.samples or 1, -1, -1, -1))

class Largest(Metric):
    """Largest difference of a pixel."""
    kind: Literal["toy_largest"] = "toy_largest"
    higher_is_better = False
    def evaluate(self, reconstruction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return (reconstruction - truth).abs().flatten(1).amax(dim=1)

class Halve(PostProcess):
    """Halves an update."""
    kind: Literal["toy_halve"] = "toy_halve"
    def apply(self, update, *, generator):
        return {name: tensor / 2 for name, tensor in update.items()}

class Line(Model):
    """One linear layer."""
    kind: Literal["toy_line"] = "toy_line"
    def module(self, input_shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0] * input_shape[1] * input_shape[2], classes))

class Few(Digits):
    """Handwritten digits under another name."""
    kind: Literal["toy_few"] = "toy_few"
'''
ENTRIES = {
    "fedleak.attacks": "toy_shade = toy_kinds:Shade\ntoy_broken = toy_missing:Nothing\nlti = toy_kinds:Shade",
    "fedleak.metrics": "toy_largest = toy_kinds:Largest",
    "fedleak.postprocess": "toy_halve = toy_kinds:Halve",
    "fedleak.models": "toy_line = toy_kinds:Line\ntoy_other_name = toy_kinds:Line\ntoy_no_model = toy_kinds:Shade",
    "fedleak.datasets": "toy_few = toy_kinds:Few",
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package, in a folder of the path as pip leaves it."""
    info = tmp_path / "toy_kinds-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-kinds\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{text}\n" for group, text in ENTRIES.items()))
    (tmp_path / "toy_kinds.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("toy_kinds", None)


def test_nothing_is_imported_until_it_is_named(installed: Path) -> None:
    sys.modules.pop("toy_kinds", None)
    found = plugins("fedleak.models")
    assert list(found) == ["toy_line", "toy_no_model", "toy_other_name"]
    assert {plugin.origin for plugin in found.values()} == {"toy-kinds 1.2"}
    load_scenario(tiny())
    assert "toy_kinds" not in sys.modules
    kind = kind_named("model", "toy_line")
    assert kind is not None
    assert (kind.__module__, kind.__name__) == ("toy_kinds", "Line")
    assert "toy_line" not in kinds("model"), "the shipped kinds stay what they are"


def test_a_scenario_names_them_like_any_other_kind(installed: Path) -> None:
    raw = tiny(
        budgets={},
        dataset="toy_few",
        model="toy_line",
        attacks=[{"kind": "toy_shade", "factor": 0.25}],
        metrics={"lpips": None, "toy_largest": {}},
        federation__client={"postprocess": ["toy_halve"]},
    )
    scenario = load_scenario(raw)
    assert scenario.attacks[0].model_dump()["factor"] == 0.25
    assert "toy_largest" in [metric.kind for metric in scenario.metrics.enabled()]
    again = load_scenario(parse_yaml(to_yaml(scenario)))
    assert again == scenario
    assert federation_fingerprint(again) == federation_fingerprint(scenario)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attacks": ["toy_broken"]}, r"fedleak\.attacks: toy_broken.*No module named 'toy_missing'.*toy-kinds 1\.2"),
        ({"model": "toy_no_model"}, r"no subclass of Model"),
        ({"model": "toy_other_name"}, r"its class has the kind 'toy_line'"),
        ({"attacks": [{"kind": "toy_shade", "colour": 1}]}, r"attacks\.0\.colour.*known: factor, id, kind, version$"),
        ({"attacks": ["toy_shad"]}, r"did you mean.*'toy_shade'|toy_shade"),
        ({"metrics": {"toy_smallest": {}}}, r"metrics\.toy_smallest.*unknown key"),
    ],
)
def test_a_broken_one_gives_one_message_and_breaks_no_other(
    installed: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_scenario(tiny(**changes))
    load_scenario(tiny(attacks=["toy_shade"]))


def test_the_list_says_where_they_come_from_and_what_is_wrong(
    installed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    attacks = dict(plugin_lines("attack"))
    assert attacks["toy_shade"] == "Returns the mean public image, darker. (toy-kinds 1.2)"
    assert attacks["toy_broken"].startswith("broken: it cannot be imported")
    assert attacks["lti"] == "not used: fedleak has a kind of this name (toy-kinds 1.2)"
    monkeypatch.setenv("COLUMNS", "200")
    outcome = command(capsys, "list", "datasets")
    assert outcome.code == 0
    assert "(toy-kinds 1.2)" in outcome.out


@pytest.mark.slow
def test_a_run_with_nothing_but_them_from_federation_to_report(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fedleak

    monkeypatch.setenv("FEDLEAK_ISOLATION", "on")  # the attacks' own process finds the package, too
    raw = tiny(
        dataset="toy_few",
        model="toy_line",
        attacks=["toy_shade"],
        metrics={"lpips": None, "toy_largest": {}},
        federation__client={"postprocess": ["toy_halve"]},
        adversary__injection=None,
    )
    results = fedleak.run(raw, out=tmp_path / "run")
    assert 0 < results.attacks[0].metrics["toy_largest"].mean <= 1
    assert results.attacks[0].failures == 0
