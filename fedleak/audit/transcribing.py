"""Observations into the files of a transcript, one at a time."""

from __future__ import annotations

import math
from collections import defaultdict

import torch
from torch import Tensor, nn

from fedleak import limits
from fedleak.audit.broadcasts import Broadcasts
from fedleak.audit.described import Seen, unknown_settings
from fedleak.audit.fitting import matched
from fedleak.audit.observed import Observation, ObservedFederation
from fedleak.audit.truth_folder import TruthFolder
from fedleak.errors import InputError
from fedleak.models.state import frozen, trainable
from fedleak.progress import Progress
from fedleak.run_directory import RunDirectory, federation_fingerprint
from fedleak.scenario.schema import Scenario
from fedleak.tensors import NamedTensors
from fedleak.transcript.layout import Layout
from fedleak.transcript.manifest import FederationRecord, RoundRecord, Status, TrainingRecord, UpdateRecord
from fedleak.transcript.writer import TranscriptWriter


class ObservedRounds:
    """The transcript of a run so far, and its truth.

    Args:
        run: where to write; holds no transcript yet.
        about, network: the federation, and its network, whose state is used where no broadcast was observed.
        strict: refuse an update that cannot be attacked.
        progress: where to say how tensors were matched.
    """

    def __init__(
        self, run: RunDirectory, about: ObservedFederation, network: nn.Module, *, strict: bool, progress: Progress
    ) -> None:
        self._about, self._network, self._strict, self._progress = about, network, strict, progress
        self._run = run
        self._names = list(trainable(network))
        self._layout = Layout.of(trainable(network).items())
        self._writer = TranscriptWriter(run.transcript, "unfinished")
        self._writer.allocate(values=self._layout.size)
        if about.public is not None:
            self._writer.save_public(*about.public)
        given = isinstance(about.model, nn.Module)
        self._broadcasts = Broadcasts(self._writer, network, stands_in=given, say=self._say)
        self._truth = TruthFolder(run.truth, about.input_shape, about.classes)
        self._updates: dict[int, list[UpdateRecord]] = defaultdict(list)
        self._failures: dict[int, list[str]] = defaultdict(list)
        self._rows = 0
        self._said: set[str] = set()
        self._kind = ""
        self.seen = Seen(gradients=False)

    def add(self, observation: Observation) -> None:
        """Write one observation.

        Raises:
            InputError: if it does not fit the model or the observations before.
        """
        place = observation.place
        self._check_numbers(observation, place)
        if observation.returned is None:
            failure = f"client {observation.client}: {observation.failure or 'no reply'}"
            self._failures[observation.round].append(failure)
            self._see(observation, {})
            return
        sent = self._broadcasts.of(observation, place)
        returned, how = matched(observation.returned, self._network, self._names, what=f"{place}: update")
        self._say(f"updates: {how}" if how else "")
        row, self._rows = self._rows, self._rows + 1
        values = self._flat(observation, sent, returned)
        status, reason = _verdict(values)
        if status != "ok" and self._strict:
            raise InputError(f"{place}: update", status, f"{reason}; there is nothing to attack")
        self._writer.write_update(row, values.numpy() if status == "ok" else torch.zeros_like(values).numpy())
        if observation.truth is not None and status == "ok":
            self._truth.add(row, observation.client, observation.truth)
        record = UpdateRecord(
            row=row,
            round=observation.round,
            client=observation.client,
            model_version=observation.round - 1,
            samples=observation.samples,
            status=status,
            reason=reason,
        )
        self._updates[observation.round].append(record)
        self._see(observation, returned)

    def finish(self, scenario: Scenario) -> None:
        """Write the manifest, and seal the truth."""
        for number in sorted(self._updates.keys() | self._failures.keys()):
            updates, failures = tuple(self._updates[number]), tuple(self._failures[number])
            self._writer.finish_round(
                RoundRecord(
                    round=number,
                    accuracy=math.nan,
                    loss=math.nan,
                    replies=len(updates),
                    failures=failures,
                    updates=updates,
                )
            )
        self._writer.fingerprint = federation_fingerprint(scenario)
        client = scenario.federation.sharing_client
        training = client.model_dump(mode="json", exclude={"protocol", "drift", "selection"})
        unknown = unknown_settings(self._about, gradients=self.seen.gradients)
        self._writer.finish(
            parameters=self._layout,
            buffers=tuple(name for name, _ in self._network.named_buffers()),
            pairs=None,
            training=TrainingRecord.model_validate(training | {"unknown": unknown}),
            federation=self._federation(scenario),
        )
        self._truth.finish(self._run.transcript)

    def _federation(self, scenario: Scenario) -> FederationRecord:
        about, channels = self._about, self._about.input_shape[0]
        return FederationRecord(
            protocol=scenario.federation.client.protocol,
            model=scenario.model.model_dump(mode="json"),
            input_shape=about.input_shape,
            classes=about.classes,
            class_names=about.class_names or tuple(map(str, range(about.classes))),
            mean=about.mean * channels if len(about.mean) == 1 else about.mean,
            std=about.std * channels if len(about.std) == 1 else about.std,
            frozen=frozen(self._network),
        )

    def _check_numbers(self, observation: Observation, place: str) -> None:
        number, client, samples = observation.round, observation.client, observation.samples
        if not 1 <= number <= limits.ROUNDS:
            raise InputError("round", number, f"rounds are 1 to {limits.ROUNDS}")
        if not 0 <= client < limits.CLIENTS:
            raise InputError("client", client, f"clients are 0 to {limits.CLIENTS - 1}; number them")
        if samples is not None and not 1 <= samples <= limits.IMAGES:
            raise InputError(f"{place}: samples", samples, "expected at least one image, or None if it is not known")
        if any(update.client == client for update in self._updates[number]):
            raise InputError(place, "a second update", "at most one is expected")

    def _flat(self, observation: Observation, sent: NamedTensors, returned: NamedTensors) -> Tensor:
        """The update as a row, ``(D,)`` float32."""
        kind = "gradient" if observation.returned_is == "gradient" else "weights or deltas"
        if self._kind and kind != self._kind:
            raise InputError(f"{observation.place}: update", kind, f"the others are {self._kind}; expected one kind")
        self._kind = kind
        if observation.returned_is != "weights":
            return self._layout.flatten(returned)
        return self._layout.flatten({name: returned[name].double() - sent[name].double() for name in self._names})

    def _see(self, observation: Observation, returned: NamedTensors) -> None:
        before, buffers = self.seen, {name for name, _ in self._network.named_buffers()}
        self.seen = Seen(
            gradients=self._kind == "gradient",
            clients=max(before.clients, observation.client + 1),
            rounds=max(before.rounds, observation.round),
            samples=max(before.samples, observation.samples or 1),
            shares_buffers=before.shares_buffers or bool(buffers & returned.keys()),
        )

    def _say(self, note: str) -> None:
        """Say something once."""
        if note and note not in self._said:
            self._said.add(note)
            self._progress.say(note)


def _verdict(values: Tensor) -> tuple[Status, str]:
    """Whether an update can be attacked, and why not."""
    if not bool(values.isfinite().all()):
        return "non_finite", "the update holds NaN or infinite values"
    if not bool(values.any()):
        return "failed", "the update is zero everywhere: it equals what the client was sent"
    return "ok", ""
