"""Where tests find data sets that do not come with the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "FEDLEAK_TEST_DATA"


def data_folder(name: str) -> Path:
    """``name`` below ``$FEDLEAK_TEST_DATA``, or below ``shared/data`` beside the repository."""
    given = os.environ.get(VARIABLE)
    root = Path(given).expanduser() if given else Path(__file__).parents[2] / "shared/data"
    return root / name


def needs_data(*names: str) -> pytest.MarkDecorator:
    """Skip a test, or a module, where one of these folders is absent."""
    missing = [str(data_folder(name)) for name in names if not data_folder(name).is_dir()]
    reason = f"there is no folder {', '.join(missing)}; set {VARIABLE} to the folder that holds {', '.join(names)}"
    return pytest.mark.skipif(bool(missing), reason=reason)
