"""The adversary of a run in the two taxonomies of the literature. Torch-free.

Threat levels 0 to 5 are those of Du et al. 2024, "SoK: On Gradient Leakage in Federated Learning" (arXiv 2404.05403).
Threat models A to H are those of Carletti et al. 2025, "SoK: Gradient Inversion Attacks in Federated Learning" (USENIX
Security 2025): seven kinds of knowledge and power, and the eight combinations of them that the authors tell apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fedleak.results.schema import Results

SURROGATE, DISTRIBUTION, MANIPULATION = "surrogate data", "client data distribution", "active manipulation"
TRAINING, BASIC = "training details", "basic knowledge"
MODELS: Mapping[str, tuple[str, frozenset[str]]] = {
    "A": ("eavesdropper", frozenset()),
    "B": ("informed eavesdropper", frozenset({BASIC})),
    "C": ("parameter-aware eavesdropper", frozenset({BASIC, TRAINING})),
    "D": ("data-enhanced eavesdropper", frozenset({BASIC, TRAINING, SURROGATE})),
    "E": ("statistical-informed eavesdropper", frozenset({BASIC, TRAINING, SURROGATE, DISTRIBUTION})),
    "F": ("active manipulator", frozenset({BASIC, TRAINING, MANIPULATION})),
    "G": ("data-enhanced manipulator", frozenset({BASIC, TRAINING, SURROGATE, MANIPULATION})),
}
"""Letter -> name and what the adversary has beyond the updates, weakest first. H is G with a choice of the clients of
a round, which no attack here has."""
_KNOWLEDGE: Mapping[str, str] = {
    "pixel_prior": BASIC,
    "public_data": SURROGATE,
    "injected_pairs": SURROGATE,
    "training_details": TRAINING,
    "update_version": TRAINING,
    "post_processing_details": TRAINING,
    "mini_batch_order": TRAINING,
    "batch_statistics": DISTRIBUTION,
    "model_tampering": MANIPULATION,
}
"""Capability -> the knowledge of Carletti et al. that it is, by our reading; others belong to all their models."""
BEYOND: Mapping[str, str] = {
    "injected_pairs": "injects data through one client",
    "mini_batch_order": "knows the order of the batches",
    "true_labels": "is given the true labels",
}
"""Capability -> what no model of A to H has, in words."""


@dataclass(frozen=True)
class ThreatModel:
    """What one attack used, in both taxonomies.

    Attributes:
        level: highest threat level (0 to 5) of the capabilities that it used.
        letter, title: the first of the models A to G that has all that it used.
        beyond: what it used in addition that no model of A to H has.
    """

    level: int
    letter: str
    title: str
    beyond: tuple[str, ...]

    @property
    def adversary(self) -> str:
        """Who the adversary is, in plain words."""
        if self.letter in "FG":
            return "a malicious server that crafts the model"
        if BEYOND["injected_pairs"] in self.beyond:
            return "a server that injects its own images through one client"
        return "a passive server that sees single updates"

    @property
    def text(self) -> str:
        """``level 5; D (data-enhanced eavesdropper), and injects data through one client``."""
        return f"level {self.level}; {self.letter} ({self.title}){''.join(f', and {each}' for each in self.beyond)}"


def threat_model(used: Iterable[str], levels: Mapping[str, int | None], *, crafted: bool = False) -> ThreatModel:
    """The threat model of an attack.

    Args:
        used: names of the capabilities that the attack was given.
        levels: capability -> threat level; None for derived ones.
        crafted: whether clients were sent models that the server had crafted.
    """
    names = frozenset(used)
    has = {_KNOWLEDGE[name] for name in names if name in _KNOWLEDGE} | ({MANIPULATION} if crafted else set())
    letter = next((letter for letter, (_, knowledge) in MODELS.items() if has <= knowledge), "G")
    return ThreatModel(
        level=max((level for name in names if (level := levels.get(name)) is not None), default=0),
        letter=letter,
        title=MODELS[letter][0],
        beyond=tuple(words for name, words in BEYOND.items() if name in names),
    )


def threat_models(results: Results) -> dict[str, ThreatModel]:
    """Attack -> its threat model, for every attack of a run, in their order."""
    levels = {note.name: note.level for note in (*results.capabilities, *results.withheld)}
    return {
        summary.attack: threat_model(summary.capabilities, levels, crafted=results.crafted_models > 0)
        for summary in results.attacks
        if not summary.is_baseline
    }
