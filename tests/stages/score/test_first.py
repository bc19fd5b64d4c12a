from __future__ import annotations

from pathlib import Path

import pytest

from fedleak.pipeline import run
from fedleak.results.schema import load_results
from tests.scenarios import tiny


class Lines:
    """Progress that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def task(self, description: str, total: int) -> Lines:
        return self

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        pass

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.mark.parametrize("isolation", ["on", "off"])
def test_each_attack_is_told_with_its_error_as_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    monkeypatch.setenv("FEDLEAK_ISOLATION", isolation)
    raw = tiny()
    raw["attacks"] = [{"kind": "lti", "id": name, "hidden": 4, "training": {"epochs": 1}} for name in ("a", "b")]
    said = Lines()
    run(raw, out=tmp_path / "out", progress=said)
    results = load_results(tmp_path / "out")
    told = [line for line in said.lines if " rebuilt in " in line]
    assert [line.split(":")[0] for line in told] == ["attack a", "attack b"]
    for line, summary in zip(told, results.attacks, strict=False):
        assert f"{summary.images} images rebuilt in " in line
        assert f"MSE {summary.metrics['mse'].mean:.4f}"[:9] in line
    baseline = next(s for s in results.attacks if s.kind == "baseline_mean_image")
    assert f"mean public image: MSE {baseline.metrics['mse'].mean:.4f}"[:30] in told[0]


def test_an_attack_that_fails_is_told_with_its_reason(tmp_path: Path) -> None:
    raw = tiny()
    raw["attacks"] = [{"kind": "r_gap", "most_unknowns": 1}]  # every layer is too large
    raw["adversary"] = {"level": 1, "victims": {"clients": [1]}}
    said = Lines()
    run(raw, out=tmp_path / "out", progress=said)
    assert any(line.startswith("attack r_gap: failed on ") for line in said.lines)
