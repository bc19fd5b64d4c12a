"""Attacks in a process of their own, which has nothing of the clients but what the adversary observed.

The process is a fresh interpreter, one for all attacks of a run. It is given a private folder with the transcript, the
settings of the attacks and the names of what is granted; not the run directory, the scenario's data or its seed. What
it reports comes back over a socket as JSON, and what it writes is copied below ``attacks/``. A process that dies takes
only the attack with it that it was running; a new one goes on with the others. Where the kernel can, it also refuses
the process access to the run directory and the clients' data set (see ``confinement``); elsewhere, an attack that
searches the whole disk finds what this user may read.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any, Literal

import torch

from fedleak.attacks import artefacts
from fedleak.attacks.order import in_order
from fedleak.cache import cache_root
from fedleak.errors import FedleakError
from fedleak.progress import Progress
from fedleak.run_directory import RunDirectory
from fedleak.stages.attack.job import AttackJob
from fedleak.stages.attack.messages import Message, Relay, receive, send
from fedleak.stages.attack.session import all_done
from fedleak.stages.attack.staging import Staging, staged
from fedleak.transcript.reader import TranscriptReader

GRACE_SECONDS = 10.0
"""Time in which an interrupted process may write what it has finished."""
_KEY = re.compile(r"[0-9a-f]{64}")
_PATHS_OF_A_SHELL = ("PWD", "OLDPWD", "_")
_CODE = "from fedleak.stages.attack.confinement import launch; launch({control}, {watch})"


def attack_isolated(
    job: AttackJob,
    run: RunDirectory,
    progress: Progress,
    *,
    private: Sequence[Path] = (),
    ended: Callable[[str], None] | None = None,
) -> None:
    """As ``session.attack``, in a process of its own; none is started if every attack is done.

    Args:
        job, run, progress: as of ``session.attack``.
        private: further folders that no attack needs, such as that of the clients' data set.
        ended: called in this process with the name of every attack that has ended.

    Raises:
        InputError: if the transcript is missing, foreign or damaged.
        FedleakError: if the process cannot be started, or an attack has changed the transcript.
    """
    checksums = TranscriptReader(run.transcript).manifest.checksums
    if all_done(job, run):
        for component in in_order(job.attacks):
            progress.say(f"attack {component.name}: already done, reconstructions reused")
        return
    names = [component.name for component in job.attacks]
    while True:
        with staged(run, checksums, names) as staging, _Process(staging, run, progress, private, ended) as process:
            lost = process.run(job)
        if lost is None:
            return
        progress.say(f"attack {lost[0]}: failed: {lost[1]}")
        job = job.without(*lost)


def environment(run: RunDirectory, staging: Staging, private: Sequence[Path] = ()) -> dict[str, str]:
    """The environment of the process: this one's without paths of the run, and with a cache of its own.

    The folder of compiled code, which it names, is created, and the links of ``importable``.
    """
    named = str(run.root.resolve())
    kept = {n: v for n, v in os.environ.items() if n not in _PATHS_OF_A_SHELL and named not in v}
    compiled = cache_root() / "inductor"  # kept between runs
    compiled.mkdir(mode=0o700, parents=True, exist_ok=True)
    modules = os.pathsep.join(importable(refused_folders(run, private), staging.code))
    own = {"FEDLEAK_CACHE": staging.cache, "TMPDIR": staging.temporary, "PYTHONPATH": modules}
    return {"TORCHINDUCTOR_CACHE_DIR": str(compiled)} | kept | {name: str(value) for name, value in own.items()}


def _import_path() -> list[str]:
    return [os.path.abspath(folder) for folder in sys.path]


def importable(refused: Sequence[Path], links: Path) -> list[str]:
    """The folders that the process imports from: this one's, but none that holds a refused folder.

    The process may not list such a folder, as that of a project with ``runs/`` in it, and Python lists a folder before
    it imports from it. A folder of links to its entries below ``links`` stands in for it.
    """
    found = []
    for number, name in enumerate(_import_path()):
        folder = Path(name).resolve()
        inside = any(folder.is_relative_to(path) for path in refused)
        if folder.is_dir() and not inside and any(path.is_relative_to(folder) for path in refused):
            found.append(str(_linked(folder, links / str(number), refused)))
        else:
            found.append(name)
    return found


def _linked(folder: Path, target: Path, refused: Sequence[Path]) -> Path:
    """A folder with links to the entries of another one, without the refused ones."""
    target.mkdir(parents=True)
    for entry in folder.iterdir():
        if not any(path.is_relative_to(entry) for path in refused):
            (target / entry.name).symlink_to(entry)
        elif entry not in refused:
            _linked(entry, target / entry.name, refused)
    return target


def refused_folders(run: RunDirectory, private: Sequence[Path]) -> list[Path]:
    """The run directory, its parts where they lie elsewhere, and the clients' data, unless code is imported from it."""
    code = _code()
    data = [path.expanduser().resolve() for path in private]
    data = [folder for folder in data if not any(path.is_relative_to(folder) for path in code)]
    return sorted({run.root.resolve(), run.truth.resolve(), run.transcript.resolve().parent, *data})


def boundary(run: RunDirectory, staging: Staging, private: Sequence[Path]) -> dict[str, list[str]]:
    """The folders that the process is refused, and those that it needs even inside of them."""
    needed = (staging.files.root.resolve(), *_code())
    return {"refused": list(map(str, refused_folders(run, private))), "needed": list(map(str, needed))}


def _code() -> list[Path]:
    return [Path(path).resolve() for path in (*_import_path(), sys.prefix, sys.base_prefix)]


class _Process:
    """The process, and what this one does for it; ended when the block ends."""

    def __init__(
        self,
        staging: Staging,
        run: RunDirectory,
        progress: Progress,
        private: Sequence[Path],
        ended: Callable[[str], None] | None,
    ) -> None:
        self._staging, self._progress, self._relay = staging, progress, Relay(progress)
        self._ended = ended
        self._claims: dict[str, ExitStack] = {}
        self._attack = ""
        self._done = False
        self._tail: deque[str] = deque(maxlen=20)
        self._partial = b""
        self._connection, theirs = multiprocessing.Pipe()
        watched, self._watch = os.pipe()
        code = _CODE.format(control=theirs.fileno(), watch=watched)
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and no argument from outside
            [sys.executable, "-P", "-c", code],
            cwd=staging.files.root,
            env=environment(run, staging, private),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs.fileno(), watched),
        )
        theirs.close()
        os.close(watched)
        with suppress(OSError), self._pipe("stdin") as pipe:  # a process that has died is noticed later
            pipe.write(json.dumps(boundary(run, staging, private)).encode())

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._process.poll() is None:
                self._end()
        finally:
            self._process.kill()
            self._process.wait()
            for claim in self._claims.values():
                claim.close()
            os.close(self._watch)
            self._connection.close()
            self._output.close()

    def _pipe(self, name: Literal["stdin", "stdout"]) -> IO[bytes]:
        pipe: IO[bytes] | None = getattr(self._process, name)
        if pipe is None:
            raise RuntimeError(f"{name} is not a pipe")
        return pipe

    @property
    def _output(self) -> IO[bytes]:
        return self._pipe("stdout")

    def run(self, job: AttackJob) -> tuple[str, str] | None:
        """Run the job to its end; None, or the attack with which the process died, and the reason.

        Raises:
            FedleakError: what the stage raised, or that the process died before it began an attack.
        """
        with suppress(OSError):  # it has died already
            send(self._connection, job=job.message(), torch_threads=torch.get_num_threads())
        while self._pump(None):
            pass
        self._process.wait()
        if self._done:
            return None
        reason = _death(self._process.returncode, list(self._tail))
        if not self._attack or self._attack in job.lost:
            raise FedleakError(f"the process of the attacks cannot go on: {reason}")
        return self._attack, reason

    def _pump(self, timeout: float | None) -> bool:
        """Handle what has arrived, at least one message or line unless ``timeout`` ends; False at the end."""
        ready: list[Any] = wait([self._connection, self._output.fileno()], timeout)
        if self._output.fileno() in ready:
            self._show(os.read(self._output.fileno(), 2**16))
        if self._connection in ready:
            try:
                message = receive(self._connection)
            except (EOFError, OSError):
                self._show(self._output.read())
                self._show(b"\n" if self._partial else b"")
                return False
            self._handle(message)
        return True

    def _show(self, output: bytes) -> None:
        """Lines that attacks print."""
        *lines, self._partial = (self._partial + output).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").rstrip()
            self._tail.append(text)
            self._progress.say(text)

    def _handle(self, message: Message) -> None:
        kind = message["kind"]
        if kind == "claim":
            self._claim(str(message["key"]))
        elif kind == "release":
            self._release(str(message["key"]))
        elif kind == "begun":
            self._attack = str(message["attack"])
        elif kind == "written":
            self._staging.collect()
        elif kind == "ended" and self._ended is not None:
            self._ended(str(message["attack"]))
        elif kind == "done":
            self._done = True
        else:
            self._relay.show(message)

    def _claim(self, key: str) -> None:
        """Wait for the lock of an artefact; give the process a copy if there is one."""
        if not _KEY.fullmatch(key):
            raise FedleakError(f"not the key of an artefact: {key!r}")
        self._claims[key] = claim = ExitStack()
        claim.enter_context(artefacts.exclusive(key))
        stored = artefacts.cache_folder() / f"{key}.safetensors"
        if stored.is_file():
            self._staged(key).parent.mkdir(exist_ok=True)
            shutil.copyfile(stored, self._staged(key))
        send(self._connection, kind="granted")

    def _release(self, key: str) -> None:
        """Keep the artefact, if it was made, and release its lock."""
        with self._claims.pop(key):
            made = self._staged(key)
            if made.is_file() and not made.is_symlink():
                artefacts.keep(key, made)

    def _staged(self, key: str) -> Path:
        return self._staging.cache / "artefacts" / f"{key}.safetensors"

    def _end(self) -> None:
        """Interrupt the process and give it some time to write what it has finished."""
        self._process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        with suppress(FedleakError):  # the first error is the one to report
            while time.monotonic() < deadline and self._pump(0.2):
                pass


def _death(code: int, output: list[str]) -> str:
    """How a process died, in one line."""
    if code >= 0:
        last = f"; it said: {output[-1]}" if output else ""
        return f"its process ended with exit code {code}{last}"
    name = signal.Signals(-code).name
    memory = ", perhaps because memory ran out" if -code == signal.SIGKILL else ""
    return f"its process was ended by {name}{memory}"
