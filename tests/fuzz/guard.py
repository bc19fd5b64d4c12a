"""Limits around one command in this process: time, memory, and the folders that it may write to."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

SECONDS = 30.0
"""Allowed processor time of a command."""
WAITING = 60.0
"""Allowed wall time, for what waits without computing; long, because tests run on busy machines."""
AGAIN = 2.0
"""A command that goes on waiting, in a clean-up, is interrupted again after as many seconds."""
MEMORY = 768 * 2**20
"""Allowed growth of resident memory. What is reserved without being touched may be three times as much."""
CHANGES: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
}
"""Audit events of changes to files, other than ``open``: the arguments that are a path, and the folder it starts at."""
OUTWARD = frozenset(
    {"socket.getaddrinfo", "socket.connect", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"}
)
"""Audit events of operations that leave the process; only attacks have a reason, which run in another interpreter."""


class TooSlowError(BaseException):
    """A command took longer than it may; not an ``Exception``, so that nothing on the way catches it."""


@dataclass
class Watch:
    """What the command did while it was watched.

    Attributes:
        allowed: folders that it may write to.
        offences: writes elsewhere, connections and processes.
        seconds: wall time.
        growth: peak of resident memory minus what was resident before, in bytes; 0 where the kernel does not say.
    """

    allowed: tuple[str, ...]
    offences: list[str] = field(default_factory=list)
    seconds: float = 0.0
    growth: int = 0

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Remember an audit event that is an offence."""
        if event in OUTWARD and not _own_process(event, arguments):
            self.offences.append(f"{event} {arguments[:2]!r}")
        elif event == "open" and _writes(arguments):
            self._check(event, arguments[0], None)
        else:
            for path, folder in CHANGES.get(event, ()):
                self._check(event, arguments[path], None if folder is None else arguments[folder])

    def _check(self, event: str, name: object, descriptor: int | None) -> None:
        if not isinstance(name, str | bytes | os.PathLike):
            return  # an open descriptor: its file was checked when it was opened
        start = os.getcwd() if descriptor in (None, -1) else os.readlink(f"/proc/self/fd/{descriptor}")
        folder, base = os.path.split(os.path.join(start, os.fsdecode(name)))
        place = os.path.join(os.path.realpath(folder), base)
        place = os.path.realpath(place) if event == "open" else place  # the others do not follow a last link
        if event == "os.mkdir" and os.path.lexists(place):
            return  # it makes nothing
        if not place.startswith(self.allowed):
            self.offences.append(f"{event} {place}")


_watches: list[Watch] = []
_installed: list[bool] = []


def _own_process(event: str, arguments: tuple[Any, ...]) -> bool:
    return event == "subprocess.Popen" and arguments[0] == sys.executable


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    by_mode = isinstance(mode, str) and any(letter in mode for letter in "wax+")
    return by_mode or (isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)))


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watches and (event == "open" or event in CHANGES or event in OUTWARD):
        _watches[-1].note(event, arguments)


@contextmanager
def watched(*folders: Path, patience: float = 1) -> Iterator[Watch]:
    """Watch what happens inside the block, and end it if it takes too much time or memory.

    Args:
        folders: folders that may be written to; devices, such as ``/dev/null``, may always.
        patience: factor of the allowed times, for commands that import libraries.

    Raises:
        TooSlowError: after the allowed time.
    """
    if not _installed:
        sys.addaudithook(_audit)  # for the rest of the process; it does nothing outside of a watch
        _installed.append(True)
    watch = Watch((*(f"{folder.resolve()}{os.sep}" for folder in folders), "/dev/", f"/proc/{os.getpid()}/"))
    resident = _reset_peak()
    begun = time.monotonic()
    with _bounded_memory(), _bounded_time(patience), _no_bytecode():
        _watches.append(watch)
        try:
            yield watch
        finally:
            _watches.pop()
            watch.seconds = time.monotonic() - begun
            watch.growth = max(0, _kernel_bytes("VmHWM") - resident)


@contextmanager
def _no_bytecode() -> Iterator[None]:
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


@contextmanager
def _bounded_time(patience: float) -> Iterator[None]:
    """Raise ``TooSlowError`` after the allowed time; a timer that was running (pytest-timeout's) goes on afterwards."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise TooSlowError

    handlers = {number: signal.signal(number, stop) for number in (signal.SIGALRM, signal.SIGPROF)}
    begun = time.monotonic()
    remaining, _ = signal.setitimer(signal.ITIMER_REAL, WAITING * patience, AGAIN)
    signal.setitimer(signal.ITIMER_PROF, SECONDS * patience, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if remaining:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, remaining - (time.monotonic() - begun)))


@contextmanager
def _bounded_memory() -> Iterator[None]:
    """Private memory may grow by at most ``3 * MEMORY``; beyond that, Python raises a MemoryError."""
    held = _kernel_bytes("VmData")
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if held:
        resource.setrlimit(resource.RLIMIT_DATA, (held + 3 * MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _reset_peak() -> int:
    """The kernel's high-water mark of resident bytes, which starts anew where the kernel can forget the earlier one."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _kernel_bytes("VmHWM")


def _kernel_bytes(key: str) -> int:
    """A line of ``/proc/self/status``; 0 without such a file."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith(key))
