"""What must hold for every input of the command line, whatever it is.

The exit code is 0, 1 or 2; no exception leaves ``main``; a refusal says why, in a few lines; time and memory are
bounded; nothing is written outside the folder of the case, and nothing leaves the process.
"""

from __future__ import annotations

import io
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedleak.cli.app import main
from tests.fuzz.guard import MEMORY, TooSlowError, Watch, watched

LONGEST_REFUSAL = 6000
"""Characters of output of a command that refuses its input."""
PACKAGE = f"{Path(sys.modules['fedleak'].__path__[0])}/"


@dataclass(frozen=True)
class Outcome:
    """What a user of the command line would see, and what it cost."""

    arguments: tuple[str, ...]
    code: object
    out: str
    err: str
    raised: BaseException | None
    watch: Watch


def fedleak(arguments: Sequence[str | Path], *folders: Path, patience: float = 1) -> Outcome:
    """``fedleak ARGUMENTS`` in this process, which may write to ``folders`` alone; ``patience`` as for ``watched``."""
    given = tuple(str(argument) for argument in arguments)
    out, err = _stream("strict"), _stream("backslashreplace")
    code: object = "returned"
    raised: BaseException | None = None
    handler = signal.getsignal(signal.SIGTERM)
    with redirect_stdout(out), redirect_stderr(err), watched(*folders, patience=patience) as watch:
        try:
            main(list(given))
        except SystemExit as error:
            code = 0 if error.code is None else error.code
        except (Exception, TooSlowError) as error:  # whatever it is, a user would see its traceback
            raised = error
        finally:
            signal.signal(signal.SIGTERM, handler)
    return Outcome(given, code, _text(out), _text(err), raised, watch)


def _stream(errors: str) -> io.TextIOWrapper:
    """A stream that encodes as the process's own would."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=errors, write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined]


def faults(outcome: Outcome) -> list[str]:
    """Everything that must not be; empty for a good outcome."""
    found = []
    both = outcome.out + outcome.err
    if outcome.raised is not None:
        found.append(f"raised {_where(outcome.raised)}")
    elif outcome.code not in (0, 1, 2):
        found.append(f"exit code {outcome.code!r}")
    if "Traceback (most recent call last)" in both:
        found.append("a traceback in the output")
    if outcome.code in (1, 2) and not both.strip():
        found.append(f"exit code {outcome.code} without a word")
    if outcome.code == 2 and len(both) > LONGEST_REFUSAL:
        found.append(f"a refusal of {len(both)} characters")
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", both):
        found.append("control characters in the output")
    if outcome.watch.growth > MEMORY:
        found.append(f"{outcome.watch.growth / 2**20:.0f} MiB of memory")
    return found + [f"outside its folder: {offence}" for offence in dict.fromkeys(outcome.watch.offences)]


def _where(error: BaseException) -> str:
    """``TYPE (MESSAGE) at the innermost line of fedleak, and at the innermost line of all``."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(PACKAGE)]
    places = [
        f"{frame.filename.removeprefix(PACKAGE)}:{frame.name}"
        for frame in (*own[-1:], *[f for f in frames[-1:] if f not in own[-1:]])
    ]
    return f"{type(error).__name__} at {', '.join(places)}: {str(error)[:300]!r}"


def check(outcome: Outcome) -> None:
    """Assert that nothing is wrong with ``outcome``."""
    if found := list(faults(outcome)):
        given = " ".join(map(repr, outcome.arguments))
        pytest.fail(f"fedleak {given}\n" + "\n".join(found) + f"\n{outcome.out[-1500:]}\n{outcome.err[-1500:]}")
