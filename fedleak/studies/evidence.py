"""What a study lacks before one of its settings may be recommended. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedleak.results.format import metric_title, metric_value, plural
from fedleak.results.judgement import FEWEST_SCORED, Shortcoming, ShortcomingKind, lacks_interval, to_adapt_to
from fedleak.studies.tradeoff import Setting

LEAKAGE = ("lpips", "ssim", "psnr", "mse")
"""Default leakage metric: the first of these that every setting has; they are compared with baselines, too."""
STATED = ("reduced_budget", "failures", "single_leaks")
"""Doubts about a recommended setting that are stated beside it and do not prevent the recommendation."""


def lacking_evidence(settings: Sequence[Setting], candidate: int, metric: str) -> tuple[Shortcoming, ...]:
    """Conditions for the recommendation of a setting that are not met.

    Args:
        settings: those of one case that were measured in full.
        candidate: number of the setting that would be recommended.
        metric: the leakage metric.
    """
    chosen = next(setting for setting in settings if setting.number == candidate)
    found: list[tuple[ShortcomingKind, Iterator[str]]] = [
        ("not_learned", _not_learned(settings, chosen)),
        ("nothing_leaks", _nothing_leaks(settings, metric)),
        ("no_adaptive_attacker", _not_adapting(settings, metric)),
        ("few_images", _few(settings, metric)),
        ("not_converged", (doubt.what for doubt in chosen.doubts if doubt.kind == "not_converged")),
    ]
    texts = [(kind, "; ".join(texts)) for kind, texts in found]
    return tuple(Shortcoming(kind=kind, what=text) for kind, text in texts if text)


def stated_doubts(setting: Setting) -> tuple[Shortcoming, ...]:
    """What a recommendation of the setting has to mention."""
    return tuple(doubt for doubt in setting.doubts if doubt.kind in STATED)


def undefended(settings: Sequence[Setting]) -> list[Setting]:
    """Settings whose clients share their updates as they are."""
    return [setting for setting in settings if setting.defenses == ()]


def gate_metric(setting: Setting, metric: str) -> str | None:
    """The leakage metric if baselines have it, too, else another that they have."""
    return next((name for name in (metric, *LEAKAGE) if name in setting.gates), None)


def _name(setting: Setting) -> str:
    return setting.name or "the only setting"


def _not_learned(settings: Sequence[Setting], chosen: Setting) -> Iterator[str]:
    concerned = dict.fromkeys([chosen.number, *(setting.number for setting in undefended(settings))])
    for setting in settings:
        if setting.number in concerned and setting.not_learned:
            yield f"{_name(setting)}: {setting.not_learned}"


def _nothing_leaks(settings: Sequence[Setting], metric: str) -> Iterator[str]:
    """Nothing if an attack beats the baselines under some undefended setting."""
    plain = undefended(settings)
    if not plain:
        yield "the study has no finished setting without a defense, so it is not known whether its attacks work"
        return
    gates = [(s, name, s.gates[name]) for s in plain if (name := gate_metric(s, metric)) is not None]
    if not gates:
        yield "no baseline was measured under the undefended setting"
    elif not any(gate.leaks for _, _, gate in gates):
        setting, name, gate = gates[0]
        yield (
            f"{_name(setting)}: {gate.attack} has {metric_title(name)} {metric_value(name, gate.mean)}, which is not "
            f"clearly better than the {metric_value(name, gate.guessed)} of {gate.baseline}, which sees no update"
        )


def _not_adapting(settings: Sequence[Setting], metric: str) -> Iterator[str]:
    for setting in settings:
        if setting.defenses is None:
            yield f"{_name(setting)}: its cells do not record what the clients do; run them again with --force"
        elif (found := to_adapt_to(setting.defenses)) and metric not in setting.aware:
            yield f"{_name(setting)}: no attack adapts to {', '.join(found)}"


def _few(settings: Sequence[Setting], metric: str) -> Iterator[str]:
    for setting in settings:
        leak = setting.leaks[metric]
        images = min(leak.images, setting.images)
        if images < FEWEST_SCORED:
            yield f"{_name(setting)}: {plural(images, 'scored image')}, fewer than {FEWEST_SCORED}"
        elif lacks_interval(leak.interval):
            yield f"{_name(setting)}: the mean of {leak.attack} has no interval"
