"""Where a study keeps its files, and who may work there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fedleak.errors import InputError
from fedleak.studies.directory import STUDY_FILE, TAIL_LINES, StudyDirectory
from fedleak.studies.records import save_cell
from tests.studies.builders import record


def test_every_kind_of_file_has_its_folder(tmp_path: Path) -> None:
    directory = StudyDirectory(tmp_path)
    found = [
        directory.federation("f").root,
        directory.cell("c").root,
        directory.log("c"),
        directory.lock_file("c"),
    ]
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "federations/f",
        "cells/c",
        "logs/c.log",
        "locks/c",
    ]


def test_a_claimed_directory_has_the_study_and_all_folders(tmp_path: Path) -> None:
    directory = StudyDirectory(tmp_path / "new/study")
    with directory.claim("name: x\n"):
        names = {path.name for path in directory.root.iterdir()}
    assert {STUDY_FILE, "federations", "cells", "logs", "locks"} <= names
    assert (directory.root / STUDY_FILE).read_text() == "name: x\n"


def test_a_study_may_be_run_again_with_another_file(tmp_path: Path) -> None:
    for text in ("name: x\n", "name: y\n"):
        with StudyDirectory(tmp_path).claim(text):
            pass
    assert (tmp_path / STUDY_FILE).read_text() == "name: y\n"


def test_two_drivers_do_not_share_a_directory(tmp_path: Path) -> None:
    directory = StudyDirectory(tmp_path)
    with directory.claim("name: x\n"), pytest.raises(InputError, match="--out"), directory.claim("name: y\n"):
        pytest.fail("both got it")
    assert (tmp_path / STUDY_FILE).read_text() == "name: x\n"


def test_other_peoples_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"it holds other files \(thesis.tex\)"), StudyDirectory(tmp_path).claim(""):
        pytest.fail("it was taken")
    with (
        pytest.raises(InputError, match="it is a file; expected a directory"),
        StudyDirectory(tmp_path / "thesis.tex").claim(""),
    ):
        pytest.fail("it was taken")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_finished_cell_has_a_record(tmp_path: Path) -> None:
    directory = StudyDirectory(tmp_path)
    assert directory.record("c") is None
    done = record({"lti": {"mse": [0.1]}})
    directory.cell("c").root.mkdir(parents=True)
    save_cell(directory.cell("c").root, done)
    assert directory.record("c") == done


def test_the_end_of_a_log(tmp_path: Path) -> None:
    directory = StudyDirectory(tmp_path)
    assert directory.tail("c") == ()
    directory.log("c").parent.mkdir()
    directory.log("c").write_bytes(b"".join(b"line %d \xff\n" % number for number in range(30)))
    tail = directory.tail("c")
    assert (len(tail), tail[-1]) == (TAIL_LINES, "line 29 �")


@pytest.mark.parametrize(
    "name", ["logs", "cells/x", "cells/x/attacks", "cells/x/truth", "federations/y/truth", "study.csv"]
)
def test_links_that_leave_a_study_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "victim").mkdir()
    root = tmp_path / "study"
    for folder in ("cells/x", "federations/y/transcript"):
        (root / folder).mkdir(parents=True)
    (root / "study.yaml").touch()
    (root / "cells/x/transcript").symlink_to("../../federations/y/transcript")
    with StudyDirectory(root).claim("name: study"):
        pass
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match=r"a link to .*victim; fedleak writes nothing through links") as caught:
        StudyDirectory(root).claim("name: study").__enter__()
    assert caught.value.value == str(path)
    assert not list((tmp_path / "victim").iterdir())
