"""Checks whether labels can be inferred and local training replayed as configured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fedleak.attacks.inversion.base import InversionAttack
from fedleak.attacks.inversion.settings import LocalTrainingGuess
from fedleak.doctor.base import DoctorCheck, DoctorFinding, ExaminedRun
from fedleak.threat import TrainingDetails

NEED_BIAS = {"ilrg"}
USE_BIAS = {"greedy_bias"}
NO_REPEATS = {"min_rule", "row_sum"}


class LastBias(DoctorCheck):
    """The last layer must have the bias that the label inference uses."""

    kind: Literal["last_bias"] = "last_bias"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding if it has no bias."""
        inference = examined.scenario.adversary.label_inference
        if examined.last_bias is not False or inference is None or inference.kind not in NEED_BIAS | USE_BIAS:
            return
        needed = inference.kind in NEED_BIAS
        yield self.found(
            "error" if needed else "warning",
            f"the last layer has no bias, which label inference {inference.kind} "
            + ("divides by" if needed else "is most exact with"),
            why="without it the gradient of the weight is used instead, which mixes labels with features",
            remedy="use label_inference: calibrated_counts, or a model with a bias in the last layer",
        )


class Repeats(DoctorCheck):
    """Label inferences that name every class at most once need batches without repeats."""

    kind: Literal["repeats"] = "repeats"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding if a batch must, or probably will, repeat classes."""
        inference, samples = examined.scenario.adversary.label_inference, examined.samples
        if inference is None or inference.kind not in NO_REPEATS or examined.facts is None or not samples:
            return
        classes = examined.facts.classes
        if samples > classes:
            yield self._finding("error", inference.kind, f"a batch of {samples} must repeat some of {classes} classes")
        elif samples * (samples - 1) > classes and examined.scenario.federation.partition.kind != "one_per_class":
            yield self._finding(
                "warning", inference.kind, f"a random batch of {samples} probably repeats some of {classes} classes"
            )

    def _finding(self, severity: Literal["error", "warning"], kind: str, what: str) -> DoctorFinding:
        return self.found(
            severity,
            what,
            why=f"label inference {kind} names every class at most once",
            remedy="use label_inference: calibrated_counts, which counts repeats",
        )


class LocalRate(DoctorCheck):
    """Weight deltas need the local learning rate, or a scale-invariant distance."""

    kind: Literal["local_rate"] = "local_rate"

    def examine(self, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        """One finding for each attack whose local training is missing or wrong."""
        client = examined.scenario.federation.client
        if client.protocol != "fedavg":
            return
        for attack in examined.scenario.attacks:
            if not isinstance(attack, InversionAttack) or TrainingDetails in attack.wanted():
                continue
            guess = getattr(attack, "local_training", None)
            if isinstance(guess, LocalTrainingGuess):
                yield from self._compare(attack.name, guess, examined)
            elif not attack.distance.is_scale_free:
                yield self.found(
                    "error",
                    f"attack {attack.name} does not know the local learning rate, and its distance "
                    f"{attack.distance.kind} depends on the scale of an update",
                    why="a weight delta is the gradient times an unknown factor and cannot be matched",
                    remedy="give the attack local_training, or distance: {kind: cosine}",
                )
            else:
                yield self.found(
                    "warning",
                    f"attack {attack.name} treats local training as one full-batch step",
                    why="with more steps the delta is a sum of gradients at different weights",
                    remedy="give the attack local_training, such as known, and grant training_details",
                )

    def _compare(self, name: str, guess: LocalTrainingGuess, examined: ExaminedRun) -> Iterator[DoctorFinding]:
        client = examined.scenario.federation.client
        samples = client.samples or client.batch_size
        assumptions = guess.assumptions(samples)
        wrong = []
        for setting, actual, assumed in (
            ("learning_rate", client.local_learning_rate, {one.learning_rate for one in assumptions}),
            ("epochs", client.local_epochs, {one.epochs for one in assumptions}),
            ("batch_size", min(client.batch_size, samples), {one.batch_size for one in assumptions}),
            ("momentum", client.local_sgd.momentum, {guess.sgd.momentum}),
            ("proximal_mu", client.proximal_mu, {guess.proximal_mu}),
        ):
            values = sorted(value for value in assumed if value is not None)
            if values and actual not in values:
                wrong.append(f"{setting} {' or '.join(f'{value:g}' for value in values)} for {actual:g}")
        kinds = [rule.kind if rule is not None else "sgd" for rule in (guess.optimizer, client.local_optimizer)]
        if kinds[0] != kinds[1]:
            wrong.append(f"optimizer {kinds[0]} for {kinds[1]}")
        if wrong:
            yield self.found(
                "warning",
                f"attack {name} assumes {', '.join(wrong)}",
                why="trial updates then differ from the shared one even for the true images",
                remedy="correct local_training, unless wrong assumptions are what you study",
            )
