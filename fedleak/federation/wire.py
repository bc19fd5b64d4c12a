"""Messages between server and clients: message types, instructions, injected batches, replies.

Only this file knows how they are stored in Flower's records. A reply carries exactly one ``ArrayRecord``, so buffers
and batch statistics are stored in it next to the update, under prefixed names. An update has the shapes of the model's
parameters; the updates of injected batches are stacked along a first dimension.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from fedleak.component import Settings
from fedleak.examples import InputShape, Normalisation
from fedleak.scenario.schema import ClientSettings, ModelChoice, TaskChoice
from fedleak.tensors import NamedTensors

INJECT = "query.inject"
WHOAMI = "query.whoami"

_BUFFERS = "buffers/"
_STATISTICS = "batch-statistics/"
_SAMPLES, _LOSS, _CLIENTS = "num-examples", "loss", "clients"


class Instruction(Settings):
    """Instruction to a client: its settings and its part of the simulation, sent with every message."""

    key: str = Field(repr=False)
    """Root of the client's random streams, which no other client knows; in a deployment, where nodes have keys of their
    own, the run's nonce."""
    round: int
    first_pair: int = 0
    """Number of the first injected pair in the message."""
    model: ModelChoice
    task: TaskChoice
    input_shape: InputShape
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    client: ClientSettings
    batch_statistics: bool = False
    """Send the statistics of the normalisation layers, because the scenario grants them to the adversary."""
    data: str
    """Folder with one sub-folder of private images per client; empty in a deployment, where nodes have their own."""
    public: str = ""
    """Folder with the public images, ``images.npy`` and ``labels.npy``; read only if ``client.augment`` is set."""
    gpu: bool = False
    """Compute on the GPU that the engine assigned to this client."""
    threads: int = Field(default=1, ge=1)
    timeout: float
    fault: Literal["raise", "silent", "exit", "nan"] | None = None

    @property
    def normalisation(self) -> Normalisation:
        """Normalisation of the images."""
        return Normalisation(self.mean, self.std)

    @property
    def outputs(self) -> int:
        """Number of outputs of the network."""
        return self.task.outputs(self.classes)

    def record(self) -> ConfigRecord:
        """The Flower record in which the instruction is sent."""
        return ConfigRecord({"instruction": self.model_dump_json()})


def has_instruction(message: Message) -> bool:
    """Whether the message carries an instruction; some messages of secure aggregation do not."""
    return "config" in message.content.config_records


def instruction_of(message: Message) -> Instruction:
    """The instruction in a message."""
    return Instruction.model_validate_json(str(message.content.config_records["config"]["instruction"]))


def broadcast(arrays: ArrayRecord, instruction: Instruction) -> RecordDict:
    """The content of a message that asks for an update computed on the model in ``arrays``."""
    return RecordDict({"arrays": arrays, "config": instruction.record()})


def inject(
    arrays: ArrayRecord, instruction: Instruction, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> RecordDict:
    """Content as of ``broadcast``, plus batches ``(n, B, C, H, W)`` and labels ``(n, B)`` to compute updates for."""
    content = broadcast(arrays, instruction)
    content["injected"] = ArrayRecord({"images": Array(images), "labels": Array(labels)})
    return content


def injected_batches(message: Message) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images and labels of the batches in a message."""
    record = message.content.array_records["injected"]
    return record["images"].numpy(), record["labels"].numpy()


def model_of(message: Message) -> dict[str, Tensor]:
    """Parameters and buffers of the model in a message."""
    state: dict[str, Tensor] = message.content.array_records["arrays"].to_torch_state_dict()
    return state


def record_of(state: NamedTensors) -> ArrayRecord:
    """The Flower record of named tensors; bfloat16, which numpy lacks, travels as float32 without loss."""
    sent = {n: t.float() if t.dtype == torch.bfloat16 else t for n, t in state.items()}
    return ArrayRecord(torch_state_dict=sent)


def with_model(content: RecordDict, state: NamedTensors) -> RecordDict:
    """A copy of the message content with another model; the argument, which messages may share, is not changed."""
    arrays = record_of(state)
    return RecordDict({name: arrays if name == "arrays" else record for name, record in content.items()})


@dataclass(frozen=True)
class Reply:
    """Reply of a client.

    Attributes:
        update: parameter name -> gradient or weight delta; stacked, ``(n, *shape)``, for injected batches.
        buffers: new buffers, if they are shared.
        statistics: ``LAYER.mean`` and ``LAYER.var`` of the batch, if the instruction asks for them.
        samples: number of images behind the update; None for injected batches.
        loss: mean loss on these images.
        clients: number of clients whose updates were averaged.
    """

    update: NamedTensors
    buffers: NamedTensors = field(default_factory=dict)
    statistics: NamedTensors = field(default_factory=dict)
    samples: int | None = None
    loss: float | None = None
    clients: int = 1

    @property
    def shared(self) -> dict[str, Tensor]:
        """What the client shares for training: update and buffers, under distinct names."""
        return {**self.update, **_prefixed(_BUFFERS, self.buffers)}

    def content(self) -> RecordDict:
        """The message content in which the reply is sent."""
        arrays = self.shared | _prefixed(_STATISTICS, self.statistics)
        metrics: dict[str, int | float] = {}
        if self.samples is not None:
            metrics[_SAMPLES] = self.samples
        if self.loss is not None:
            metrics[_LOSS] = self.loss
        if self.clients != 1:
            metrics[_CLIENTS] = self.clients
        content = RecordDict({"arrays": record_of(arrays)})
        if metrics:
            content["metrics"] = MetricRecord(metrics)  # type: ignore[arg-type]
        return content

    @classmethod
    def of(cls, message: Message) -> Reply:
        """The reply in a message."""
        update, buffers, statistics = split(message.content.array_records["arrays"])
        metrics: Mapping[str, object] = message.content.metric_records.get("metrics") or {}
        samples, loss = cast(int | None, metrics.get(_SAMPLES)), cast(float | None, metrics.get(_LOSS))
        return cls(update, buffers, statistics, samples, loss, int(cast(int, metrics.get(_CLIENTS, 1))))


def split(arrays: ArrayRecord) -> tuple[NamedTensors, NamedTensors, NamedTensors]:
    """Update, buffers and batch statistics of a reply's arrays, or of the mean of several."""
    tensors: dict[str, Tensor] = arrays.to_torch_state_dict()
    buffers, statistics = (_under(prefix, tensors) for prefix in (_BUFFERS, _STATISTICS))
    update = {name: tensor for name, tensor in tensors.items() if not name.startswith((_BUFFERS, _STATISTICS))}
    return update, buffers, statistics


def _prefixed(prefix: str, tensors: NamedTensors) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _under(prefix: str, tensors: NamedTensors) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
