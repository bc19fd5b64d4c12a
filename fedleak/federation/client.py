"""The Flower ClientApp: trains on its own data, answers injected batches, shares post-processed updates."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray
from torch import Tensor, nn

from fedleak import seeds
from fedleak.client.augment.base import Batch, apply_augmentations
from fedleak.client.dp_sgd import DpSgd
from fedleak.client.guard.base import check_model
from fedleak.client.local_training import LocalTraining, Updates, compute_updates
from fedleak.client.postprocess.base import PostProcess, apply_steps
from fedleak.client.postprocess.error_feedback import share_with_feedback
from fedleak.client.postprocess.gradient_masking import frozen_layers
from fedleak.client.private_gradient import private_gradient
from fedleak.client.private_training import train_privately
from fedleak.examples import to_unit
from fedleak.federation.node_data import arrays, identity, told_to
from fedleak.federation.sampling import draw_images, training_key
from fedleak.federation.secure_client import secure_aggregation_mod
from fedleak.federation.wire import INJECT, Instruction, Reply, injected_batches, model_of, record_of
from fedleak.models.base import NetworkFactory
from fedleak.models.modes import in_mode
from fedleak.models.normalisation import batch_statistics
from fedleak.models.state import load_state, trainable

app = ClientApp()

LOCAL_BUFFERS = "local-buffers"
RESIDUAL = "residual"
DRIFTED, DRIFTED_IN = "drifted", "drifted-in"


@lru_cache(maxsize=2)
def _module(factory: NetworkFactory) -> nn.Module:
    return factory(0)


def _prepare(message: Message, context: Context) -> tuple[Instruction, nn.Module]:
    """The instruction, and the model with the broadcast weights (and the client's local buffers, if it keeps any).

    Raises:
        CraftedModelError: if one of the client's guards detects a crafted model.
    """
    told = told_to(message, context)
    device = torch.device("cuda" if told.gpu else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(told.threads)
    model = _module(told.model.factory(told.input_shape, told.outputs)).to(device)
    state = model_of(message)
    if told.client.batch_norm == "train_local" and LOCAL_BUFFERS in context.state:
        state |= context.state.array_records[LOCAL_BUFFERS].to_torch_state_dict()
    load_state(model, state)
    check_model(told.client.guards, model)
    return told, model


def _augment(told: Instruction, images: Tensor, labels: Tensor, *, origin: str) -> tuple[Tensor, Tensor]:
    """Training images ``(n, M, C, H, W)`` in [0, 1] after augmentation, and targets for labels ``(n, M)``."""
    steps, task = told.client.augment, told.task
    if not steps:
        return images, task.targets(labels, told.classes)
    pixels, classes = (torch.from_numpy(np.array(values)) for values in arrays(told.public))
    public = Batch(to_unit(pixels), task.soft_targets(classes, told.classes))
    batches = []
    for i in range(len(images)):
        generator = seeds.numpy_generator(told.key, "augment", origin, told.round, told.first_pair + i)
        batch = Batch(images[i], task.soft_targets(labels[i], told.classes))
        batches.append(apply_augmentations(steps, batch, public, generator=generator))
    return torch.stack([batch.images for batch in batches]), torch.stack([batch.targets for batch in batches])


def _compute(
    told: Instruction,
    model: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    seed: seeds.Root,
    origin: str,
    training: LocalTraining | None = None,
) -> Updates:
    """Updates for raw images ``(n, M, C, H, W)`` uint8 and labels ``(n, M)``.

    Args:
        training: local training to use instead of the instruction's; then the batch-dependent post-processing is
            skipped.
    """
    device = next(model.parameters()).device
    pixels = to_unit(np.ascontiguousarray(images))
    pixels, targets = _augment(told, pixels, torch.from_numpy(np.ascontiguousarray(labels)), origin=origin)
    normalised, targets = told.normalisation.apply(pixels.to(device)), targets.to(device)
    if told.client.dp_sgd is not None:
        names = [("dp_sgd", origin, told.round, told.first_pair + i) for i in range(len(targets))]
        generators = [seeds.torch_generator(told.key, *name) for name in names]
        return _private(told, model, normalised, targets, told.client.dp_sgd, generators, seed)
    if training is not None:
        return compute_updates(model, normalised, targets, training, seed=seed)
    updates = compute_updates(model, normalised, targets, told.client.training(told.task), seed=seed)
    return replace(updates, tensors=_at_source(told.client.postprocess, model, normalised, updates.tensors))


def _at_source(
    steps: Sequence[PostProcess], model: nn.Module, images: Tensor, tensors: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Updates of batches ``(n, M, C, H, W)`` after the post-processing steps that need the batch."""
    for step in (step for step in steps if step.needs_batch):
        single = [{name: tensor[i] for name, tensor in tensors.items()} for i in range(len(images))]
        processed = [step.at_source(u, model=model, images=batch) for u, batch in zip(single, images, strict=True)]
        tensors = {name: torch.stack([update[name] for update in processed]) for name in tensors}
    return tensors


def _private(
    told: Instruction,
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    settings: DpSgd,
    generators: list[torch.Generator],
    seed: seeds.Root,
) -> Updates:
    """Private gradients or weight deltas of batches ``(n, M, C, H, W)``, each with its own generator."""
    local = told.client.training(told.task) if told.client.protocol == "fedavg" else None
    private = [
        private_gradient(model, x, y, settings=settings, generator=generator, task=told.task)
        if local is None
        else train_privately(model, x, y, local, settings=settings, generator=generator, seed=seed)
        for x, y, generator in zip(images, targets, generators, strict=True)
    ]
    tensors = {name: torch.stack([gradient[name] for gradient, _ in private]) for name in private[0][0]}
    return Updates(tensors, {}, torch.stack([loss for _, loss in private]))


def _drift(told: Instruction, model: nn.Module, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    """Train the model on the client's images if the scenario has drift; normalisation statistics do not change."""
    drift, told = told.client.drift, told.model_copy(update={"first_pair": 0})  # whichever pairs follow
    if drift is None or drift.epochs == 0:
        return
    generator = seeds.numpy_generator(told.key, "drift")
    chosen = generator.permutation(len(labels))[: drift.images]
    training = LocalTraining(
        "fedavg",
        drift.batch_size,
        drift.epochs,
        drift.learning_rate,
        train_mode=False,
        frozen=frozen_layers(told.client.postprocess),
        task=told.task,
    )
    seed = seeds.key(told.key, "drift-order")
    batch = images[chosen][None], labels[chosen][None]
    delta = _compute(told, model, *batch, seed=seed, origin="drift", training=training).tensors
    with torch.no_grad():
        for name, parameter in trainable(model).items():
            parameter.add_(delta[name][0])


def _drift_once(told: Instruction, context: Context, model: nn.Module) -> None:
    """Train the model as ``_drift`` does if injected batches want that; its weights are kept for the round's others.

    Training depends on the round alone: a node that has lost them finds the same.
    """
    if not told.client.drifts_injected:
        return
    kept = context.state.config_records.get(DRIFTED_IN)
    if kept is None or kept["round"] != told.round:
        _drift(told, model, *arrays(told.data))
        context.state[DRIFTED] = record_of(_on_cpu(trainable(model)))
        context.state[DRIFTED_IN] = ConfigRecord({"round": told.round})
        return
    drifted = context.state.array_records[DRIFTED].to_torch_state_dict()
    with torch.no_grad():
        for name, parameter in trainable(model).items():
            parameter.copy_(drifted[name])


def _batch_statistics(told: Instruction, model: nn.Module, images: NDArray[np.uint8]) -> dict[str, Tensor]:
    """Input statistics of the normalisation layers for images ``(M, C, H, W)``, before any local step."""
    device = next(model.parameters()).device
    pixels = to_unit(np.ascontiguousarray(images), device)
    with in_mode(model, normalisation=told.client.batch_norm != "eval", dropout=False):
        return _on_cpu(batch_statistics(model, told.normalisation.apply(pixels)))


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.cpu() for name, tensor in tensors.items()}


def _the_one(stacked: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The single update in a stack ``(1, *shape)``."""
    return {name: tensor[0] for name, tensor in _on_cpu(stacked).items()}


def postprocess_mod(message: Message, context: Context, call_next: Callable[[Message, Context], Message]) -> Message:
    """Flower mod: post-process every update in the reply, one in a round or several in an injection."""
    reply = call_next(message, context)
    told = told_to(message, context)
    if not told.client.postprocess:
        return reply
    answer, origin = Reply.of(reply), message.metadata.message_type
    if origin == INJECT:  # an injected batch must not get the noise of the client's own update
        count = len(next(iter(answer.update.values())))
        single = [{name: tensor[i] for name, tensor in answer.update.items()} for i in range(count)]
        shared = [_processed(told, context, update, origin, i) for i, update in enumerate(single)]
        update = {name: torch.stack([one[name] for one in shared]) for name in answer.update}
    else:
        update = _processed(told, context, dict(answer.update), origin, 0)
    reply.content["arrays"] = replace(answer, update=update).content().array_records["arrays"]
    return reply


def _processed(
    told: Instruction, context: Context, update: dict[str, Tensor], origin: str, number: int
) -> dict[str, Tensor]:
    """One update after post-processing, with its own random stream."""
    generator = seeds.torch_generator(told.key, "postprocess", origin, told.round, told.first_pair + number)
    if told.client.error_feedback and origin == MessageType.TRAIN:
        return _share_with_feedback(told, context, update, generator)
    return apply_steps(told.client.postprocess, update, generator=generator)


def _share_with_feedback(
    told: Instruction, context: Context, update: dict[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    """The compressed update; the residual is kept on the node, unless it is not finite."""
    held = context.state.array_records.get(RESIDUAL)
    residual = held.to_torch_state_dict() if held is not None else {}
    shared, left_over = share_with_feedback(told.client.postprocess, update, residual, generator=generator)
    if all(tensor.isfinite().all() for tensor in left_over.values()):
        context.state[RESIDUAL] = record_of(left_over)
    return shared


def _provoke_fault(told: Instruction) -> None:
    if told.fault == "raise":
        raise RuntimeError(f"fault provoked by the scenario in round {told.round}")
    if told.fault == "exit":
        os._exit(1)
    if told.fault == "silent":
        time.sleep(told.timeout + 1)


@app.query("whoami")
def whoami(message: Message, context: Context) -> Message:
    """Reply with the number of this node's client; Flower's node ids are random."""
    return Message(RecordDict({"identity": identity(context)}), reply_to=message)


@app.train(mods=[secure_aggregation_mod, postprocess_mod])  # the last one is the innermost
def train(message: Message, context: Context) -> Message:
    """Compute the update of this round from the client's images."""
    told, model = _prepare(message, context)
    _provoke_fault(told)
    images, labels = arrays(told.data)
    chosen = draw_images(told.client, key=told.key, round_number=told.round, held=len(labels))
    _drift(told, model, images, labels)
    seed = training_key(told.key, told.round)
    updates = _compute(told, model, images[chosen][None], labels[chosen][None], seed=seed, origin=MessageType.TRAIN)
    update, buffers = _the_one(updates.tensors), _the_one(updates.buffers)
    if told.fault == "nan":
        update = {name: torch.full_like(tensor, torch.nan) for name, tensor in update.items()}
    if buffers and told.client.batch_norm == "train_local":
        context.state[LOCAL_BUFFERS] = record_of(buffers)
    reply = Reply(
        update,
        buffers if told.client.batch_norm == "train_shared" else {},
        _batch_statistics(told, model, images[chosen]) if told.batch_statistics else {},
        samples=len(chosen),
        loss=float(updates.losses[0]) if told.client.dp_sgd is None else None,  # it would bypass the noise
    )
    return Message(reply.content(), reply_to=message)


@app.query("inject", mods=[postprocess_mod])
def inject(message: Message, context: Context) -> Message:
    """Compute updates for the adversary's injected batches as if they were the client's own data."""
    told, model = _prepare(message, context)
    _drift_once(told, context, model)
    images, labels = injected_batches(message)
    seed = seeds.key(told.key, "inject", told.round, told.first_pair)
    updates = _compute(told, model, images, labels, seed=seed, origin=INJECT)
    return Message(Reply(_on_cpu(updates.tensors)).content(), reply_to=message)
