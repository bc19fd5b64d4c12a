"""The client side of secure aggregation: Flower's SecAgg+ mod around fedleak's messages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
from flwr.app import Context, Message
from flwr.client.mod import secaggplus_mod
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS
from flwr.compat.common.recorddict_compat import fitres_to_recorddict

from fedleak import seeds
from fedleak.federation.node_data import told_to
from fedleak.federation.wire import Reply, has_instruction


def secure_aggregation_mod(
    message: Message, context: Context, call_next: Callable[[Message, Context], Message]
) -> Message:
    """Flower mod: take part in SecAgg+ if the server asks for it; the update is then sent only in masked form.

    The number of images is sent in the clear. Stochastic rounding draws from numpy's global stream, which is seeded
    here; keys and masks come from the system's random source and cancel out.

    Raises:
        ValueError: if the update is not finite; the sum would not show which client caused it.
    """
    records = message.content.config_records
    if RECORD_KEY_CONFIGS not in records:
        return call_next(message, context)
    told = told_to(message, context) if has_instruction(message) else None
    with seeds.global_seeds(seeds.key(told.key, "secure-aggregation", told.round)) if told else nullcontext():
        return secaggplus_mod(message, context, lambda m, c: _as_fit_result(call_next(m, c)))


def _as_fit_result(reply: Message) -> Message:
    """The reply in the form that Flower's mod reads, without the loss."""
    arrays = reply.content.array_records["arrays"].to_numpy_ndarrays()
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("the update holds NaN or infinite values")
    result = FitRes(Status(Code.OK, ""), ndarrays_to_parameters(arrays), Reply.of(reply).samples or 0, {})
    reply.content = fitres_to_recorddict(result, keep_input=False)
    return reply
