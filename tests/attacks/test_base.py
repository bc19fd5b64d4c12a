from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from pydantic import ValidationError

from fedleak.attacks.base import Artefact, Attack, Reconstruction, TrainedAttack
from fedleak.threat import GlobalModel, InjectedPairs, ModelArchitecture, SharedUpdate


class Plain(Attack):
    """Asks in one method."""

    kind: Literal["plain"] = "plain"

    def reconstruct(  # type: ignore[override]
        self, update: SharedUpdate, model: GlobalModel, *, generator: torch.Generator
    ) -> Reconstruction:
        raise NotImplementedError


class Trained(TrainedAttack[int]):
    """Asks in three methods."""

    kind: Literal["trained"] = "trained"

    def fit(self, pairs: InjectedPairs, *, generator: torch.Generator) -> Artefact:  # type: ignore[override]
        raise NotImplementedError

    def restore(self, artefact: Artefact, architecture: ModelArchitecture) -> int:  # type: ignore[override]
        raise NotImplementedError

    def reconstruct(self, trained: int, update: SharedUpdate) -> Reconstruction:  # type: ignore[override]
        raise NotImplementedError


def test_annotations_are_the_threat_model() -> None:
    assert Plain.capabilities() == {SharedUpdate, GlobalModel}
    assert Trained.capabilities() == {InjectedPairs, ModelArchitecture, SharedUpdate}


def test_the_name_is_the_id_or_the_kind() -> None:
    assert Plain().name == "plain"
    assert Plain(id="first-try").name == "first-try"


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "a b", "x" * 65])
def test_ids_that_are_no_file_names_are_refused(name: Any) -> None:
    with pytest.raises(ValidationError):
        Plain(id=name)
