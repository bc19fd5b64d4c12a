"""Whatever lies on disk, and whatever the operating system answers: one message with a path, exit code 1 or 2."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from fedleak.cli.failures import failures_as_messages
from fedleak.errors import InputError, as_fedleak_error
from tests.scenarios import Outcome, command, write_scenario

Capsys = pytest.CaptureFixture[str]
Damage = Callable[[Path], object]
LIGHT = {
    "attacks": [{"kind": "dlg", "iterations": 2}],
    "adversary": {"level": 1, "public_images": 20},
    "federation__rounds": 1,
    "metrics": dict.fromkeys(("lpips", "psnr", "ssim")),
}
FILE = re.compile(r"\.(npy|json|safetensors|yaml)|/run\b")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a scenario and its finished run; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        import fedleak

        fedleak.run(write_scenario(folder, **LIGHT), out=folder / "run")
    return folder


@pytest.fixture
def damaged(finished: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(finished, tmp_path / "c"))


def words_of(name: str, folder: Path) -> list[str | Path]:
    """The arguments of a command that reads the run."""
    if name in {"run", "federate"}:
        return [name, folder / "tiny.yaml", "--out", folder / "run", "--quiet"]
    if name == "track":
        return [name, folder / "run", "--to", f"tensorboard={folder / 'board'}"]
    return [name, folder / "run", *(["--quiet"] if name == "attack" else [])]


def check(outcome: Outcome, *, path: str | re.Pattern[str]) -> None:
    """The outcome is a failure with one message that names a path."""
    said = outcome.err + outcome.out
    assert outcome.code in {1, 2}, said
    assert "Traceback" not in said
    assert 1 <= len(outcome.errors) <= 5 or "why: " in outcome.out, said
    assert re.search(re.escape(path) if isinstance(path, str) else path, said.replace("\n", "")), said


def put(name: str, content: bytes) -> Damage:
    """Replaces a file."""
    return lambda root: (root / name).write_bytes(content)


def cut(name: str, size: int) -> Damage:
    """Shortens a file."""
    return lambda root: os.truncate(root / name, size)


def drop(name: str) -> Damage:
    """Removes a file or folder."""
    return lambda root: shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()


def folder_for(name: str) -> Damage:
    """Puts a folder where a file is expected."""
    return lambda root: (drop(name)(root), (root / name).mkdir())


def pipe_for(name: str) -> Damage:
    """Puts a pipe where a file is expected: who opens it, waits."""
    return lambda root: (drop(name)(root), os.mkfifo(root / name))


def loop_for(name: str) -> Damage:
    """Puts a link to itself where a file is expected."""
    return lambda root: (drop(name)(root), (root / name).symlink_to(Path(name).name))


def invert(name: str) -> Damage:
    """Inverts the pixels of an array of images."""
    return lambda root: np.save(root / name, 255 - np.load(root / name))


ATTACKS = "attacks/dlg"
VERSION = "transcript/models/version-00000.safetensors"
SCORING = {"attack", "run"}
TRANSCRIPT = {"attack", "labels", "doctor", "run"}
TRUTH = {"attack", "labels", "run"}
RESULTS = {"report", "compare", "track"}
DAMAGES: list[tuple[str, Damage, set[str]]] = [
    (f"{kind.__name__}:{name}", kind(name), who)
    for name, who in {
        "transcript/manifest.json": {"attack", "labels", "doctor"},
        "transcript/updates.npy": TRANSCRIPT,
        VERSION: TRANSCRIPT,
        "transcript/public/images.npy": TRANSCRIPT,
        "transcript/public/labels.npy": TRANSCRIPT,
        "truth/updates.json": TRUTH,
        "truth/00001/images.npy": TRUTH,
        "truth/00001/labels.npy": TRUTH,
        "truth/checksums.json": set(),
        f"{ATTACKS}/attack.json": set(),
        f"{ATTACKS}/part-00000.json": SCORING,
        f"{ATTACKS}/part-00000.safetensors": SCORING,
        "results.json": RESULTS,
        "scenario.yaml": {"attack", "labels", "doctor"},
    }.items()
    for kind in (drop, folder_for, pipe_for, loop_for)
    if (kind, name) != (pipe_for, "scenario.yaml")  # read by the scenario's own reader
] + [
    ("empty manifest", put("transcript/manifest.json", b""), {"attack", "labels", "doctor"}),
    ("deep manifest", put("transcript/manifest.json", b"[" * 100_000), {"attack", "labels", "doctor"}),
    ("cut updates", cut("transcript/updates.npy", 100), TRANSCRIPT),
    ("empty updates", cut("transcript/updates.npy", 0), TRANSCRIPT),
    ("cut model", cut(VERSION, 100), TRANSCRIPT),
    ("empty model", cut(VERSION, 0), TRANSCRIPT),
    ("empty rows", put("truth/updates.json", b""), TRUTH),
    ("other rows", put("truth/updates.json", b"{}"), TRUTH),
    ("empty truth", cut("truth/00001/images.npy", 0), TRUTH),
    ("cut truth", cut("truth/00001/images.npy", 200), TRUTH),
    ("empty labels", cut("truth/00001/labels.npy", 0), TRUTH),
    ("inverted truth", invert("truth/00001/images.npy"), TRUTH),
    ("empty checksums", put("truth/checksums.json", b""), TRUTH),
    ("deep checksums", put("truth/checksums.json", b"[" * 100_000), TRUTH),
    ("no UTF-8 in the record", put(f"{ATTACKS}/attack.json", b'{"attack": "\xff"}'), SCORING),
    ("deep record", put(f"{ATTACKS}/attack.json", b"[" * 100_000), SCORING),
    ("cut part", cut(f"{ATTACKS}/part-00000.safetensors", 50), SCORING),
    ("empty part", cut(f"{ATTACKS}/part-00000.json", 0), SCORING),
    ("empty results", put("results.json", b""), RESULTS),
    ("no UTF-8 in the results", put("results.json", b'{"format": "\xff"}'), RESULTS),
    ("deep results", put("results.json", b"[" * 100_000), RESULTS),
    ("empty scenario", put("scenario.yaml", b""), {"attack", "labels", "doctor"}),
    ("no UTF-8 in the scenario", put("scenario.yaml", b"\xff"), {"attack", "labels", "doctor"}),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("damage", "failing"), [pytest.param(d, who, id=name) for name, d, who in DAMAGES])
def test_a_damaged_run_directory_is_named_by_every_command(
    damaged: Path, capsys: Capsys, damage: Damage, failing: set[str]
) -> None:
    damage(damaged / "run")
    for name in sorted(failing):
        check(command(capsys, *words_of(name, damaged)), path=FILE)
    for name in sorted((RESULTS | {"doctor"}) - failing):
        assert "Traceback" not in command(capsys, *words_of(name, damaged)).err


def test_no_results_are_shown_where_there_is_no_run(tmp_path: Path, capsys: Capsys) -> None:
    for name in ("attack", "labels", "doctor", "report", "compare", "track"):
        for root in ("absent", "x" * 300, "file/x", "loop", "secret/run"):
            (tmp_path / "file").touch()
            if not (tmp_path / "loop").is_symlink():
                (tmp_path / "loop").symlink_to("loop")
            words = [name, tmp_path / root, *(["--to", f"tensorboard={tmp_path / 'b'}"] if name == "track" else [])]
            check(command(capsys, *words), path=root[-20:])


@pytest.mark.parametrize("root", ["file/x", "x" * 300, "loop", "loop/x", "file", "/proc/x", "/dev/null/x"])
@pytest.mark.parametrize("name", ["run", "federate", "study"])
def test_an_output_that_cannot_be_made_exits_2(tmp_path: Path, capsys: Capsys, name: str, root: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    scenario = write_scenario(tmp_path, **LIGHT, **({"seeds": [0]} if name == "study" else {}))
    outcome = command(capsys, name, scenario, "--out", tmp_path / root, "--quiet")
    check(outcome, path=root[-20:].split("/")[-1])
    assert outcome.code == 2


def test_a_report_of_a_comparison_that_cannot_be_written(damaged: Path, capsys: Capsys) -> None:
    (damaged / "file").touch()
    shutil.copytree(damaged / "run", damaged / "other")
    for out in (damaged / "file/report.html", damaged / ("x" * 300), damaged / "absent/report.html", damaged):
        outcome = command(capsys, "compare", damaged / "run", damaged / "other", "--out", out)
        check(outcome, path=out.name[-20:])


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """As on a full disk, writes beyond so many bytes of a file fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("size", [0, 200, 1_000, 1_500, 2_500, 6_000, 20_000, 40_000])
def test_a_full_disk_is_told_and_the_same_command_continues(tmp_path: Path, capsys: Capsys, size: int) -> None:
    words = words_of("run", tmp_path)
    write_scenario(tmp_path, **LIGHT)
    with no_file_larger_than(size):
        outcome = command(capsys, *words)
    check(outcome, path="run")
    assert "free some space; finished work is kept, and the same command continues it" in outcome.err
    assert outcome.code == 1
    assert not [path for path in tmp_path.rglob(".*.*") if path.is_file()], "no half-written files are left"
    assert command(capsys, *words).code == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a Linux device")
def test_standard_output_that_is_full_or_closed() -> None:
    fedleak = [sys.executable, "-m", "fedleak"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*fedleak, "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*fedleak, "list"], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "/long"),
            2,
            "'/long'; File name too long: choose a shorter",
        ),
        (OSError(errno.ELOOP, "Too many levels", b"/loop"), 2, "'/loop'"),
        (PermissionError(errno.EACCES, "Permission denied", "/secret"), 2, "change its permissions"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/full"),
            1,
            "/full: No space left on device; free some space",
        ),
        (OSError(errno.EIO, "Input/output error", 7), 1, "7: Input/output error"),
        (OSError("36 requested and 0 written"), 1, "36 requested and 0 written; finished work is kept"),
        (ConnectionResetError(), 1, "ConnectionResetError"),
    ],
)
def test_errors_of_the_operating_system_are_told(error: OSError, code: int, words: str) -> None:
    found = as_fedleak_error(error)
    assert (found.exit_code, isinstance(found, InputError)) == (code, code == 2)
    assert words in str(found)


def test_memory_that_does_not_suffice_is_told(capsys: Capsys) -> None:
    with pytest.raises(SystemExit, match="1"), failures_as_messages():
        raise MemoryError("Unable to allocate 8 TiB")
    assert "error: there is not enough memory (Unable to allocate 8 TiB)" in capsys.readouterr().err
