"""Below the verdict of a run: to whom images leak, and what defends the clients."""

from __future__ import annotations

from collections.abc import Mapping

from fedleak.report.verdict import RunVerdict
from fedleak.results.format import percent
from fedleak.results.judgement import defenses
from fedleak.results.schema import Results
from fedleak.results.threat_models import ThreatModel, threat_models

Line = tuple[str, str]


def answer_lines(results: Results, verdict: RunVerdict) -> tuple[Line, ...]:
    """Title and text of the lines below the verdict."""
    models = threat_models(results)
    lines = [("To whom", _to_whom(models, verdict))] if models else []
    return (*lines, ("Defense", _defense(results)))


def _to_whom(models: Mapping[str, ThreatModel], verdict: RunVerdict) -> str:
    """The adversary of the strongest attack; without one, those who were tried."""
    strongest = verdict.strongest
    if strongest is not None and strongest.attack in models:
        model = models[strongest.attack]
        start = "To" if verdict.tone == "leaks" else "The closest attack is that of"
        return f"{start} {model.adversary}: {strongest.attack}, SoK {model.text}."
    who = dict.fromkeys(model.adversary for model in models.values())
    return f"Tried: {'; '.join(who)}."


def _defense(results: Results) -> str:
    """What the clients do, and the accuracy that the model has with it."""
    found = defenses(results.scenario)
    accuracy = results.federation[-1].accuracy if results.federation else None
    reached = f"; the model reaches an accuracy of {percent(accuracy)}" if accuracy is not None else ""
    if not found:
        return f"None: clients share their updates as they are{reached}."
    cost = "what that costs, a run without them shows: fedleak compare RUN_DIR RUN_DIR"
    return f"{', '.join(found)}{reached}; {cost}."
