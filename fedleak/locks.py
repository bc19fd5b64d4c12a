"""Locks between processes. The kernel holds them, so that they are released however their holder ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fedleak.errors import InputError


def waiting_lock(path: Path) -> FileLock:
    """A context manager that holds the lock of a file; one process, or thread, at a time, the others wait.

    A lock that is only a file would outlive a killed holder; where the file system has no others, this is an OSError.
    """
    return FileLock(path, fallback_to_soft=False, preserve_lock_file=True)


@contextmanager
def sole_lock(path: Path, *, option: str) -> Iterator[None]:
    """Hold the lock of a file while the block runs, without waiting for it.

    Args:
        path: the file; it lies in the directory that it protects.
        option: what the user chose that directory with.

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
