"""The view through which attacks read a transcript, limited to what the scenario grants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import ValidationError
from torch import nn

from fedleak import threat
from fedleak.attacks.labels.base import LabelInference
from fedleak.client.local_sgd import LocalSgd
from fedleak.client.optimizer.base import AnyOptimizer, LocalOptimizer
from fedleak.client.postprocess.base import PostProcess
from fedleak.component import discover, find_kind
from fedleak.errors import AttackFailedError, InputError
from fedleak.models.base import Model
from fedleak.tasks.base import LearningTask
from fedleak.transcript.manifest import UpdateRecord, digest_of
from fedleak.transcript.reader import TranscriptReader

CPU = torch.device("cpu")


class CapabilityNotGrantedError(Exception):
    """An attack asked for knowledge that the scenario does not grant."""


class View:
    """What an adversary with ``grants`` sees of one update of a transcript.

    Every capability is built anew from disk, detached and not shared. The attack itself never receives the view.

    Args:
        inference: label inference, for attacks that ask for labels.
        device: device of the update and the model; computation follows them.
        starts: row -> images of another attack, for attacks that start from them.
        version: ``current``: assume that updates were computed on the current model; ``known``: know their version.
    """

    def __init__(
        self,
        reader: TranscriptReader,
        grants: frozenset[str],
        update: UpdateRecord | None,
        *,
        inference: LabelInference | None = None,
        device: torch.device = CPU,
        starts: Callable[[int], threat.StartingImages] | None = None,
        version: Literal["current", "known"] = "current",
    ) -> None:
        self._reader, self._grants, self._update = reader, grants, update
        self._inference, self._device, self._starts = inference, device, starts
        self._knows_version = version == "known"

    def capabilities(
        self, method: Callable[..., Any], *, wanted: frozenset[type[threat.Capability]] = frozenset()
    ) -> dict[str, Any]:
        """Arguments for ``method``, one for each parameter annotated with a capability or a bundle of them.

        Args:
            wanted: requested optional capabilities.

        Raises:
            CapabilityNotGrantedError: if it asks for more than is granted.
        """
        optional = {n: c for n, c in threat.optional_capabilities(method).items() if c in wanted}
        needed = threat.required_capabilities(method) | optional
        granted = self._grants | self._derived
        missing = sorted(c.capability_name() for c in needed.values() if c.capability_name() not in granted)
        if missing:
            raise CapabilityNotGrantedError(", ".join(missing))
        return threat.arguments(method, {name: _BUILDERS[kind](self) for name, kind in needed.items()})

    def labels(self, inference: LabelInference, *, count: int) -> torch.Tensor:
        """The ``count`` labels that an inference finds.

        Raises:
            AttackFailedError: if the update lacks what it reads, such as the gradient of a frozen last layer.
            CapabilityNotGrantedError: if it asks for more than is granted.
        """
        known = self.capabilities(inference.infer)
        frozen = not inference.is_oracle and bool(self._reader.manifest.frozen)
        if frozen and _ends_frozen(self._model_architecture().build(seed=0)):
            raise AttackFailedError("the network's last layer is frozen: labels cannot be read from its gradient")
        found: torch.Tensor = inference.infer(**known, count=count)
        return found

    @property
    def _derived(self) -> frozenset[str]:
        """Names of the available derived capabilities."""
        derived: dict[type[threat.Capability], object] = {
            threat.InferredLabels: self._inference,
            threat.StartingImages: self._starts,
        }
        return frozenset(kind.capability_name() for kind, source in derived.items() if source is not None)

    def _record(self) -> UpdateRecord:
        if self._update is None:
            raise LookupError("a method that trains offline cannot ask for a victim's update")
        return self._update

    def _shared_update(self) -> threat.SharedUpdate:
        record, manifest = self._record(), self._reader.manifest
        tensors = manifest.parameters.unflatten(self._reader.update(record.row))
        return threat.SharedUpdate(
            tensors={name: tensor.clone().to(self._device) for name, tensor in tensors.items()},
            protocol=manifest.protocol,
            round=record.round,
            client=record.client,
            samples=record.samples,
            summed=record.summed,
            known_version=self._update_version().version if self._knows_version else None,
        )

    def _model_architecture(self) -> threat.ModelArchitecture:
        manifest = self._reader.manifest
        kind = str(manifest.model.get("kind"))
        found = find_kind(Model, "fedleak.models", kind)  # type: ignore[type-abstract]
        if found is None:
            kinds = discover(Model, "fedleak.models")  # type: ignore[type-abstract]
            raise InputError("transcript.model.kind", kind, f"known kinds: {', '.join(kinds)}")
        try:
            model = found.model_validate(manifest.model)
        except ValidationError as error:
            raise InputError("transcript.model", manifest.model, str(error.errors()[0]["msg"])) from error
        task = self._task()
        factory = model.factory(manifest.input_shape, task.outputs(manifest.classes))
        return threat.ModelArchitecture(factory, manifest.input_shape, manifest.classes, task)

    def _task(self) -> LearningTask:
        settings = self._reader.manifest.task
        kinds = discover(LearningTask, "fedleak.tasks")  # type: ignore[type-abstract]
        if settings.get("kind") not in kinds:
            raise InputError("transcript.task", settings, f"known kinds: {', '.join(kinds)}")
        try:
            return kinds[settings["kind"]].model_validate(settings)
        except ValidationError as error:
            raise InputError("transcript.task", settings, str(error.errors()[0]["msg"])) from error

    def _global_model(self) -> threat.GlobalModel:
        record = self._record()
        version = self._update_version().version if self._knows_version else record.current_version
        sent = [self._reader.sent(record.round, client) for client in record.clients]
        if len(sent) > 1 and not _all_equal(sent):
            raise AttackFailedError("the clients in the sum received different models")
        model = sent[0] if sent[0] is not None else self._reader.model(version)
        state = {name: tensor.to(self._device) for name, tensor in model.items()}
        return threat.GlobalModel(state=state, version=version)

    def _model_tampering(self) -> threat.ModelTampering:
        record, crafting = self._record(), self._reader.manifest.crafting
        if crafting is None:
            raise AttackFailedError("the server of this transcript was not malicious: no crafting is recorded")
        models = {client: self._reader.sent(record.round, client) for client in record.clients}
        sent = {
            client: {name: tensor.to(self._device) for name, tensor in model.items()}
            for client, model in models.items()
            if model is not None
        }
        if not sent:
            raise AttackFailedError("the client was sent the global model, not a crafted one")
        return threat.ModelTampering(str(crafting.get("kind")), crafting, sent)

    def _update_version(self) -> threat.UpdateVersion:
        name = threat.UpdateVersion.capability_name()
        if name not in self._grants:
            raise CapabilityNotGrantedError(name)
        return threat.UpdateVersion(self._record().model_version)

    def _pixel_prior(self) -> threat.PixelPrior:
        return threat.PixelPrior(mean=self._reader.manifest.mean, std=self._reader.manifest.std)

    def _public_data(self) -> threat.PublicData:
        images, labels = self._reader.public()
        return threat.PublicData(torch.from_numpy(images), torch.from_numpy(labels))

    def _training_details(self) -> threat.TrainingDetails:
        training = self._reader.manifest.training
        if training.unknown:
            raise AttackFailedError(f"the transcript does not know the clients' {', '.join(training.unknown)}")
        return threat.TrainingDetails(
            local_learning_rate=training.local_learning_rate,
            local_epochs=training.local_epochs,
            batch_size=training.batch_size,
            optimizer=self._optimizer(),
            proximal_mu=training.proximal_mu,
        )

    def _optimizer(self) -> AnyOptimizer:
        training = self._reader.manifest.training
        name, settings = "local_sgd", training.local_sgd
        kinds: dict[str, type[AnyOptimizer]] = {"sgd": LocalSgd}
        if training.local_optimizer is not None:
            name, settings = "local_optimizer", training.local_optimizer
            kinds = dict(discover(LocalOptimizer, "fedleak.client.optimizer"))  # type: ignore[type-abstract]
        kind = settings.get("kind", "sgd")
        if kind not in kinds:
            raise InputError(f"transcript.training.{name}.kind", kind, f"known kinds: {', '.join(kinds)}")
        try:
            return kinds[kind].model_validate(settings)
        except ValidationError as error:
            raise InputError(f"transcript.training.{name}", settings, str(error.errors()[0]["msg"])) from error

    def _mini_batch_order(self) -> threat.MiniBatchOrder:
        batches = self._record().mini_batches
        if batches is None:
            raise AttackFailedError("the transcript holds no mini-batch order: it was not granted when recording")
        return threat.MiniBatchOrder(batches)

    def _post_processing_details(self) -> threat.PostProcessingDetails:
        steps, package = [], "fedleak.client.postprocess"
        for settings in self._reader.manifest.training.postprocess:
            found = find_kind(PostProcess, package, str(settings.get("kind")))  # type: ignore[type-abstract]
            if found is None:
                kinds = discover(PostProcess, package)  # type: ignore[type-abstract]
                raise InputError("transcript.training.postprocess", settings, f"known kinds: {', '.join(kinds)}")
            steps.append(found.model_validate(settings))
        return threat.PostProcessingDetails(tuple(steps))

    def _batch_statistics(self) -> threat.BatchStatistics:
        statistics = self._reader.statistics(self._record().row)
        if not statistics:
            raise AttackFailedError("the transcript holds no batch statistics of this update")
        return threat.BatchStatistics({name: tensor.to(self._device) for name, tensor in statistics.items()})

    def _true_labels(self) -> threat.TrueLabels:
        labels = self._record().true_labels
        if labels is None:
            raise AttackFailedError("the transcript holds no true labels: they were not granted when recording")
        return threat.TrueLabels(torch.tensor(sorted(labels)))

    def _inferred_labels(self) -> threat.InferredLabels:
        inference, samples = self._inference, self._record().samples
        if inference is None:
            raise CapabilityNotGrantedError("inferred_labels")
        if samples is None:
            raise AttackFailedError("the client does not report the number of images behind the update")
        return threat.InferredLabels(self.labels(inference, count=samples).to(self._device), inference.kind)

    def _starting_images(self) -> threat.StartingImages:
        if self._starts is None:
            raise CapabilityNotGrantedError("starting_images")
        start = self._starts(self._record().row)
        labels = start.labels.clone() if start.labels is not None else None
        return threat.StartingImages(start.images.clone().to(self._device), labels, start.attack)

    def _injected_pairs(self) -> threat.InjectedPairs:
        manifest = self._reader.manifest
        images, _ = self._reader.public()
        names = ("public/images.npy", "pairs/index.npy", "pairs/updates.npy")
        return threat.InjectedPairs(
            images=torch.from_numpy(images),
            index=self._reader.pair_index(),
            updates=self._reader.pair_updates(),
            layout=manifest.parameters,
            protocol=manifest.protocol,
            digest=digest_of([manifest.checksums[name] for name in names]),
            model_versions=manifest.pairs.model_versions if manifest.pairs else (0,),
        )


def _all_equal(models: Sequence[Mapping[str, torch.Tensor] | None]) -> bool:
    """Whether all clients were sent the same model; None is the broadcast one."""
    first, *others = models
    if first is None:
        return all(model is None for model in others)
    return all(model is not None and all(torch.equal(model[n], t) for n, t in first.items()) for model in others)


def _ends_frozen(network: nn.Module) -> bool:
    """Whether a parameter of the last layer is not trained."""
    names = [name for name, _ in network.named_parameters()]
    last = network.get_submodule(names[-1].rpartition(".")[0])
    return not all(parameter.requires_grad for parameter in last.parameters(recurse=False))


_BUILDERS: dict[type[threat.Capability], Callable[[View], threat.Capability]] = {
    threat.SharedUpdate: View._shared_update,
    threat.ModelArchitecture: View._model_architecture,
    threat.GlobalModel: View._global_model,
    threat.PixelPrior: View._pixel_prior,
    threat.PublicData: View._public_data,
    threat.TrainingDetails: View._training_details,
    threat.UpdateVersion: View._update_version,
    threat.MiniBatchOrder: View._mini_batch_order,
    threat.PostProcessingDetails: View._post_processing_details,
    threat.BatchStatistics: View._batch_statistics,
    threat.TrueLabels: View._true_labels,
    threat.InferredLabels: View._inferred_labels,
    threat.StartingImages: View._starting_images,
    threat.InjectedPairs: View._injected_pairs,
    threat.ModelTampering: View._model_tampering,
}
