"""The model that clients train: built, and checked by one update before the federation runs."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from fedleak import seeds
from fedleak.client.local_training import LocalTraining, compute_updates
from fedleak.client.postprocess.base import UnfitSettingError
from fedleak.data.sources.base import DatasetSplits
from fedleak.errors import InputError, describe
from fedleak.examples import InputShape, to_unit
from fedleak.models.base import NetworkFactory
from fedleak.models.factory import Factory, unfit_outputs
from fedleak.models.modes import in_mode
from fedleak.models.state import precision, trainable
from fedleak.scenario.schema import Scenario

TRIED = 4
"""Largest number of images in the trial update."""


def initial_model(scenario: Scenario, splits: DatasetSplits) -> nn.Module:
    """The model that the server broadcasts in the first round."""
    return initial_network(scenario, splits.input_shape, len(splits.class_names))


def initial_network(scenario: Scenario, input_shape: InputShape, classes: int) -> nn.Module:
    """The same, for examples of one shape and so many classes."""
    seed = seeds.derive(scenario.seed, "model")
    return scenario.served_model.first(input_shape, scenario.task.outputs(classes), seed=seed)


def network_factory(scenario: Scenario, splits: DatasetSplits) -> NetworkFactory:
    """Factory of the network that the clients train."""
    return scenario.served_model.factory(splits.input_shape, scenario.task.outputs(len(splits.class_names)))


def check_model(scenario: Scenario, splits: DatasetSplits) -> None:
    """Build the model, and compute one update of it for one small batch as a client would.

    Raises:
        InputError: if the model cannot be built for the images or trained as the scenario says.
    """
    try:
        scenario.task.check_classes(len(splits.class_names))
    except ValueError as error:
        raise InputError("task", scenario.task.kind, str(error)) from error
    try:
        model = initial_model(scenario, splits)
    except (ValueError, RuntimeError) as error:
        raise InputError("model", scenario.served_model.kind, f"it cannot be built for the images: {error}") from error
    _check_parameters(scenario, model)
    _check_update(scenario, model, splits)
    _check_steps(scenario, model, splits)


def _check_parameters(scenario: Scenario, model: nn.Module) -> None:
    trained = trainable(model)
    if not trained:
        raise _unfit(scenario, "all its parameters are frozen: at least one must require gradients")
    for name, parameter in trained.items():
        if not parameter.is_floating_point():
            raise _unfit(
                scenario, f"{name} is {parameter.dtype}; trained parameters must be real floating-point numbers"
            )


def _check_update(scenario: Scenario, model: nn.Module, splits: DatasetSplits) -> None:
    training = scenario.federation.client.training(scenario.task)
    count = min(max(2, training.batch_size), TRIED, len(splits.train))  # one image: see federation.amounts
    images = splits.normalisation.apply(to_unit(splits.train.images[:count]))
    targets = scenario.task.targets(torch.from_numpy(splits.train.labels[:count]), len(splits.class_names))
    modes = f"batch_norm {scenario.federation.client.batch_norm}, dropout {'on' if training.dropout else 'off'}"
    try:
        outputs = _outputs(model, images, training)
    except (Exception, SystemExit) as error:  # a user's network may raise anything
        raise _unfit(scenario, f"its forward pass fails ({modes}, {count} images): {describe(error)}") from error
    if objection := unfit_outputs(outputs, count, scenario.task.outputs(len(splits.class_names))):
        raise _unfit(scenario, f"with {modes}, {objection}")
    try:
        compute_updates(model, images[None], targets[None], replace(training, protocol="fedsgd"), seed=0)
    except (Exception, SystemExit) as error:  # a user's network may raise anything
        raise _unfit(scenario, f"no update can be computed ({modes}, {count} images): {describe(error)}") from error


def trains_on_one(scenario: Scenario, splits: DatasetSplits) -> bool:
    """Whether the model's forward pass in the clients' mode accepts a batch of one image."""
    image = splits.normalisation.apply(to_unit(splits.train.images[:1]))
    try:
        _outputs(network_factory(scenario, splits)(0), image, scenario.federation.client.training(scenario.task))
    except (Exception, SystemExit):  # a user's network may raise anything; for two images, it did not
        return False
    return True


def _outputs(model: nn.Module, images: Tensor, training: LocalTraining) -> object:
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        with (
            in_mode(model, normalisation=training.train_mode, dropout=training.dropout),
            seeds.global_torch_seed(0),
            torch.no_grad(),
        ):
            return model(images.to(precision(model)))
    finally:
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])


def _unfit(scenario: Scenario, reason: str) -> InputError:
    model = scenario.model.innermost
    if isinstance(model, Factory):
        return InputError("model.path", model.path, reason)
    return InputError("model", model.kind, reason)


def _check_steps(scenario: Scenario, model: nn.Module, splits: DatasetSplits) -> None:
    """Check that the model has every layer that a post-processing step names."""
    for i, step in enumerate(scenario.federation.client.postprocess):
        try:
            step.check_model(model, torch.zeros(1, *splits.input_shape, dtype=precision(model)))
        except UnfitSettingError as error:
            path = f"federation.client.postprocess.{i}.{error.setting}"
            raise InputError(path, error.value, error.reason) from error
