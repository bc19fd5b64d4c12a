from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fedleak.report.answer import answer_lines
from fedleak.report.verdict import decide
from fedleak.results.schema import Results

Make = Callable[..., Results]


def with_capabilities(results: Results, *names: str) -> Results:
    attacks = tuple(
        s if s.is_baseline else s.model_copy(update={"capabilities": ("shared_update", *names)})
        for s in results.attacks
    )
    return results.model_copy(update={"attacks": attacks})


def test_a_leak_is_told_with_its_adversary_and_the_lack_of_a_defense(make_results: Make) -> None:
    results = with_capabilities(make_results(rounds=10), "injected_pairs")
    verdict = decide(results)
    assert verdict.tone == "leaks"
    assert dict(answer_lines(results, verdict)) == {
        "To whom": "To a server that injects its own images through one client: git_coarse, SoK level 5; "
        "D (data-enhanced eavesdropper), and injects data through one client.",
        "Defense": "None: clients share their updates as they are; the model reaches an accuracy of "
        f"{100 * results.federation[-1].accuracy:.1f} %.",
    }


def test_a_defense_is_named_with_the_accuracy_that_the_model_reaches(make_results: Make, tmp_path: Path) -> None:
    client = {"postprocess": [{"kind": "top_k", "share": 0.1}]}
    scenario: dict[str, object] = {"federation": {"client": client}}
    results = make_results(rounds=2).model_copy(update={"scenario": scenario})
    text = dict(answer_lines(results, decide(results)))["Defense"]
    assert text.startswith("top_k; the model reaches an accuracy of 51.9 %; what that costs, a run without them shows")
