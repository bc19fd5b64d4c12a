"""The Flower ClientApp: trains on its own data, answers injected batches, shares post-processed updates."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray
from torch import Tensor, nn

from fedleak import seeds
from fedleak.client.augment.base import Batch, apply_augmentations
from fedleak.client.dp_sgd import DpSgd
from fedleak.client.guard.base import check_model
from fedleak.client.postprocess.base import PostProcess, apply_chain
from fedleak.client.postprocess.error_feedback import share_with_feedback
from fedleak.client.postprocess.gradient_masking import frozen_layers
from fedleak.examples import InputShape
from fedleak.federation.local_training import LocalTraining, Updates, compute_updates, training_of, training_seed
from fedleak.federation.private_gradient import private_gradient
from fedleak.federation.sampling import draw_images
from fedleak.federation.secure_client import secure_aggregation_mod
from fedleak.federation.task import ClientTask, unpack
from fedleak.models.base import Model
from fedleak.models.normalisation import batch_statistics

app = ClientApp()

LOCAL_BUFFERS = "local-buffers"
RESIDUAL = "residual"
INJECT = "query.inject"
STATISTICS_PREFIX = "batch-statistics/"
WHOAMI = "query.whoami"
BUFFER_PREFIX = "buffers/"  # a reply may carry one ArrayRecord only, so shared buffers travel under this name


@lru_cache(maxsize=8)
def _data(folder: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return np.load(Path(folder) / "images.npy", mmap_mode="r"), np.load(Path(folder) / "labels.npy", mmap_mode="r")


@lru_cache(maxsize=2)
def _module(model: Model, input_shape: InputShape, classes: int) -> nn.Module:
    return model.build(input_shape, classes, seed=0)


def _prepare(message: Message, context: Context) -> tuple[ClientTask, nn.Module, torch.device]:
    """The task, and the model with the broadcast weights (and the client's own buffers, where it keeps them).

    Raises:
        CraftedModelError: if one of the client's guards finds the model crafted.
    """
    task = ClientTask.model_validate_json(str(message.content.config_records["config"]["task"]))
    device = torch.device("cuda" if task.gpu else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(task.threads)
    model = _module(task.model, task.input_shape, task.classes).to(device)
    state = message.content.array_records["arrays"].to_torch_state_dict()
    if task.client.batch_norm == "train_local" and LOCAL_BUFFERS in context.state:
        state |= context.state.array_records[LOCAL_BUFFERS].to_torch_state_dict()
    model.load_state_dict(state)
    check_model(task.client.guards, model)
    return task, model, device


def _augment(task: ClientTask, images: Tensor, labels: Tensor, *, origin: str, client: int) -> tuple[Tensor, Tensor]:
    """What the client trains on instead of images ``(n, M, C, H, W)`` in [0, 1] with labels ``(n, M)``."""
    steps = task.client.augment
    if not steps:
        return images, labels
    pixels, classes = (torch.from_numpy(np.array(values)) for values in _data(task.public))
    public = _as_batch(pixels, classes, task.classes)
    batches = []
    for i in range(len(images)):
        generator = seeds.numpy_generator(task.seed, "augment", origin, client, task.round, task.first_pair + i)
        batch = Batch(images[i], F.one_hot(labels[i], task.classes).to(images.dtype))
        batches.append(apply_augmentations(steps, batch, public, generator=generator))
    return torch.stack([batch.images for batch in batches]), torch.stack([batch.targets for batch in batches])


def _as_batch(images: Tensor, labels: Tensor, classes: int) -> Batch:
    return Batch(images.to(torch.float32) / 255, F.one_hot(labels, classes).to(torch.float32))


def _compute(
    task: ClientTask,
    model: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    seed: int,
    origin: str,
    client: int,
    training: LocalTraining | None = None,
) -> Updates:
    """Updates for raw images ``(n, M, C, H, W)`` uint8 and labels ``(n, M)``; as the task says unless given."""
    device = next(model.parameters()).device
    shape = (-1, 1, 1)
    mean = torch.tensor(task.mean, device=device).reshape(shape)
    std = torch.tensor(task.std, device=device).reshape(shape)
    pixels = torch.from_numpy(np.ascontiguousarray(images)).to(torch.float32) / 255
    targets = torch.from_numpy(np.ascontiguousarray(labels))
    pixels, targets = _augment(task, pixels, targets, origin=origin, client=client)
    normalised, targets = (pixels.to(device) - mean) / std, targets.to(device)
    private = task.client.dp_sgd
    if private is not None:
        names = [(task.seed, "dp_sgd", origin, client, task.round, task.first_pair + i) for i in range(len(targets))]
        return _private(model, normalised, targets, private, [seeds.torch_generator(*name) for name in names])
    if training is not None:
        return compute_updates(model, normalised, targets, training, seed=seed)
    updates = compute_updates(model, normalised, targets, training_of(task.client), seed=seed)
    return replace(updates, tensors=_at_source(task.client.postprocess, model, normalised, updates.tensors))


def _at_source(
    steps: Sequence[PostProcess], model: nn.Module, images: Tensor, tensors: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Updates of batches ``(n, M, C, H, W)`` after those steps that look at the batch."""
    for step in (step for step in steps if step.needs_batch):
        single = [{name: tensor[i] for name, tensor in tensors.items()} for i in range(len(images))]
        made = [step.at_source(u, model=model, images=batch) for u, batch in zip(single, images, strict=True)]
        tensors = {name: torch.stack([update[name] for update in made]) for name in tensors}
    return tensors


def _private(
    model: nn.Module, images: Tensor, labels: Tensor, settings: DpSgd, generators: list[torch.Generator]
) -> Updates:
    """Private gradients of batches ``(n, M, C, H, W)``, each with a generator of its own."""
    made = [
        private_gradient(model, x, y, settings=settings, generator=generator)
        for x, y, generator in zip(images, labels, generators, strict=True)
    ]
    tensors = {name: torch.stack([gradient[name] for gradient, _ in made]) for name in made[0][0]}
    return Updates(tensors, {}, torch.stack([loss for _, loss in made]))


def _drift(
    task: ClientTask, model: nn.Module, images: NDArray[np.uint8], labels: NDArray[np.int64], client: int
) -> None:
    """Train the model on the client's own images, where the scenario says so; normalisation statistics stay."""
    drift = task.client.drift
    if drift is None or drift.epochs == 0:
        return
    generator = seeds.numpy_generator(task.seed, "drift", client)
    chosen = generator.permutation(len(labels))[: drift.images]
    training = LocalTraining(
        "fedavg",
        drift.batch_size,
        drift.epochs,
        drift.learning_rate,
        train_mode=False,
        frozen=frozen_layers(task.client.postprocess),
    )
    seed = seeds.derive(task.seed, "drift-order", client)
    batch = images[chosen][None], labels[chosen][None]
    delta = _compute(task, model, *batch, seed=seed, origin="drift", client=client, training=training).tensors
    state = model.state_dict()
    model.load_state_dict(state | {name: state[name] + moved[0] for name, moved in delta.items()})


def _batch_statistics(task: ClientTask, model: nn.Module, images: NDArray[np.uint8]) -> dict[str, Tensor]:
    """What normalisation layers see of all images ``(M, C, H, W)`` before any local step, with a leading one."""
    device = next(model.parameters()).device
    mean, std = (torch.tensor(value, device=device).reshape(-1, 1, 1) for value in (task.mean, task.std))
    pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device, torch.float32) / 255
    was_training = model.training
    model.train(task.client.batch_norm != "eval")
    try:
        found = batch_statistics(model, (pixels - mean) / std)
    finally:
        model.train(was_training)
    return {STATISTICS_PREFIX + name: value[None].cpu() for name, value in found.items()}


def postprocess_mod(message: Message, context: Context, call_next: Callable[[Message, Context], Message]) -> Message:
    """Flower mod: post-process every update in the reply, the one of a round or the many of an injection."""
    reply = call_next(message, context)
    task = ClientTask.model_validate_json(str(message.content.config_records["config"]["task"]))
    steps = task.client.postprocess
    if not steps:
        return reply
    origin = message.metadata.message_type  # an injected batch must not get the noise of the client's own update
    feedback = task.client.error_feedback and origin == MessageType.TRAIN
    arrays: dict[str, Tensor] = reply.content.array_records["arrays"].to_torch_state_dict()
    stacked = {
        name: tensor for name, tensor in arrays.items() if not name.startswith((BUFFER_PREFIX, STATISTICS_PREFIX))
    }
    count = len(next(iter(stacked.values())))
    shared = []
    for i in range(count):
        generator = seeds.torch_generator(
            task.seed, "postprocess", origin, context_id(context), task.round, task.first_pair + i
        )
        update = {name: tensor[i] for name, tensor in stacked.items()}
        if feedback:
            shared.append(_share_with_feedback(task, context, update, generator))
        else:
            shared.append(apply_chain(steps, update, generator=generator))
    result = {name: torch.stack([update[name] for update in shared]) for name in stacked}
    reply.content["arrays"] = ArrayRecord(torch_state_dict=arrays | result)
    return reply


def _share_with_feedback(
    task: ClientTask, context: Context, update: dict[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    """The compressed update; what it leaves out stays with the node, unless the update is not finite."""
    held = context.state.array_records.get(RESIDUAL)
    residual = held.to_torch_state_dict() if held is not None else {}
    shared, left_over = share_with_feedback(task.client.postprocess, update, residual, generator=generator)
    if all(tensor.isfinite().all() for tensor in left_over.values()):
        context.state[RESIDUAL] = ArrayRecord(torch_state_dict=left_over)
    return shared


def context_id(context: Context) -> int:
    """The partition that this node holds."""
    return int(context.node_config["partition-id"])


def _provoke_fault(task: ClientTask) -> None:
    if task.fault == "raise":
        raise RuntimeError(f"fault provoked by the scenario in round {task.round}")
    if task.fault == "exit":
        os._exit(1)
    if task.fault == "silent":
        time.sleep(task.timeout + 1)


@app.query("whoami")
def whoami(message: Message, context: Context) -> Message:
    """Tell which partition this node holds; Flower's node ids are random."""
    identity = ConfigRecord({"partition-id": context_id(context)})
    return Message(RecordDict({"identity": identity}), reply_to=message)


@app.train(mods=[secure_aggregation_mod, postprocess_mod])  # the last one is the innermost
def train(message: Message, context: Context) -> Message:
    """Compute this round's update from the client's own images. Updates carry a leading dimension of one."""
    task, model, _ = _prepare(message, context)
    _provoke_fault(task)
    client = context_id(context)
    images, labels = _data(str(Path(task.data) / f"{client:05d}"))
    chosen = draw_images(task.client, seed=task.seed, round_number=task.round, client=client, held=len(labels))
    _drift(task, model, images, labels, client)
    seed = training_seed(task.seed, task.round, client)
    updates = _compute(
        task, model, images[chosen][None], labels[chosen][None], seed=seed, origin=MessageType.TRAIN, client=client
    )
    tensors = {name: tensor.cpu() for name, tensor in updates.tensors.items()}
    if task.fault == "nan":
        tensors = {name: torch.full_like(tensor, torch.nan) for name, tensor in tensors.items()}
    buffers = {name: buffer.cpu() for name, buffer in updates.buffers.items()}
    if buffers and task.client.batch_norm == "train_local":
        kept = {name: buffer[0] for name, buffer in buffers.items()}
        context.state[LOCAL_BUFFERS] = ArrayRecord(torch_state_dict=kept)
    if buffers and task.client.batch_norm == "train_shared":
        tensors |= {BUFFER_PREFIX + name: buffer for name, buffer in buffers.items()}
    if task.batch_statistics:
        tensors |= _batch_statistics(task, model, images[chosen])
    metrics = MetricRecord({"num-examples": len(chosen), "loss": float(updates.losses[0])})
    return Message(RecordDict({"arrays": ArrayRecord(torch_state_dict=tensors), "metrics": metrics}), reply_to=message)


@app.query("inject", mods=[postprocess_mod])
def inject(message: Message, context: Context) -> Message:
    """Answer the adversary's batches, fed in through this client's channel, as if they were its own data."""
    task, model, _ = _prepare(message, context)
    images, labels = unpack(message.content.array_records["injected"])
    seed = seeds.derive(task.seed, "inject", task.round, task.first_pair)
    updates = _compute(task, model, images, labels, seed=seed, origin=INJECT, client=context_id(context))
    tensors = {name: tensor.cpu() for name, tensor in updates.tensors.items()}
    return Message(RecordDict({"arrays": ArrayRecord(torch_state_dict=tensors)}), reply_to=message)
