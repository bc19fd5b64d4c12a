"""The data set of federations that were recorded elsewhere."""

from __future__ import annotations

import pytest

from fedleak.data.sources.unseen import Unseen
from fedleak.errors import InputError


def test_it_names_shape_and_classes_and_has_no_images() -> None:
    data = Unseen(size=(8, 9), channels=1, classes=4, mean=(0.1,), std=(0.3,))
    assert (data.size, data.channels, data.classes) == ((8, 9), 1, 4)
    assert data.normalisation(1).mean == (0.1,)
    assert data.folder() is None
    with pytest.raises(InputError, match="'fedleak attack RUN_DIR' attacks its record"):
        data.load()
