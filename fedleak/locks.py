"""Locks between processes, held by the kernel, so that they are released even if the holder is killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fedleak.errors import InputError


def waiting_lock(path: Path) -> FileLock:
    """A context manager that holds the lock of a file; other processes and threads wait for it.

    There is no fallback to plain lock files, which would outlive a killed holder: a file system without kernel locks
    raises an OSError.
    """
    return FileLock(path, fallback_to_soft=False, preserve_lock_file=True)


@contextmanager
def sole_lock(path: Path, *, option: str) -> Iterator[None]:
    """Hold the lock of a file inside the block, without waiting for it.

    Args:
        path: the lock file, in the directory that it protects.
        option: the command-line option or argument that names the directory, for the error message.

    Raises:
        InputError: if another process holds the lock.
    """
    lock = waiting_lock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(option, str(path.parent), "another fedleak process is working there") from None
    try:
        yield
    finally:
        lock.release()
