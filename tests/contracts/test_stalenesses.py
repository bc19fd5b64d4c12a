"""Every staleness model gives lags that the generator of the client and round decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedleak.families import kinds
from fedleak.server.staleness.base import Staleness
from tests.builders import with_required
from tests.server.staleness.draws import lags

KINDS = list(kinds("staleness"))
SETTINGS: dict[str, dict[str, Any]] = {"trace": {"lags": [[0, 1], [2], [3]]}}


def staleness(kind: str) -> Staleness:
    cls = kinds("staleness")[kind]
    assert issubclass(cls, Staleness)
    return with_required(cls, **SETTINGS.get(kind, {}))


@pytest.mark.parametrize("kind", KINDS)
def test_lags_are_not_negative_and_repeat(kind: str) -> None:
    first = lags(staleness(kind), rounds=50)
    assert (first >= 0).all()
    assert first.dtype == np.int64
    np.testing.assert_array_equal(first, lags(staleness(kind), rounds=50))
