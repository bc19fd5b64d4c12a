from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from fedleak.data.shift.corruption import Corruption
from fedleak.data.shift.corruptions import corrupted
from fedleak.data.shift.none import NoShift
from tests.builders import digits


def test_private_images_are_those_of_no_shift_corrupted_and_public_ones_are_clean() -> None:
    clean = NoShift().deal(digits(), public=50, generator=np.random.default_rng(3))
    public, private = Corruption(name="contrast", severity=4).deal(
        digits(), public=50, generator=np.random.default_rng(3)
    )
    np.testing.assert_array_equal(public.images, clean[0].images)
    np.testing.assert_array_equal(private.labels, clean[1].labels)
    expected = corrupted(clean[1].images, "contrast", 4, np.random.default_rng(0))
    np.testing.assert_array_equal(private.images, expected)
    assert not np.array_equal(private.images, clean[1].images)


@pytest.mark.parametrize("wrong", [{"severity": 0}, {"severity": 6}, {"name": "fog"}])
def test_unknown_corruptions_and_severities_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Corruption.model_validate(wrong)
