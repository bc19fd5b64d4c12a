"""Malicious attacks find nothing in the process that is given to them; in the caller's, the same spies succeed."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedleak.attacks import artefacts
from fedleak.attacks.base import Attack
from fedleak.errors import FedleakError, InputError
from fedleak.pipeline import attack_run
from fedleak.progress import QuietProgress
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack import isolated
from fedleak.stages.attack.confinement import granted
from fedleak.stages.attack.isolated import attack_isolated
from fedleak.stages.attack.job import AttackJob
from fedleak.stages.attack.record import load_images, load_record
from fedleak.stages.attack.session import attack
from tests.processes import alive, family, finish, start, wait_for
from tests.scenarios import run_federation, scenario, streams, tree, write_scenario
from tests.stages.attack.spies import ROUTES, Dies, SeedSearch, Spy, Vandal, image_hash

STD = 1.0
NAME = "clients-of-harbour"
CHANGES: dict[str, Any] = {
    "dataset": {"kind": "synthetic", "images": 200, "size": 8, "seed": os.getpid()},  # images that no other run has
    "adversary": {"level": 3, "public_images": 60},
    "attacks": ["dlg"],
    "federation__rounds": 1,
    "federation__client": {"postprocess": [{"kind": "gaussian_noise", "std": STD}]},
    "seed": 17,
}
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Said(QuietProgress):
    """Progress that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)

    @property
    def found(self) -> list[str]:
        """What spies have found."""
        return [line for line in self.lines if line.startswith("FOUND")]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A federation that was just run in this process, serially: its clients' data are still open here."""
    return run_federation(tmp_path_factory.mktemp("spied") / NAME, scenario(**CHANGES))


@pytest.fixture
def run(recorded: RunDirectory) -> Iterator[RunDirectory]:
    """The same, not attacked yet."""
    yield recorded
    shutil.rmtree(recorded.attacks, ignore_errors=True)
    recorded.errors.unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def _as_users_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEDLEAK_ISOLATION")


def job_of(*attacks: Attack) -> AttackJob:
    """A job with attacks of the tests' own modules, as a user's are of his."""
    chosen = AttackJob.of(scenario(**CHANGES))
    code = {attack.name: "" for attack in attacks}
    return AttackJob(attacks, chosen.granted, chosen.label_inference, "cpu", 1, code, model_code="")


def spies(run: RunDirectory) -> list[Spy]:
    """One for each route."""
    held = np.load(run.truth / "00001/images.npy")
    hashes = tuple(image_hash(image) for image in held)
    return [Spy(id=route, route=route, eman=NAME[::-1], hashes=hashes) for route in ROUTES]


@linux
def test_spies_find_nothing_in_a_process_of_their_own(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_OF_MINE", str(run.root))
    monkeypatch.chdir(run.root)
    monkeypatch.setattr(sys, "argv", ["fedleak", "run", str(run.root)])
    said = Said()
    attack_isolated(job_of(*spies(run)), run, said)
    assert said.found == []
    for route in ROUTES:
        record = load_record(run.attacks / route)
        assert record is not None
        assert [attempt.status for attempt in record.attempts] == ["ok", "ok"], (record.attempts, said.lines)


@linux
def test_code_beside_the_run_is_found_but_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project's folder with ``runs/`` in it, on the path of Python, may not be listed by the process."""
    project = tmp_path / "project"
    (project / "package/data").mkdir(parents=True)
    (project / "package/__init__.py").write_text("")
    (project / "module_of_mine.py").write_text("")
    run, data = project / "runs/one", project / "package/data/images"
    for folder in (run, data):
        folder.mkdir(parents=True)
        (folder / "secret").write_text("")
    monkeypatch.setattr(sys, "path", [str(run), str(project), "/usr/lib"])
    found = isolated.importable([run, data], tmp_path / "links")
    assert found == [str(run), str(tmp_path / "links/1"), "/usr/lib"]
    names = {path.relative_to(found[1]).as_posix() for path in Path(found[1]).rglob("*")}
    assert names == {"module_of_mine.py", "package", "package/__init__.py", "package/data", "runs"}
    assert Path(found[1], "module_of_mine.py").resolve() == project / "module_of_mine.py"


@linux
def test_the_same_spies_find_the_clients_images_in_the_process_that_ran_the_federation(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The control: each route leads there if nothing stands in the way."""
    monkeypatch.setenv("RUN_OF_MINE", str(run.root))
    monkeypatch.chdir(run.root)
    shutil.copytree(run.truth, tmp_path / "cache/images")
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path / "cache"))
    script = f"import os, time; os.chdir({str(run.root)!r}); time.sleep(600)"
    monkeypatch.setattr(os, "getppid", lambda: helper.pid)
    helper = isolated.subprocess.Popen([sys.executable, "-c", script], cwd=run.root)
    try:
        from fedleak.federation.node_data import arrays

        kept = arrays(str(run.truth / "00001")), (run.truth / "00001/images.npy").open("rb")
        attack(job_of(*spies(run)), run, QuietProgress())
        del kept
    finally:
        helper.kill()
        helper.wait()
    found = {line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("FOUND")}
    assert found | {"disk"} == set(ROUTES)  # parallel workers of pytest have their folders elsewhere


def test_a_search_for_the_seed_leads_neither_to_generators_nor_to_noise(run: RunDirectory) -> None:
    said = Said()
    attack_isolated(job_of(SeedSearch(std=STD, most=20)), run, said)
    assert said.lines.count("SEED from the model 17") == 2, ("the search works, and the seed is known", said.lines)
    assert said.found == []


def test_with_the_clients_key_the_same_search_would_remove_the_noise(run: RunDirectory) -> None:
    """The control of the search: its measure tells noise that was subtracted from noise that was not."""
    from fedleak import seeds
    from fedleak.transcript.reader import TranscriptReader

    reader = TranscriptReader(run.transcript)
    record = reader.manifest.updates[0]
    update = reader.manifest.parameters.unflatten(reader.update(record.row))
    levels = {}
    for root in (streams(run.root).client(record.client), seeds.key(17, "client", record.client)):
        draws = seeds.torch_generator(root, "postprocess", "train", 1, 0)
        rest = [t - STD * torch.empty(t.shape).normal_(generator=draws) for t in update.values()]
        levels[root] = float(torch.cat([tensor.flatten() for tensor in rest]).square().mean().sqrt())
    own, wrong = levels.values()
    assert own < STD < wrong


def test_isolated_and_in_one_process_attacks_give_the_same_bytes(run: RunDirectory, tmp_path: Path) -> None:
    other = RunDirectory(Path(shutil.copytree(run.root, tmp_path / "other")))
    chosen = AttackJob.of(scenario(**CHANGES, threads=1))
    attack_isolated(chosen, run, QuietProgress())
    attack(chosen, other, QuietProgress())
    for row, image in load_images(run.attacks / "dlg").items():
        assert torch.equal(image, load_images(other.attacks / "dlg")[row])
    before = tree(run.attacks)
    attack_isolated(chosen, run, QuietProgress())
    assert tree(run.attacks) == before


def test_nothing_is_started_where_everything_is_done(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, said = job_of(spies(run)[0]), Said()
    attack_isolated(chosen, run, said)
    monkeypatch.setattr(isolated, "_Process", None)
    attack_isolated(chosen, run, said)
    assert said.lines[-1] == "attack descriptors: already done, reconstructions reused"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("kill", "its process was ended by SIGKILL, perhaps because memory ran out"),
        ("segfault", "its process was ended by SIGSEGV"),
        ("exit", "its process ended with exit code 7; it said: last words"),
    ],
)
def test_a_process_that_dies_takes_only_its_attack_with_it(run: RunDirectory, how: Any, reason: str) -> None:
    first, last = (spies(run)[0].model_copy(update={"id": name}) for name in ("first", "last"))
    attack_isolated(job_of(first, Dies(how=how), last), run, QuietProgress())
    records = {name: load_record(run.attacks / name) for name in ("first", "dies", "last")}
    outcomes = {name: [a.status for a in record.attempts] for name, record in records.items() if record is not None}
    assert outcomes == {"first": ["ok", "ok"], "dies": ["failed", "failed"], "last": ["ok", "ok"]}
    assert records["dies"] is not None
    assert {attempt.reason for attempt in records["dies"].attempts} == {reason}
    assert all(attempt.crashed for attempt in records["dies"].attempts)


def test_what_writes_into_the_transcript_is_noticed(recorded: RunDirectory, tmp_path: Path) -> None:
    run = RunDirectory(Path(shutil.copytree(recorded.root, tmp_path / "run")))
    with pytest.raises(FedleakError, match="an attack has changed the transcript"):
        attack_isolated(job_of(Vandal()), run, QuietProgress())


def test_errors_of_input_come_back_as_they_were(run: RunDirectory) -> None:
    chosen = AttackJob.of(scenario(**CHANGES, device="cuda:63"))
    with pytest.raises(InputError, match="device: got 'cuda:63'; this machine has") as caught:
        attack_isolated(chosen, run, QuietProgress())
    assert caught.value.exit_code == 2


def test_trained_generators_are_found_in_the_cache_and_left_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDLEAK_CACHE", str(tmp_path / "cache"))
    run = run_federation(tmp_path / "run", scenario(federation__rounds=1))
    first = attack_run(run, progress=QuietProgress(), isolated=True)
    kept = tree(artefacts.cache_folder())
    assert len([name for name in kept if name.endswith(".safetensors")]) == 2
    shutil.rmtree(run.attacks)
    second = attack_run(run, progress=QuietProgress(), isolated=True)
    assert first is not None
    assert second is not None
    assert [row.metrics for row in first.rows] == [row.metrics for row in second.rows]
    assert [attack.training_cached for attack in second.attacks[:2]] == [True, True]
    assert tree(artefacts.cache_folder()) == kept


def test_no_folder_is_left_behind(run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    attack_isolated(job_of(Dies(how="exit")), run, QuietProgress())
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("fedleak-attacks")] == []


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_command_leaves_no_process_and_continues(tmp_path: Path, number: int) -> None:
    """The second attack of a real command is interrupted; the first one is not run again."""
    attacks = [
        {"kind": "dlg", "iterations": 1},
        {"kind": "inverting_gradients", "iterations": 10**6, "restarts": 1},
    ]
    changed = CHANGES | {"attacks": attacks, "threads": 1, "federation__engine": {"kind": "serial"}}
    path = write_scenario(tmp_path, **changed)
    process = start("run", path, "--out", tmp_path / "run")
    assert wait_for(lambda: (tmp_path / "run/attacks/dlg/attack.json").exists())
    others = family(process)
    assert others
    process.send_signal(number)
    code, _, err = finish(process)
    assert code == (-9 if number == signal.SIGKILL else 128 + number), err
    assert "Traceback" not in err
    assert wait_for(lambda: not alive(others), seconds=30)
    again = finish(start("attack", tmp_path / "run", "--set", "attacks.inverting_gradients.iterations=1"))
    assert again[0] == 0, again[2]
    assert "attack dlg: already done" in again[2]


def test_what_is_granted_is_everything_but_the_refused(tmp_path: Path) -> None:
    for name in ("a/b/secret/x", "a/b/open", "a/c", "d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a/file").touch()
    (tmp_path / "a/link").symlink_to(tmp_path / "a/b/secret")
    found = granted([tmp_path / "a/b/secret"], tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in found} == {"a/b/open", "a/c", "a/file", "d"}
    assert granted([tmp_path / "a"], tmp_path / "a/b") == [tmp_path / "a/b"], "asked for inside of a refused one"
    assert granted([], tmp_path) == [tmp_path]
