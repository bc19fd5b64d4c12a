from __future__ import annotations

import pytest

from fedleak.attacks.inversion.base import LabelledInversion
from fedleak.families import kinds
from fedleak.threat import InferredLabels

KINDS = [name for name, kind in kinds("attack").items() if issubclass(kind, LabelledInversion)]


@pytest.mark.parametrize("kind", KINDS)
def test_labels_come_from_the_scenarios_inference(kind: str) -> None:
    cls = kinds("attack")[kind]
    assert issubclass(cls, LabelledInversion)
    assert InferredLabels in cls.capabilities()
