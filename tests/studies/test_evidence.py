"""What a recommendation lacks, by hand; ``test_frontier`` has every condition on a study."""

from __future__ import annotations

from typing import Any

import pytest

from fedleak.results.judgement import Shortcoming
from fedleak.results.schema import Interval
from fedleak.studies.evidence import gate_metric, lacking_evidence, stated_doubts, undefended
from fedleak.studies.measurements import Gate
from fedleak.studies.tradeoff import Leak, SeedRange, Setting

LEAK = Leak(attack="ig", interval=Interval(mean=0.5, low=0.4, high=0.6), adaptive=True, images=16)
GATE = Gate(attack="ig", baseline="baseline_mean_image", metric="ssim", mean=0.5, guessed=0.2, leaks=True)


def setting(number: int, *defenses: str, **changes: Any) -> Setting:
    """A setting with full evidence."""
    plain: dict[str, Any] = {
        "number": number,
        "name": f"defense={number}",
        "seeds": 1,
        "images": 16,
        "accuracy": SeedRange(mean=0.9, low=0.9, high=0.9),
        "bytes_per_round": 10.0,
        "defenses": defenses,
        "leaks": {"ssim": LEAK},
        "aware": {"ssim": LEAK},
        "gates": {"ssim": GATE},
    }
    return Setting.model_validate(plain | changes)


PLAIN, SIGN = setting(1), setting(2, "sign_sgd")


def kinds(*settings: Setting, metric: str = "ssim", candidate: int = 2) -> list[str]:
    return [each.kind for each in lacking_evidence(settings, candidate, metric)]


def test_full_evidence_lacks_nothing() -> None:
    assert kinds(PLAIN, SIGN) == []


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"not_learned": "at chance"}, "not_learned"),
        ({"aware": {}}, "no_adaptive_attacker"),
        ({"defenses": None}, "no_adaptive_attacker"),
        ({"images": 15}, "few_images"),
        ({"leaks": {"ssim": LEAK.model_copy(update={"images": 15})}}, "few_images"),
        ({"leaks": {"ssim": LEAK.model_copy(update={"interval": Interval(mean=0.5)})}}, "few_images"),
        ({"doubts": (Shortcoming(kind="not_converged", what="falling"),)}, "not_converged"),
    ],
)
def test_each_condition_of_the_candidate(changes: dict[str, Any], kind: str) -> None:
    assert kinds(PLAIN, SIGN.model_copy(update=changes)) == [kind]


def test_sums_alone_need_no_attack_that_adapts() -> None:
    assert kinds(PLAIN, setting(2, "secure_aggregation", aware={})) == []
    assert kinds(PLAIN, setting(2, "secure_aggregation", "top_k", aware={})) == ["no_adaptive_attacker"]


def test_one_working_undefended_setting_is_enough() -> None:
    broken = PLAIN.model_copy(update={"gates": {"ssim": GATE.model_copy(update={"leaks": False})}})
    assert kinds(broken, SIGN) == ["nothing_leaks"]
    assert kinds(broken, setting(3), SIGN) == []
    assert kinds(SIGN) == ["nothing_leaks"]
    assert undefended([PLAIN, SIGN, SIGN.model_copy(update={"defenses": None})]) == [PLAIN]


def test_rates_that_baselines_lack_are_gated_by_another_metric() -> None:
    both = {"leaks": {"ssim": LEAK, "wsrr": LEAK}, "aware": {"ssim": LEAK, "wsrr": LEAK}}
    assert kinds(PLAIN.model_copy(update=both), SIGN.model_copy(update=both), metric="wsrr") == []
    assert [gate_metric(PLAIN, name) for name in ("ssim", "wsrr")] == ["ssim", "ssim"]
    assert gate_metric(PLAIN.model_copy(update={"gates": {}}), "ssim") is None


def test_what_a_recommendation_states_and_does_not_forbid() -> None:
    found = tuple(
        Shortcoming.model_validate({"kind": kind, "what": kind})
        for kind in ("reduced_budget", "not_converged", "failures", "few_images")
    )
    assert [each.kind for each in stated_doubts(SIGN.model_copy(update={"doubts": found}))] == [
        "reduced_budget", "failures",
    ]  # fmt: skip
