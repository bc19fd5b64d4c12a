from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from fedleak.federation.plan import make_plan
from fedleak.server.staleness.base import Staleness
from tests.scenarios import scenario


class Halting(Staleness):
    """Client 1 is as many rounds behind as there have been."""

    kind: Literal["halting"] = "halting"

    def lag_of(self, client: int, round_number: int, *, generator: np.random.Generator) -> int:
        return round_number if client == 1 else 0


def test_a_new_model_of_staleness_says_on_which_version_each_client_computes() -> None:
    """Round t - 1 - lag, and never below the first version."""
    checked = scenario(federation__rounds=3)
    late = checked.model_copy(update={"federation": checked.federation.model_copy(update={"staleness": Halting()})})
    versions = [dict(planned.versions) for planned in make_plan(late).rounds]
    assert versions == [{0: 0, 1: 0, 2: 0}, {0: 1, 1: 0, 2: 1}, {0: 2, 1: 0, 2: 2}]


def test_the_base_alone_is_no_model() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Staleness()  # type: ignore[abstract]
