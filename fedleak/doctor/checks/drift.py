"""Check whether updates are computed on the broadcast model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fedleak.attacks.inversion.base import InversionAttack
from fedleak.doctor.base import DoctorCheck, DoctorFinding, ExaminedRun


class LocalDriftCheck(DoctorCheck):
    """Clients that train before they share compute updates on weights that the adversary does not have."""

    kind: Literal["local_drift"] = "local_drift"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding if clients drift and attacks replay updates."""
        drift = examined.scenario.federation.client.drift
        replaying = [attack.name for attack in examined.scenario.attacks if isinstance(attack, InversionAttack)]
        if drift is None or drift.epochs == 0 or not replaying:
            return
        yield self.found(
            "warning",
            f"clients train on {drift.images} local images before they share, and {', '.join(replaying)} "
            "replays their updates from the broadcast model",
            why="the adversary does not have the drifted weights, even if it knows the local training",
            remedy="expect less leakage, or leave federation.client.drift out",
        )
