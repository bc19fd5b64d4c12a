"""The server with an optimiser of Flower's, or with a user's own strategy, which compute the new model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import flwr.serverapp.strategy as flower
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Strategy

from fedleak import seeds
from fedleak.errors import FederationError, InputError, describe
from fedleak.federation.roster import Roster
from fedleak.federation.strategy import UpdateAveraging
from fedleak.federation.wire import Reply
from fedleak.models.factory import trusted_function
from fedleak.server.strategy.base import ServerOptimizer, ServerStrategy
from fedleak.server.strategy.factory import OwnStrategy
from fedleak.tensors import NamedTensors

T = TypeVar("T")
PATH = "federation.server.strategy"


def build_strategy(settings: ServerStrategy, *, clients: int) -> Strategy:
    """The Flower strategy that a scenario names; it keeps its state over all rounds.

    Args:
        settings: settings of the strategy.
        clients: number of clients in the federation.

    Raises:
        InputError: if it is the user's own and is not trusted, cannot be imported, or is no strategy.
    """
    if isinstance(settings, ServerOptimizer):
        kind = getattr(flower, settings.flower)
        optimizer: Strategy = kind(
            min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1, **settings.arguments()
        )
        return optimizer
    if not isinstance(settings, OwnStrategy):
        raise TypeError(f"no strategy is built for {type(settings).__name__}")
    function = trusted_function(settings.path, setting=f"{PATH}.path")
    try:
        own = function()
    except (Exception, SystemExit) as error:  # a user's code may raise anything
        raise InputError(f"{PATH}.path", settings.path, f"it fails: {describe(error)}") from error
    if not isinstance(own, Strategy):
        wanted = "flwr.serverapp.strategy.Strategy"
        raise InputError(f"{PATH}.path", settings.path, f"it gives {type(own).__name__}, not a {wanted}")
    if isinstance(own, FedAvg) and max(own.min_available_nodes, own.min_train_nodes) > clients:
        least = max(own.min_available_nodes, own.min_train_nodes)
        raise InputError(
            f"{PATH}.path", settings.path, f"it waits for {least} clients; federation.clients is {clients}"
        )
    return own


class OptimizedServer(UpdateAveraging):
    """Passes the new weights of the clients, or of their mean, to another strategy, which returns the new model.

    Buffers that clients share are averaged, as by ``UpdateAveraging``.

    Args:
        optimizer: as from ``build_strategy``.
        each: whether it gets every client's new weights, in partition order, or those after their mean update.
        names: names of the parameters that clients share.
        key: root of the global random generators while it runs.
        settings: as ``UpdateAveraging``.
    """

    def __init__(
        self, optimizer: Strategy, *, each: bool, names: Sequence[str], key: seeds.Root, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._optimizer, self._each, self._names, self._key = optimizer, each, names, key
        self._requests: dict[int, Message] = {}

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The planned messages; the optimiser sees the broadcast weights, but what it would send is not sent."""
        messages = list(super().configure_train(server_round, arrays, config, grid))
        self._requests = {message.metadata.dst_node_id: message for message in messages}
        weights = ArrayRecord({name: arrays[name] for name in self._names})
        roster = Roster(self._nodes.values())
        self._run(
            server_round,
            "configure_train",
            lambda: list(self._optimizer.configure_train(server_round, weights, ConfigRecord(), roster)),
        )
        return messages

    def _stepped(self, server_round: int, mean: NamedTensors, replies: Sequence[Message]) -> NamedTensors:
        """The new weights, as the optimiser computes them."""
        usable = [reply for reply in replies if not reply.has_error()]
        answers = [Reply.of(reply) for reply in usable]
        if not self._each:
            usable, answers = usable[:1], [Reply(mean, samples=sum(answer.samples or 0 for answer in answers))]
        model = self._states[server_round - 1]
        given = [
            self._weights(model, answer, self._requests[reply.metadata.src_node_id])
            for reply, answer in zip(usable, answers, strict=True)
        ]
        record, _ = self._run(
            server_round, "aggregate_train", lambda: self._optimizer.aggregate_train(server_round, given)
        )
        return self._checked(server_round, record, model)

    def _weights(self, model: NamedTensors, answer: Reply, request: Message) -> Message:
        """The reply of a client that had shared its new weights."""
        new = {name: model[name] + self._step * answer.update[name] for name in self._names}
        return Message(Reply(new, samples=answer.samples, loss=answer.loss).content(), reply_to=request)

    def _checked(self, server_round: int, record: ArrayRecord | None, model: NamedTensors) -> NamedTensors:
        if record is None:
            raise FederationError(f"{PATH}: {self._name} aggregated nothing in round {server_round}")
        new: dict[str, torch.Tensor] = record.to_torch_state_dict()
        shapes = {name: tuple(tensor.shape) for name, tensor in new.items()}
        wanted = {name: tuple(model[name].shape) for name in self._names}
        if shapes != wanted:
            found = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "nothing"
            raise FederationError(
                f"{PATH}: the new weights of {self._name} in round {server_round} must have the names and shapes of "
                f"the broadcast ones, not {found}"
            )
        if not all(tensor.isfinite().all() for tensor in new.values()):
            raise FederationError(f"{PATH}: {self._name} gives NaN or infinite weights in round {server_round}")
        return {name: tensor.to(model[name].dtype) for name, tensor in new.items()}

    @property
    def _name(self) -> str:
        return type(self._optimizer).__name__

    def _run(self, server_round: int, method: str, call: Callable[[], T]) -> T:
        """Run a method of the strategy, whose random draws depend on the key and the round alone."""
        with seeds.global_seeds(seeds.derive(self._key, "strategy", method, server_round)):
            try:
                return call()
            except Exception as error:  # a user's strategy may raise anything
                raise FederationError(
                    f"{PATH}: {method} of {self._name} failed in round {server_round}: {describe(error)}"
                ) from error
