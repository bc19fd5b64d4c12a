"""The server side of secure aggregation: Flower's SecAgg+ workflow over fedleak's grid."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.app.user_config import UserConfig
from flwr.common import FitIns, FitRes, Parameters, Scalar, bytes_to_ndarray, parameters_to_ndarrays
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.compat import LegacyContext
from flwr.server.compat.grid_client_proxy import GridClientProxy
from flwr.server.strategy import FedAvg
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import WorkflowState
from flwr.serverapp import Grid

from fedleak import seeds
from fedleak.client.postprocess.encoding.bits import packed_size
from fedleak.errors import FederationError
from fedleak.federation.exchange import exchange
from fedleak.federation.failures import WorkerLostError, client_failure, is_lost_worker
from fedleak.server.secure_aggregation import MODULUS_BITS, SecureAggregation

NO_REPLY = "no reply in time"


@dataclass(frozen=True)
class SecureSum:
    """All that the server learns in a round: the mean of the clients' updates, weighted by number of images.

    Attributes:
        arrays: the mean, float32, in the order and shapes in which a client sends its arrays.
        samples: number of images of all included clients together.
        nodes: nodes whose updates are included.
        failures: node -> reason why its update is not included.
        lost: failed nodes whose worker died or that never replied.
        bytes: size of one client's masked values, which cannot be compressed further.
    """

    arrays: tuple[torch.Tensor, ...]
    samples: int
    nodes: frozenset[int]
    failures: Mapping[int, str]
    lost: frozenset[int]
    bytes: int


def aggregate_securely(
    grid: Grid,
    messages: Sequence[Message],
    settings: SecureAggregation,
    *,
    round_number: int,
    most_images: int,
    key: str,
    timeout: float,
    stop: threading.Event,
) -> SecureSum:
    """Run the four stages of SecAgg+: exchange keys, share secrets, collect masked updates, unmask their sum.

    A client that is lost after it has shared its secrets is left out of the sum. If one is lost before, the round
    ends, as in Flower's workflow.

    Args:
        messages: the instruction of each client of the round, in partition order.
        most_images: largest number of images behind one client's update; that client has weight one before rounding.
        key: root of the draw of neighbourhoods.
        timeout: seconds for each stage.

    Raises:
        WorkerLostError: if too few clients are left and a worker died.
        FederationError: if too few clients are left.
    """
    wire, strategy = _Wire(grid, timeout, stop), _Sum(grid, [m.metadata.dst_node_id for m in messages])
    workflow = SecAggPlusWorkflow(
        settings.num_shares,
        settings.reconstruction_threshold,
        max_weight=float(most_images),
        clipping_range=settings.clipping_range,
        quantization_range=settings.quantization_range,
        modulus_range=2**MODULUS_BITS,
        timeout=timeout,
    )
    flower = cast(Grid, wire)  # the workflow only sends and receives
    context, state = _context(round_number, strategy), WorkflowState()
    with seeds.global_seeds(key):  # Flower shuffles the ring of neighbours
        begun = workflow.setup_stage(flower, context, state)
    state.nid_to_fitins = {message.metadata.dst_node_id: message.content for message in messages}
    collected = (
        begun
        and workflow.share_keys_stage(flower, context, state)
        and workflow.collect_masked_vectors_stage(flower, context, state)
    )
    nodes = frozenset(state.active_node_ids)
    if not (collected and workflow.unmask_stage(flower, context, state)):
        reasons = "; ".join(sorted(set(wire.failures.values()))[:5])
        kind = WorkerLostError if wire.lost else FederationError
        raise kind(f"round {round_number}: secure aggregation failed, too few clients are left ({reasons})")
    return SecureSum(strategy.arrays, strategy.samples, nodes, wire.failures, frozenset(wire.lost), wire.masked_bytes)


def _context(round_number: int, strategy: FedAvg) -> LegacyContext:
    """The context that Flower's workflow reads: the round, no parameters, and a strategy."""
    state = RecordDict(
        {
            MAIN_CONFIGS_RECORD: ConfigRecord({WorkflowKey.CURRENT_ROUND: round_number}),
            MAIN_PARAMS_RECORD: ArrayRecord(),
        }
    )
    empty = Context(run_id=0, node_id=0, node_config=UserConfig(), state=state, run_config=UserConfig())
    return LegacyContext(empty, strategy=strategy)


class _Wire:
    """The grid as the workflow uses it, with interruptible waiting; records which node failed and why.

    Attributes:
        failures: node -> reason, in one line.
        lost: nodes whose worker died, or that did not answer in time.
        masked_bytes: size of one client's masked values.
    """

    def __init__(self, grid: Grid, timeout: float, stop: threading.Event) -> None:
        self._grid, self._timeout, self._stop = grid, timeout, stop
        self.failures: dict[int, str] = {}
        self.lost: set[int] = set()
        self.masked_bytes = 0

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """The replies that arrive in time."""
        sent = list(messages)
        replies = exchange(self._grid, sent, timeout=self._timeout, stop=self._stop)
        answered = {reply.metadata.src_node_id for reply in replies}
        missing = {m.metadata.dst_node_id for m in sent} - answered
        self.failures |= dict.fromkeys(sorted(missing), NO_REPLY)
        self.lost |= missing
        for reply in replies:
            if reply.has_error():
                node, reason = reply.metadata.src_node_id, reply.error.reason or "unknown error"
                self.failures[node] = client_failure(reason)
                self.lost |= {node} if is_lost_worker(reason) else set()
            else:
                self._measure(reply)
        return replies

    def _measure(self, reply: Message) -> None:
        masked = reply.content.config_records[RECORD_KEY_CONFIGS].get(Key.MASKED_PARAMETERS)
        if masked is not None:
            values = sum(bytes_to_ndarray(data).size for data in cast(list[bytes], masked))
            self.masked_bytes = packed_size(values, MODULUS_BITS)


class _Sum(FedAvg):
    """The strategy that Flower's workflow calls: lists the clients and stores the unmasked mean.

    Attributes:
        arrays, samples: as of ``SecureSum``.
    """

    def __init__(self, grid: Grid, nodes: Sequence[int]) -> None:
        super().__init__()
        self._grid, self._nodes = grid, nodes
        self.arrays: tuple[torch.Tensor, ...] = ()
        self.samples = 0

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Every client of the round; the instructions are set later."""
        nothing = FitIns(Parameters([], ""), {})
        return [(GridClientProxy(node, self._grid, run_id=0), nothing) for node in self._nodes]

    def aggregate_fit(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, FitRes]],
        failures: list[tuple[ClientProxy, FitRes] | BaseException],
    ) -> tuple[Parameters | None, dict[str, Scalar]]:
        """Store the mean, which every result carries, and the number of images."""
        mean = parameters_to_ndarrays(results[0][1].parameters)
        self.arrays = tuple(torch.from_numpy(array).to(torch.float32) for array in mean)
        self.samples = sum(result.num_examples for _, result in results)
        return None, {}
