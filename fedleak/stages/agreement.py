"""Comparison of a transcript with the scenario it was recorded for, before anything is built from either."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from fedleak.component import Component
from fedleak.errors import InputError, InputErrors
from fedleak.families import kind_named, kinds
from fedleak.scenario.schema import ClientSettings, Scenario
from fedleak.server.staleness.fixed import Fixed
from fedleak.server.staleness.trace import Trace
from fedleak.stages.network import check_layout, check_models
from fedleak.threat import MiniBatchOrder, TrueLabels
from fedleak.transcript.manifest import Manifest, UpdateRecord, load_manifest
from fedleak.transcript.reader import TranscriptReader

SHOWN = 5
"""Most disagreements in one message."""


def open_transcript(scenario: Scenario, folder: Path, *, verify: bool = True, models: bool = True) -> TranscriptReader:
    """Open a finished transcript that agrees with its scenario.

    Args:
        scenario: the scenario of the run.
        folder: ``transcript/`` of the run.
        verify: recompute and compare every checksum.
        models: compare the tensors of every recorded model with the network.

    Raises:
        InputError: if it is missing, foreign or damaged.
        InputErrors: if it says anything that the scenario says differently.
    """
    manifest = load_manifest(folder)
    check_agreement(scenario, manifest)
    shapes = check_layout(scenario, manifest)
    reader = TranscriptReader(folder, verify=verify)
    if models:
        check_models(reader, shapes)
    return reader


def check_agreement(scenario: Scenario, manifest: Manifest) -> None:
    """Compare every fact that both the scenario and the manifest state.

    Raises:
        InputErrors: with one line for each of the first disagreements.
    """
    found = list(islice(_disagreements(scenario, manifest), SHOWN))
    if found:
        raise InputErrors(found)


def _disagreements(scenario: Scenario, manifest: Manifest) -> Iterator[InputError]:
    yield from _differs(
        "protocol", manifest.protocol, scenario.federation.client.protocol, "federation.client.protocol"
    )
    yield from _component("model", manifest.model, scenario.served_model)
    yield from _crafting(scenario, manifest)
    yield from _component("task", manifest.task, scenario.task)
    yield from _training(scenario, manifest)
    yield from _images(scenario, manifest)
    yield from _rounds(scenario, manifest)
    yield from _pairs(scenario, manifest)
    yield from _privacy(scenario, manifest)


def _wrong(path: str, recorded: object, said: object, place: str) -> InputError:
    """``recorded`` stands in the manifest where the scenario says ``said``."""
    advice = "one of the two was changed: restore it, or record the federation anew (fedleak run --force)"
    return InputError(f"transcript.{path}", recorded, f"{place} of the scenario says {said}; {advice}")


def _differs(path: str, recorded: object, said: object, place: str) -> Iterator[InputError]:
    if recorded != said:
        yield _wrong(path, recorded, said, place)


def _component(family: str, recorded: Mapping[str, Any], own: Component) -> Iterator[InputError]:
    """Compare a component with its settings in the manifest, where defaults may be left out."""
    if kind_named(family, str(recorded.get("kind"))) is None:
        yield InputError(f"transcript.{family}.kind", recorded.get("kind"), f"known kinds: {', '.join(kinds(family))}")
        return
    try:
        same = type(own).model_validate(recorded) == own
    except ValidationError:
        same = False
    if not same:
        yield _wrong(family, dict(recorded), own.model_dump(mode="json"), family)


def _crafting(scenario: Scenario, manifest: Manifest) -> Iterator[InputError]:
    """Compare the crafting, unless it is one of the user's own that no scenario can name."""
    own, recorded = scenario.adversary.crafting, manifest.crafting
    if own is not None and recorded is not None:
        yield from _component("crafting", recorded, own)
    elif own is not None or (recorded is not None and recorded.get("kind") in kinds("crafting")):
        yield _wrong("crafting", recorded, own, "adversary.crafting")


def _training(scenario: Scenario, manifest: Manifest) -> Iterator[InputError]:
    """Compare every setting of the clients that the manifest keeps."""
    sharing = scenario.federation.sharing_client
    for name, recorded in manifest.training.model_dump(exclude={"unknown"}).items():
        said = getattr(sharing, name)
        try:
            read = TypeAdapter(ClientSettings.model_fields[name].rebuild_annotation()).validate_python(recorded)
        except ValidationError:
            read = None if said is not None else recorded
        if read != said:
            yield _wrong(f"training.{name}", recorded, said, f"federation.client.{name}")


def _images(scenario: Scenario, manifest: Manifest) -> Iterator[InputError]:
    """Compare what the settings of the data set name: shape, number of classes, normalisation."""
    said = scenario.dataset.model_dump()
    size, channels = said.get("size"), said.get("channels")
    if size is not None:
        sides = (size, size) if isinstance(size, int) else tuple(size)
        yield from _differs("input_shape", manifest.input_shape[1:], sides, "dataset.size")
    if channels is not None:
        yield from _differs("input_shape", manifest.input_shape[0], channels, "dataset.channels")
    if said.get("classes") is not None:
        yield from _differs("classes", manifest.classes, said["classes"], "dataset.classes")
    for name in ("mean", "std"):
        if said.get(name) is not None:
            recorded, constants = getattr(manifest, name), tuple(said[name])
            each = constants * len(recorded) if len(constants) == 1 else constants  # one: of every channel
            yield from _differs(name, recorded, each, f"dataset.{name}")


def _rounds(scenario: Scenario, manifest: Manifest) -> Iterator[InputError]:
    federation = scenario.federation
    for place, record in enumerate(manifest.rounds):
        if record.round > federation.rounds:
            yield _wrong(f"rounds.{place}.round", record.round, federation.rounds, "federation.rounds")
        if record.replies > federation.clients:
            yield _wrong(f"rounds.{place}.replies", record.replies, federation.clients, "federation.clients")
        for number, update in enumerate(record.updates):
            yield from _update(scenario, manifest, update, f"rounds.{place}.updates.{number}")


def _update(scenario: Scenario, manifest: Manifest, update: UpdateRecord, path: str) -> Iterator[InputError]:
    federation = scenario.federation
    most = max(update.clients)
    if most >= federation.clients or update.client >= federation.clients:
        yield _wrong(f"{path}.client", max(most, update.client), federation.clients, "federation.clients")
        return
    if bool(update.summed) != (federation.secure_aggregation is not None):
        yield _wrong(f"{path}.summed", update.summed, federation.secure_aggregation, "federation.secure_aggregation")
    version = _version(scenario, update)
    if version is not None and version != update.model_version:
        yield _wrong(f"{path}.model_version", update.model_version, version, "federation.staleness")
    yield from _samples(scenario, update, path)
    yield from _oracles(scenario, manifest, update, path)


def _version(scenario: Scenario, update: UpdateRecord) -> int | None:
    """The model version that the scenario prescribes for an update; None if it is drawn at random."""
    staleness = scenario.federation.staleness
    if not isinstance(staleness, Fixed | Trace):
        return None
    lag = staleness.lag_of(update.client, update.round, generator=np.random.default_rng(0))  # they draw nothing
    return max(0, update.current_version - lag)


def _samples(scenario: Scenario, update: UpdateRecord, path: str) -> Iterator[InputError]:
    client = scenario.federation.client
    each, name = (client.batch_size, "batch_size") if client.protocol == "fedsgd" else (client.samples, "samples")
    if update.samples is not None and each is not None and update.samples > each * len(update.clients):
        yield _wrong(f"{path}.samples", update.samples, each, f"federation.client.{name}")


def _oracles(scenario: Scenario, manifest: Manifest, update: UpdateRecord, path: str) -> Iterator[InputError]:
    granted, training = scenario.adversary.granted, manifest.training
    for name, kept, capability in (
        ("true_labels", update.true_labels, TrueLabels),
        ("mini_batches", update.mini_batches, MiniBatchOrder),
    ):
        if kept is not None and capability.capability_name() not in granted:
            yield _wrong(f"{path}.{name}", kept, "nothing", f"adversary.grants ({capability.capability_name()})")
    batches = update.mini_batches or ()
    if any(len(batch) > training.batch_size for batch in batches):
        longest = max(len(batch) for batch in batches)
        yield _wrong(f"{path}.mini_batches", longest, training.batch_size, "federation.client.batch_size")
    steps = training.local_epochs * -(-(update.samples or 1) // training.batch_size)
    if update.samples is not None and len(batches) > steps:
        yield _wrong(f"{path}.mini_batches", len(batches), f"{steps} steps", "federation.client")


def _pairs(scenario: Scenario, manifest: Manifest) -> Iterator[InputError]:
    recorded, injection = manifest.pairs, scenario.adversary.injection
    if recorded is None or injection is None:
        yield from _differs("pairs", recorded, injection, "adversary.injection")
        return
    place = "adversary.injection"
    yield from _differs("pairs.count", recorded.count, injection.pairs, f"{place}.pairs")
    yield from _differs(
        "pairs.postprocessed", recorded.postprocessed, injection.postprocessed, f"{place}.postprocessed"
    )
    drifts = scenario.federation.client.drifts_injected
    yield from _differs("pairs.drifted", recorded.drifted, drifts, "federation.client.drift.side")
    versions = tuple(number - 1 for number in sorted(injection.rounds))
    yield from _differs("pairs.model_versions", recorded.model_versions, versions, f"{place}.rounds")
    if scenario.federation.client.protocol == "fedsgd":
        each = scenario.federation.client.batch_size
        yield from _differs("pairs.images_per_pair", recorded.images_per_pair, each, "federation.client.batch_size")


def _privacy(scenario: Scenario, manifest: Manifest) -> Iterator[InputError]:
    federation, recorded = scenario.federation, manifest.privacy
    said = federation.client_level_dp or federation.client.dp_sgd
    place = "federation.client_level_dp" if federation.client_level_dp else "federation.client.dp_sgd"
    if recorded is None or said is None:
        yield from _differs("privacy", recorded, said, place)
        return
    unit = "client" if federation.client_level_dp else "example"
    yield from _differs("privacy.unit", recorded.unit, unit, place)
    central = federation.client_level_dp is not None and federation.client_level_dp.noise == "central"
    yield from _differs("privacy.noise", recorded.noise, "server" if central else "client", place)
    for name in ("noise_multiplier", "max_norm", "delta"):
        yield from _differs(f"privacy.{name}", getattr(recorded, name), getattr(said, name), f"{place}.{name}")
