"""Gathering input-update pairs through the channel of the compromised client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import numpy as np
from flwr.app import ArrayRecord, Message
from flwr.serverapp import Grid
from numpy.typing import NDArray

from fedleak.errors import FederationError
from fedleak.federation.channel import LONGEST_REASON
from fedleak.federation.exchange import exchange
from fedleak.federation.failures import WorkerLostError, client_failure, is_lost_worker
from fedleak.federation.plan import Plan
from fedleak.federation.wire import INJECT, Instruction, Reply, inject
from fedleak.progress import Task
from fedleak.transcript.layout import Layout
from fedleak.transcript.writer import TranscriptWriter

MESSAGE_BYTES = 16 * 2**20
"""Target size of a reply in bytes."""
IN_FLIGHT = 4
"""Messages in flight: enough to keep several workers busy, few enough to limit the driver's memory."""


def gather_pairs(
    grid: Grid,
    plan: Plan,
    pairs: range,
    *,
    node: int,
    arrays: ArrayRecord,
    instruct: Callable[[int], Instruction],
    layout: Layout,
    writer: TranscriptWriter,
    stop: threading.Event,
    progress: Task,
) -> None:
    """Feed the public images of ``pairs`` to the compromised client; append its answers to the transcript.

    Args:
        grid, node: the grid, and the node of the compromised client.
        plan: holds the public images and the index of those in each pair.
        pairs: pairs to gather; pairs already in the transcript are skipped.
        arrays: the global model of the round.
        instruct: number of the first pair in a message -> instruction for the client.

    Raises:
        WorkerLostError: if its worker died.
        FederationError: if the client fails or does not answer in time.
    """
    if plan.pair_index is None:
        raise ValueError("the plan has no injection")
    size = max(1, min(500, MESSAGE_BYTES // (4 * layout.size)))
    starts = range(max(pairs.start, writer.pairs_done), pairs.stop, size)
    timeout = plan.scenario.federation.engine.timeout
    for window in (starts[i : i + IN_FLIGHT] for i in range(0, len(starts), IN_FLIGHT)):
        messages = []
        for start in window:
            index = plan.pair_index[start : min(start + size, pairs.stop)]
            content = inject(arrays, instruct(start), plan.public.images[index], plan.public.labels[index])
            messages.append(Message(content, dst_node_id=node, message_type=INJECT, group_id=str(start)))
        replies = exchange(grid, messages, timeout=timeout, stop=stop)
        sizes = {start: min(size, pairs.stop - start) for start in window}
        _store(replies, sizes, layout, writer, progress)


def _store(
    replies: list[Message], sizes: Mapping[int, int], layout: Layout, writer: TranscriptWriter, progress: Task
) -> None:
    by_start = {int(reply.metadata.group_id): reply for reply in replies}
    for start, expected in sizes.items():
        reply = by_start.get(start)
        if reply is None or reply.has_error():
            reason = "no reply in time" if reply is None else reply.error.reason or "unknown error"
            kind = WorkerLostError if is_lost_worker(reason) else FederationError
            raise kind(f"the compromised client did not answer the injected pairs: {client_failure(reason)}")
        rows = _rows(reply, layout)
        if len(rows) != expected:
            raise FederationError(f"the compromised client answered {expected} injected pairs by {len(rows)} updates")
        if not np.isfinite(rows).all():
            raise FederationError("an injected pair's update holds NaN or infinite values; lower the learning rate")
        writer.write_pairs(start, rows)
        progress.advance(len(rows))


def _rows(reply: Message, layout: Layout) -> NDArray[np.float32]:
    """The updates in a reply, ``(n, size)``.

    Raises:
        FederationError: if the reply holds none.
    """
    try:
        rows: NDArray[np.float32] = layout.flatten(Reply.of(reply).update, batch_dims=1).numpy()
    except Exception as error:  # the reply is whatever the client has sent
        reason = f"{type(error).__name__}: {error}"[:LONGEST_REASON]
        raise FederationError(
            f"the compromised client answered injected pairs by a malformed reply: {reason}"
        ) from error
    return rows
