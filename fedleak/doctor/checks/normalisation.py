"""Checks of normalisation layers, dropout, buffers and pixel normalisation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import nn

from fedleak.attacks.inversion.base import InversionAttack
from fedleak.doctor.base import DoctorCheck, DoctorFinding, ExaminedRun


class TrainMode(DoctorCheck):
    """Clients and attacks must run batch normalisation in the same mode."""

    kind: Literal["train_mode"] = "train_mode"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding for each attack in the other mode."""
        if not examined.layers(nn.modules.batchnorm._BatchNorm):
            return
        clients = examined.scenario.federation.client.batch_norm != "eval"
        for attack in examined.scenario.attacks:
            if isinstance(attack, InversionAttack) and attack.train_mode != clients:
                own, theirs = (("eval", "train"), ("train", "eval"))[attack.train_mode]
                yield self.found(
                    "warning",
                    f"attack {attack.name} replays batch normalisation in {own} mode, clients run it in {theirs} mode",
                    why="the trial gradients are those of another function and never match the shared ones",
                    remedy=f"set train_mode: {str(clients).lower()} in the attack, or federation.client.batch_norm",
                )
        inference = examined.scenario.adversary.label_inference
        if getattr(inference, "train_mode", clients) != clients:
            yield self.found(
                "warning",
                f"label inference {getattr(inference, 'kind', '')} expects another mode of batch normalisation "
                "than clients use",
                why="its softmax estimates belong to another function, and the label counts will be wrong",
                remedy=f"set adversary.label_inference.train_mode: {str(clients).lower()}",
            )


class Dropout(DoctorCheck):
    """Active dropout in clients hides part of the network from attacks."""

    kind: Literal["dropout"] = "dropout"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding if clients train with dropout."""
        layers = examined.layers(nn.modules.dropout._DropoutNd)
        if layers and examined.scenario.federation.client.batch_norm != "eval":
            yield self.found(
                "warning",
                f"clients train with active dropout ({', '.join(layers[:3])})",
                why="the adversary does not know the masks: attacks replay the network without dropout",
                remedy="set federation.client.batch_norm: eval to switch training mode off, or expect less leakage",
            )


class LocalBuffers(DoctorCheck):
    """Running statistics that clients do not share cannot be replayed."""

    kind: Literal["local_buffers"] = "local_buffers"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding for local buffers, one for buffers that differ between network and transcript."""
        client = examined.scenario.federation.client
        if client.batch_norm == "train_local" and examined.layers(nn.modules.batchnorm._BatchNorm):
            yield self.found(
                "warning",
                "running statistics stay with the clients (batch_norm: train_local)",
                why="the broadcast ones, which attacks and their batch-norm prior use, keep their initial values",
                remedy="set batch_norm: train_shared to share them",
            )
        yield from self._mismatch(examined)

    def _mismatch(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        if examined.reader is None or examined.module is None:
            return
        own = {name: tuple(t.shape) for name, t in examined.module.state_dict().items()}
        for version in sorted({u.model_version for u in examined.reader.manifest.updates}):
            theirs = {name: tuple(t.shape) for name, t in examined.reader.model(version).items()}
            differing = sorted(name for name in own.keys() | theirs.keys() if own.get(name) != theirs.get(name))
            if differing:
                yield self.found(
                    "error",
                    f"model version {version} of the transcript does not fit the architecture: {differing[0]}",
                    why="parameters and buffers must have the names and shapes of the scenario's model",
                    remedy="attack the transcript with the model of its recording",
                )
                return


class PixelNormalisation(DoctorCheck):
    """Images should be normalised to about zero mean and unit deviation."""

    kind: Literal["pixel_normalisation"] = "pixel_normalisation"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding if they are not normalised, or cannot be."""
        facts = examined.facts
        if facts is None:
            return
        channels = facts.input_shape[0]
        if min(facts.std) <= 0 or not len(facts.mean) == len(facts.std) == channels:
            yield self.found(
                "error",
                f"normalisation by mean {facts.mean} and deviation {facts.std} of {channels} channels",
                why="reconstructions cannot be turned back into pixels",
                remedy="give one mean and one positive deviation for each channel",
            )
        elif all(mean == 0 for mean in facts.mean) and all(std == 1 for std in facts.std):
            yield self.found(
                "warning",
                "images are not normalised (mean 0, deviation 1)",
                why="networks train badly on raw pixels, and the attacks' starts and priors expect normalised ones",
                remedy="normalise with the data set's mean and deviation",
            )
