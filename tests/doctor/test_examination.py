"""From a path to findings, whatever is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedleak.doctor.examination import examine
from fedleak.errors import InputError
from tests.scenarios import write_scenario
from tests.studies.builders import write_study

LIGHT: dict[str, Any] = {"adversary": {"level": 3, "public_images": 60}}
SOUND = LIGHT | {"attacks": [{"kind": "inverting_gradients", "iterations": 1, "compile": "never"}]}


def test_a_sound_scenario_has_no_findings(tmp_path: Path) -> None:
    assert examine(write_scenario(tmp_path, **SOUND)) == ()


def test_nothing_at_the_path_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"SCENARIO\|RUN_DIR"):
        examine(tmp_path / "absent.yaml")


def test_every_refused_setting_is_a_finding_of_its_own(tmp_path: Path) -> None:
    found = examine(
        write_scenario(tmp_path, **(SOUND | {"adversary": {"level": 3, "compromised": 7}, "device": "tpu"}))
    )
    assert [(finding.check, finding.severity) for finding in found] == [("settings", "error")] * 2
    assert {finding.remedy.split(":")[0] for finding in found} == {"change adversary.compromised", "change device"}


def test_overrides_count(tmp_path: Path) -> None:
    (finding,) = examine(write_scenario(tmp_path, **SOUND), overrides=("device=cuda:63",))
    assert (finding.check, finding.severity) == ("device", "error")


def test_errors_come_first(tmp_path: Path) -> None:
    mistakes = {"device": "cuda:63", "metrics": {"lpips": {"backbone": "no/such/file.pth"}}}
    found = examine(write_scenario(tmp_path, **(SOUND | mistakes)))
    assert [finding.severity for finding in found] == ["error", "warning"]


def test_what_several_cells_of_a_study_share_is_told_once(tmp_path: Path) -> None:
    found = examine(write_study(tmp_path, device="cuda:63"))
    assert [finding.check for finding in found].count("device") == 1


def test_data_that_cannot_be_read_are_a_finding_and_other_checks_go_on(tmp_path: Path) -> None:
    changes = SOUND | {"dataset": {"kind": "image_folder", "root": "no/such/folder"}, "device": "cuda:63"}
    assert {finding.check for finding in examine(write_scenario(tmp_path, **changes))} == {"settings", "device"}


def test_a_folder_that_holds_no_run_is_a_finding(tmp_path: Path) -> None:
    (finding,) = examine(tmp_path)
    assert (finding.check, finding.severity) == ("settings", "error")
    assert "not a fedleak run directory" in finding.what
