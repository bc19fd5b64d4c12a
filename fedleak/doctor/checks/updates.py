"""Checks of recorded updates: values, sign, failures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch

from fedleak.doctor.base import DoctorCheck, DoctorFinding, ExaminedRun

LOOKED_AT = 64
"""Maximum number of updates that are read."""


class UpdateValues(DoctorCheck):
    """Updates must be finite and not zero."""

    kind: Literal["update_values"] = "update_values"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """Findings for zero and non-finite updates, and for parameters that no update changes."""
        zero, infinite, moved, seen = [], [], set(), 0
        names: list[str] = []
        for row, _, tensors in examined.updates(LOOKED_AT):
            names, seen = list(tensors), seen + 1
            flat = torch.cat([tensor.flatten() for tensor in tensors.values()])
            if not torch.isfinite(flat).all():
                infinite.append(row)
            elif not flat.any():
                zero.append(row)
            moved |= {name for name, tensor in tensors.items() if tensor.any()}
        for rows, what in ((zero, "all zero"), (infinite, "not finite")):
            if rows:
                yield self.found(
                    "error",
                    f"{len(rows)} of {seen} updates are {what} (first: row {rows[0]})",
                    why="they contain no information to attack",
                    remedy="look at post-processing, clipping bounds and the local learning rate",
                )
        idle = [name for name in names if name not in moved]
        if idle and len(zero) < seen:
            yield self.found(
                "warning",
                f"no update changes {', '.join(idle[:3])}",
                why="a layer without gradient reveals nothing, and neither do those before it",
                remedy="look for frozen layers, dead ReLUs and pruning rates",
            )


class LostUpdates(DoctorCheck):
    """Every expected update should have arrived."""

    kind: Literal["lost_updates"] = "lost_updates"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """Findings for lost updates, and for clients that do not report how many images they used."""
        if examined.reader is None:
            return
        updates = examined.reader.manifest.updates
        lost = [update for update in updates if update.status != "ok"]
        if lost:
            yield self.found(
                "warning",
                f"{len(lost)} of {len(updates)} updates were lost (first: client {lost[0].client} in round "
                f"{lost[0].round}, {lost[0].status}: {lost[0].reason})",
                why="they are not attacked, and results are over fewer images",
                remedy="look at the reasons in transcript/manifest.json",
            )
        if any(update.samples is None for update in updates if update.status == "ok"):
            yield self.found(
                "warning",
                "some clients do not report how many images an update comes from",
                why="label inference and optimisation-based attacks need the number",
                remedy="share the number of examples with the update",
            )


class DeltaSign(DoctorCheck):
    """Updates must have the sign of their protocol: gradients uphill, weight deltas downhill."""

    kind: Literal["delta_sign"] = "delta_sign"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding if most updates of few images have the wrong sign.

        ``dL/db = mean(softmax) - counts / B`` at the last layer is negative for classes of the batch only: at most B.
        """
        if examined.reader is None or not examined.last_bias or examined.facts is None:
            return
        if examined.scenario.task.kind != "classification":
            return
        protocol = examined.reader.manifest.protocol
        sign = 1.0 if protocol == "fedsgd" else -1.0
        told = turned = 0
        for _, samples, tensors in examined.updates(LOOKED_AT):
            gradient = sign * list(tensors.values())[-1]
            if samples is None or 2 * samples >= examined.facts.classes or not torch.isfinite(gradient).all():
                continue
            negative, positive = int((gradient < 0).sum()), int((gradient > 0).sum())
            told += 1
            turned += positive <= samples < negative
        if told and 2 * turned > told:
            shape = "gradients" if protocol == "fedsgd" else "new weights minus old ones"
            yield self.found(
                "error",
                f"{turned} of {told} updates have the wrong sign for {protocol}",
                why=f"the protocol defines updates as {shape}; with the other sign attacks move away from the image",
                remedy="record w - w0 as fedavg and gradients as fedsgd, and check a transcript from elsewhere for its "
                "convention",
            )
