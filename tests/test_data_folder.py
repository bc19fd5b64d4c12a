from __future__ import annotations

from pathlib import Path

import pytest

from tests.data_folder import VARIABLE, data_folder, needs_data


def test_the_variable_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert data_folder("cifar10/train") == tmp_path / "cifar10/train"


@pytest.mark.parametrize("unset", [None, ""])
def test_the_default_lies_beside_the_repository(unset: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if unset is not None:
        monkeypatch.setenv(VARIABLE, unset)
    repository = Path(__file__).parents[1]
    assert (repository / "pyproject.toml").is_file()
    assert data_folder("cifar10") == repository.parent / "shared/data/cifar10"


def test_the_reason_says_what_is_absent_and_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    (tmp_path / "here").mkdir()
    assert needs_data("here").args == (False,)
    mark = needs_data("here", "gone")
    assert mark.args == (True,)
    assert f"there is no folder {tmp_path / 'gone'}; set FEDLEAK_TEST_DATA" in mark.kwargs["reason"]
