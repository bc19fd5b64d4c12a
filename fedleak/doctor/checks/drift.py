"""Whether updates are computed on the model that the adversary has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fedleak.attacks.inversion.base import InversionAttack
from fedleak.doctor.base import DoctorCheck, DoctorFinding, ExaminedRun


class LocalDriftCheck(DoctorCheck):
    """Clients that drift before they share compute their updates on weights that nobody else has."""

    kind: Literal["local_drift"] = "local_drift"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding if they do while attacks replay updates."""
        drift = examined.scenario.federation.client.drift
        replaying = [attack.name for attack in examined.scenario.attacks if isinstance(attack, InversionAttack)]
        if drift is None or drift.epochs == 0 or not replaying:
            return
        yield self.found(
            "warning",
            f"clients train on {drift.images} images of their own before they share, and {', '.join(replaying)} "
            "replays their updates from the broadcast model",
            why="the drifted weights stay with the client; knowing its local training does not tell them",
            remedy="expect less leakage, or leave federation.client.drift out",
        )
