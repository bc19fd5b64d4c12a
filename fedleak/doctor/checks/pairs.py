"""Check of the pairs that generators are trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fedleak.attacks.base import TrainedAttack
from fedleak.doctor.base import DoctorCheck, DoctorFinding, ExaminedRun

FEW = 500
"""Number of pairs below which generators hardly beat the mean image (``git-t7`` shows the curve)."""


class Pairs(DoctorCheck):
    """Generators need enough pairs, of the model versions that they are used on."""

    kind: Literal["pairs"] = "pairs"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding for too few pairs, one for pairs of other model versions than the victims'."""
        adversary, federation = examined.scenario.adversary, examined.scenario.federation
        trained = [attack.name for attack in examined.scenario.attacks if isinstance(attack, TrainedAttack)]
        injection = adversary.injection
        if injection is None or not trained:
            return
        if injection.pairs < FEW:
            yield self.found(
                "warning",
                f"{injection.pairs} pairs for {', '.join(trained)}",
                why=f"with fewer than {FEW} generators learn little more than the mean image",
                remedy="raise adversary.injection.pairs",
            )
        victims = range(1, federation.rounds + 1) if adversary.victims.rounds == "all" else adversary.victims.rounds
        strange = [number for number in victims if int(number) not in injection.rounds]
        if strange and federation.rounds > 1:
            yield self.found(
                "note",
                f"pairs are of rounds {list(injection.rounds)}; victims of {len(strange)} other rounds are attacked",
                why="gradients change with the model: a generator works best on the versions that it was trained on",
                remedy="inject an equal share of the pairs in every attacked round (adversary.injection.rounds)",
            )
