"""The report's description of the adversary: channel, capabilities, and what was not granted."""

from __future__ import annotations

from dataclasses import dataclass

from fedleak.results.schema import CapabilityNote, Results
from fedleak.results.threat_models import threat_models

NAMED_USERS = 6
"""Maximum number of attacks listed as users of a capability."""
_TRUE_LABELS = "true_labels"


@dataclass(frozen=True)
class CapabilityLine:
    """One row of the table of capabilities."""

    name: str
    level: str
    summary: str
    users: str


@dataclass(frozen=True)
class ThreatLine:
    """One row of the table of threat models."""

    attack: str
    adversary: str
    level: int
    letter: str
    title: str
    beyond: str


@dataclass(frozen=True)
class AdversaryDescription:
    """Description of the adversary, ready for the template."""

    channel: str
    capabilities: tuple[CapabilityLine, ...]
    lacked: str
    models: tuple[ThreatLine, ...] = ()


def describe_adversary(results: Results) -> AdversaryDescription:
    """Describe the threat model of a run."""
    attacks = {summary.attack for summary in results.attacks if not summary.is_baseline}
    capabilities = tuple(_describe(note, attacks) for note in results.capabilities)
    models = tuple(
        ThreatLine(attack, model.adversary, model.level, model.letter, model.title, "; ".join(model.beyond))
        for attack, model in threat_models(results).items()
    )
    return AdversaryDescription(_channel(results), capabilities, _lacked(results), models)


def _describe(note: CapabilityNote, attacks: set[str]) -> CapabilityLine:
    level = "derived" if note.level is None else str(note.level)
    return CapabilityLine(note.name.replace("_", " "), level, note.summary, _users(note.used_by, attacks))


def _users(used_by: tuple[str, ...], attacks: set[str]) -> str:
    if len(attacks) > 1 and attacks <= set(used_by):
        return "all attacks"
    more = len(used_by) - NAMED_USERS
    return ", ".join(used_by[:NAMED_USERS]) + (f" and {more} more" if more > 0 else "")


def _channel(results: Results) -> str:
    if results.compromised is None:
        return "It controlled no client and was passive."
    if not results.pairs:
        return f"Client {results.compromised} is compromised, but no data was injected."
    return (
        f"It controlled the channel of client {results.compromised} and injected public images: "
        f"{results.pairs:,} input-update pairs were collected. It was passive towards all other clients."
    )


def _lacked(results: Results) -> str:
    granted = {capability.name for capability in results.capabilities}
    never = "the victims' images" if _TRUE_LABELS in granted else "the victims' images or their true labels"
    withheld = ", ".join(note.name.replace("_", " ") for note in results.withheld)
    ending = f" Not granted: {withheld}." if withheld else ""
    return f"It never saw {never}; they were used for scoring only.{ending}"
