"""Messages of a Flower app as observations of its federation: rounds, clients, broadcasts, replies, true batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from fedleak.audit.observed import Observation, ReturnedKind, TrueBatch
from fedleak.audit.recorded import NamedArrays, Recorded, ReplyMessage, SeenTraining, SentMessage
from fedleak.errors import InputError, listed
from fedleak.progress import Progress

SECURE_AGGREGATION = "secaggplus_configs"
"""The record of settings in which Flower's SecAgg and SecAgg+ exchange keys and masked sums."""
EXAMPLES = ("num-examples", "num_examples", "num-samples", "num_samples")
"""Metrics with the number of images, of which Flower's strategies use the first."""
MODEL_RECORDS = ("arrays", "fitins.parameters", "fitres.parameters", "parameters", "model")
"""Records that hold the model where there are several: names of Flower's strategies and of their predecessors."""


@dataclass
class AppObservations:
    """Reads a recording as observations.

    Args:
        recorded: the recording.
        replies: what clients send back; ``auto``: by comparing the first reply with its broadcast.
        mean, std: the network takes ``(pixel in [0, 1] - mean) / std``; only used for true images.
        truth: whether to add what clients were seen to train on.
        progress: where to say what was concluded.
    """

    recorded: Recorded
    replies: Literal["auto"] | ReturnedKind
    mean: Sequence[float]
    std: Sequence[float]
    truth: bool
    progress: Progress
    _said: set[str] = field(default_factory=set)

    def __iter__(self) -> Iterator[Observation]:
        """One observation for each message, in the order of rounds.

        Raises:
            InputError: if there is no update of a single client in it.
        """
        self._check()
        rounds, clients = rounds_of(self.recorded.sent), self._clients()
        kind = self.replies
        for message in sorted(self.recorded.sent, key=lambda one: (rounds[one.message], clients[one.node])):
            place = (rounds[message.message], clients[message.node])
            reply = self.recorded.replies.get(message.message)
            if reply is None or reply.error:
                reason = "no reply" if reply is None else reply.error
                yield Observation(*place, sent=None, returned=None, failure=_first_line(reason))
                continue
            sent, returned = self._tensors(message, reply, f"round {place[0]}, client {place[1]}")
            if kind == "auto":
                kind = told_apart(sent, returned)
                self._say(f"replies are taken for {_TAKEN_FOR[kind]}; --replies says otherwise")
            yield Observation(
                *place,
                sent=sent,
                returned=returned,
                returned_is=kind,
                samples=_samples(reply.metrics),
                truth=self._true_batch(message.message),
            )

    def _check(self) -> None:
        """Look for what cannot be attacked at all.

        Raises:
            InputError: naming what was found and what is needed.
        """
        sent, replies = self.recorded.sent, list(self.recorded.replies.values())
        if not sent:
            ending = self.recorded.ending
            why = f"; its server failed: {_first_line(ending.reason)}" if ending and ending.event == "failed" else ""
            allowed = f"expected messages of type 'train' through the grid, as strategies and legacy servers send{why}"
            raise InputError("recording", "0 training messages", allowed)
        if any(SECURE_AGGREGATION in config for config in [*(m.config for m in sent), *(r.config for r in replies)]):
            allowed = "its server sees only masked sums; expected updates of single clients in clear"
            raise InputError("updates", "messages of SecAgg or SecAgg+", allowed)
        answered = [reply for reply in replies if not reply.error]
        if answered and not any(reply.arrays for reply in answered):
            names = sorted({name for reply in answered for name in (*reply.metrics, *reply.config)})
            found = f"{len(answered)} replies without arrays (records: {listed(names)})"
            allowed = "expected weights, deltas or gradients in an ArrayRecord; encrypted ones must be decoded"
            raise InputError("updates", found, allowed)

    def _clients(self) -> dict[int, int]:
        """Node -> number of the client: its partition if a simulation told it, else by its first message."""
        nodes = list(dict.fromkeys(message.node for message in self.recorded.sent))
        partitions: dict[int, int] = {}
        for message in self.recorded.sent:
            about = self.recorded.seen_about(message.message) if message.node not in partitions else None
            if about is not None and isinstance(about.partition, int):
                partitions[message.node] = int(about.partition)
        if len(partitions) == len(nodes) == len(set(partitions.values())) and min(partitions.values()) >= 0:
            return partitions
        self._say(f"clients are numbered 0 to {len(nodes) - 1} in the order of their first messages")
        return {node: number for number, node in enumerate(nodes)}

    def _tensors(
        self, message: SentMessage, reply: ReplyMessage, place: str
    ) -> tuple[NamedArrays | None, NamedArrays | None]:
        """The arrays that were sent and returned."""
        sent, returned = _model_record(message.arrays), _model_record(reply.arrays)
        if message.arrays and sent is None:
            raise InputError(
                f"{place}: broadcast", sorted(message.arrays), f"expected one record, or {MODEL_RECORDS[0]!r}"
            )
        if returned is None:
            names = sorted(reply.arrays) or "no arrays"
            raise InputError(f"{place}: update", names, f"expected one record of arrays, or {MODEL_RECORDS[0]!r}")
        return None if sent is None else self.recorded.arrays(sent), self.recorded.arrays(returned)

    def _true_batch(self, message: str) -> TrueBatch | None:
        seen = self.recorded.seen(message) if self.truth else None
        if seen is None:
            return None
        if seen.about.note:
            self._say(f"a client's images are not known: {seen.about.note}")
            return None
        if (seen.labels < 0).any():
            self._say(
                "a client's labels are not known, so its images are not scored: its loss is not torch's cross entropy"
            )
            return None
        return TrueBatch(pixels(seen, self.mean, self.std), seen.labels)

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.progress.say(text)


_ONE_RECORD = f"expected one record of arrays, or one of several that is named {listed(MODEL_RECORDS)}"
_TAKEN_FOR = {
    "weights": "new weights, because they are close to what was sent",
    "delta": "deltas, because they are not close to what was sent",
}


def rounds_of(sent: Sequence[SentMessage]) -> dict[str, int]:
    """Id of a message -> its round, from 1: as the strategy says, else as its group says, else by calls of the grid.

    A numbering in which a client would get two messages in a round is not taken.
    """
    ways: list[list[int | None]] = [
        [_setting(message, "server-round") for message in sent],
        [int(message.group) if message.group.isdecimal() else None for message in sent],
    ]
    for numbers in ways:
        known = [number for number in numbers if number is not None and number >= 1]
        pairs = {(message.node, number) for message, number in zip(sent, numbers, strict=True)}
        if len(known) == len(sent) == len(pairs):
            return {message.message: number for message, number in zip(sent, known, strict=True)}
    calls = {call: number for number, call in enumerate(sorted({message.call for message in sent}), start=1)}
    return {message.message: calls[message.call] for message in sent}


def _setting(message: SentMessage, name: str) -> int | None:
    found = [settings[name] for settings in message.config.values() if name in settings]
    return found[0] if found and isinstance(found[0], int) else None


def _model_record(arrays: Mapping[str, str]) -> str | None:
    """The digest of the record that holds the model; None if there is none, or several of unknown names."""
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    return next((arrays[name] for name in MODEL_RECORDS if name in arrays), None)


def told_apart(sent: NamedArrays | None, returned: NamedArrays | None) -> ReturnedKind:
    """Whether a reply holds new weights or their change: weights are nearer to the broadcast than to zero."""
    if not sent or not returned or [a.shape for a in sent.values()] != [a.shape for a in returned.values()]:
        return "weights"
    pairs = [(old, new) for old, new in zip(sent.values(), returned.values(), strict=True) if old.dtype.kind == "f"]
    moved = sum(float(np.square(new.astype(float) - old).sum()) for old, new in pairs)
    size = sum(float(np.square(new.astype(float)).sum()) for _, new in pairs)
    return "weights" if moved < size else "delta"


def pixels(seen: SeenTraining, mean: Sequence[float], std: Sequence[float]) -> np.ndarray[Any, Any]:
    """The images ``(N, C, H, W)`` in [0, 1] behind what a network took."""
    images = seen.images
    if images.ndim != 4:
        return images
    shape = (1, -1, 1, 1)
    return images * np.asarray(std, np.float32).reshape(shape) + np.asarray(mean, np.float32).reshape(shape)


def _samples(metrics: Mapping[str, Mapping[str, Any]]) -> int | None:
    for record in metrics.values():
        for name in EXAMPLES:
            value = record.get(name)
            if isinstance(value, int | float) and value >= 1 and value == int(value):
                return int(value)
    return None


def _first_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "no reason given"
