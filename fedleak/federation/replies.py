"""What a client's reply to a training message must look like; clients of a deployment may send anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flwr.app import Message
from torch import Size, nn

from fedleak.federation.plan import Plan
from fedleak.federation.wire import Reply
from fedleak.models.state import trainable
from fedleak.tensors import NamedTensors
from fedleak.threat import BatchStatistics


@dataclass(frozen=True)
class ExpectedReply:
    """The form of every client's reply in a federation.

    Attributes:
        parameters, buffers: names and shapes of what is shared.
        statistics: names and shapes of the batch statistics; a layer that is not used has none.
        loss: whether the loss is shared.
        samples: number of images behind the update of each client, which weights it.
    """

    parameters: Mapping[str, Size]
    buffers: Mapping[str, Size]
    statistics: Mapping[str, Size]
    loss: bool
    samples: tuple[int, ...]

    @classmethod
    def of(cls, plan: Plan, model: nn.Module) -> ExpectedReply:
        """The form of the replies in a planned federation of ``model``."""
        client = plan.scenario.federation.client
        buffers = model.named_buffers() if client.batch_norm == "train_shared" else ()
        granted = BatchStatistics.capability_name() in plan.scenario.adversary.granted
        layers = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        return cls(
            {name: tensor.shape for name, tensor in trainable(model).items()},
            {name: tensor.shape for name, tensor in buffers},
            {f"{n}.{s}": Size([m.num_features]) for n, m in layers for s in ("mean", "var")} if granted else {},
            client.dp_sgd is None,
            tuple(client.images_per_update(held) for held in plan.held),
        )

    def objection(self, client: int, message: Message, reply: Reply) -> str:
        """What is wrong with a client's reply; empty if nothing is."""
        names = {"num-examples", "loss"} if self.loss else {"num-examples"}
        metrics = set(message.content.metric_records.get("metrics") or {})
        if set(message.content) != {"arrays", "metrics"} or metrics != names:
            return f"it has the records {sorted(message.content)} and the metrics {sorted(metrics)}"
        if reply.samples != self.samples[client]:
            return f"it claims {reply.samples} images; client {client} uses {self.samples[client]}"
        asked = {name: shape for name, shape in self.statistics.items() if name in reply.statistics}
        return (
            _difference("parameter", self.parameters, reply.update)
            or _difference("buffer", self.buffers, reply.buffers)
            or _difference("batch statistic", asked, reply.statistics)
            or next((f"{name} is {t.dtype}" for name, t in reply.update.items() if not t.is_floating_point()), "")
        )


def _difference(what: str, expected: Mapping[str, Size], found: NamedTensors) -> str:
    """The first name or shape that differs."""
    for name, shape in expected.items():
        if name not in found:
            return f"{what} {name} is missing"
        if found[name].shape != shape:
            return f"{what} {name} has shape {tuple(found[name].shape)}; expected {tuple(shape)}"
    more = sorted(found.keys() - expected.keys())
    return f"there is no {what} {more[0]}" if more else ""
