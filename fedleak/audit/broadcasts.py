"""What clients were sent: the model of each round, and those of single clients that were sent another one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from fedleak.audit.fitting import matched
from fedleak.audit.observed import Observation
from fedleak.errors import InputError
from fedleak.models.state import load_state, whole_state
from fedleak.tensors import NamedTensors, Tensors
from fedleak.transcript.writer import TranscriptWriter


class Broadcasts:
    """Writes the models of a transcript; of them, memory holds one.

    Args:
        writer: of the transcript.
        network: the network; its state is changed.
        stands_in: whether the state of ``network`` was broadcast where an observation says nothing.
        say: prints a note.
    """

    def __init__(
        self, writer: TranscriptWriter, network: nn.Module, *, stands_in: bool, say: Callable[[str], None]
    ) -> None:
        self._writer, self._network, self._say = writer, network, say
        self._first = whole_state(network)
        self._stands_in = stands_in
        self._parameters = [name for name, _ in network.named_parameters()]
        self._versions: set[int] = set()
        self._last: tuple[int, NamedTensors] | None = None

    def of(self, observation: Observation, place: str) -> NamedTensors:
        """The parameters that a client was sent, as they came; the whole state is written if it is new.

        Raises:
            InputError: if it is missing, or does not fit the model.
        """
        sent, state = self._state(observation, place)
        version = observation.round - 1
        if version not in self._versions:
            self._versions.add(version)
            self._writer.save_model(version, state)
            self._last = (version, state)
            return sent
        if self._last is None or self._last[0] != version:
            self._last = (version, self._writer.load_model(version))
        if not _same(self._last[1], state):
            self._writer.save_sent(observation.round, observation.client, state)
        return sent

    def _state(self, observation: Observation, place: str) -> tuple[NamedTensors, Tensors]:
        """The tensors that were sent, and the network's whole state with them."""
        if observation.sent is None:
            if not self._stands_in:
                allowed = "expected the weights that the client was sent, because attacks replay its steps from there"
                raise InputError(f"{place}: broadcast", None, allowed)
            self._say("no broadcast was observed: updates are taken as computed on the state of the given model")
            return self._first, self._first
        sent, how = matched(observation.sent, self._network, self._parameters, what=f"{place}: broadcast")
        self._say(f"broadcast weights: {how}" if how else "")
        buffers = [name for name in self._network.state_dict() if name not in self._parameters]
        if not all(name in sent for name in buffers if name in self._first):
            self._say("the broadcast holds not all buffers of the model: those of its first state are taken")
        load_state(self._network, {**self._first, **sent})
        return sent, whole_state(self._network)


def _same(one: NamedTensors, other: NamedTensors) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
