"""The one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from fedleak.errors import CONTINUE, FedleakError, as_fedleak_error


@contextmanager
def failures_as_messages() -> Iterator[None]:
    """Turn errors that a user can do something about into one message and an exit code.

    Raises:
        SystemExit: with 2 for an input that is wrong, 1 for a run that failed.
    """
    try:
        try:
            yield
        finally:
            _flush()
    except FedleakError as error:
        _exit(str(error), error.exit_code)
    except OSError as error:
        found = as_fedleak_error(error)
        _exit(str(found), found.exit_code)
    except MemoryError as error:
        _exit(f"there is not enough memory ({error}); use smaller batches or a smaller model; {CONTINUE}", 1)


def _flush() -> None:
    """Write what is still buffered for standard output, so that a failure to do so is noticed.

    Raises:
        FedleakError: if it cannot be written.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        raise FedleakError("standard output was closed before everything was printed; finished work is kept") from None
    except OSError as error:
        _discard_output()
        reason = error.strerror or str(error)
        raise FedleakError(f"standard output: {reason}; the result is not printed, finished work is kept") from error


def _discard_output() -> None:
    """Let nothing be written at the end of the process, which would fail again."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def _exit(message: str, code: int) -> None:
    for line in message.splitlines():
        Console(stderr=True, soft_wrap=True).print(f"error: {line}", style="red", highlight=False, markup=False)
    sys.exit(code)
