"""The bundle that an inversion is given is its threat model: what it must be given, and what it may ask for."""

from __future__ import annotations

import dataclasses

import pytest

from fedleak.attacks.inversion.knowledge import InversionKnowledge, LabelledKnowledge, LocalTrainingKnowledge
from fedleak.threat import (
    BatchStatistics,
    InferredLabels,
    InjectedPairs,
    MiniBatchOrder,
    PostProcessingDetails,
    PublicData,
    StartingImages,
    TrainingDetails,
    TrueLabels,
    arguments,
    optional_capabilities,
    required_capabilities,
)
from tests.attacks.inversion.builders import victim

ALWAYS = {"update", "architecture", "model", "pixels"}
SOMETIMES = {"labels", "training", "order", "start", "postprocessing", "statistics"}


def anything(known: InversionKnowledge) -> None:
    """Stands for an attack that searches for labels, too."""


def labelled(known: LabelledKnowledge) -> None:
    """Stands for an attack that is given labels."""


def local(known: LocalTrainingKnowledge) -> None:
    """Stands for an attack that unrolls local steps."""


@pytest.mark.parametrize(
    ("method", "more"), [(anything, set()), (labelled, {"labels"}), (local, {"labels", "training"})]
)
def test_what_is_required_and_what_may_be_asked_for(method: object, more: set[str]) -> None:
    assert set(required_capabilities(method)) == ALWAYS | more  # type: ignore[arg-type]
    assert set(optional_capabilities(method)) == SOMETIMES - more  # type: ignore[arg-type]


def test_neither_truth_nor_pairs_can_be_asked_for() -> None:
    asked = {*required_capabilities(local).values(), *optional_capabilities(anything).values()}
    assert {InferredLabels, TrainingDetails, MiniBatchOrder, StartingImages} <= asked
    assert {PostProcessingDetails, BatchStatistics} <= asked
    assert not asked & {TrueLabels, InjectedPairs, PublicData}


def test_capabilities_become_a_bundle_by_their_names() -> None:
    update, leaked, model, pixels, labels, _ = victim().known()
    given = {"update": update, "architecture": leaked, "model": model, "pixels": pixels, "labels": labels}
    known = arguments(labelled, given)["known"]
    assert (known.update, known.labels) == (update, labels)
    assert known.training is known.order is known.start is known.postprocessing is known.statistics is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        known.labels = None


def test_what_is_required_has_no_default() -> None:
    update, leaked, model, pixels, labels, _ = victim().known()
    given = {"update": update, "architecture": leaked, "model": model, "pixels": pixels}
    assert arguments(anything, given)["known"].labels is None
    with pytest.raises(TypeError, match="labels"):
        arguments(labelled, given)
    with pytest.raises(TypeError, match="training"):
        arguments(local, given | {"labels": labels})
