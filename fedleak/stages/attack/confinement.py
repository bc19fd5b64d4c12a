"""Confinement of the process of the attacks by Landlock (Linux 5.13 or newer): the kernel refuses it some folders.

Landlock grants access to folders instead of refusing it; everything is granted here but the refused folders and what
leads to them. Nothing else changes: the process may read and write elsewhere as its user can. It can neither trace the
process that started it nor follow the links below that process's ``/proc`` entry. https://landlock.io, landlock(7).
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

WORKER = "from fedleak.stages.attack.worker import main; main({control}, {watch})"
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_NO_NEW_PRIVILEGES = 38
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
"""Rights on files by version of the interface; the bits of device ioctls, added in version 5, stay free."""
_OF_FILES = 0b111 | 1 << 14
"""Execute, write, read and truncate: the rights that can be granted on what is not a folder."""


class _Ruleset(ctypes.Structure):
    _fields_ = [("handled_access_fs", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


def launch(control: int, watch: int) -> NoReturn:
    """Confine this process, then become the worker, whose memory has never held the names of the refused folders.

    Args:
        control, watch: file descriptors for ``worker.main``. Standard input holds a JSON object with ``refused`` and
            ``needed``, as of ``confine``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to fedleak, too, which then ends this process
    told = json.load(sys.stdin)
    if not confine([Path(path) for path in told["refused"]], needed=[Path(path) for path in told["needed"]]):
        sys.stdout.write("attacks are not confined: this kernel cannot refuse them the run directory\n")
        sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-c", WORKER.format(control=control, watch=watch)])  # noqa: S606


def confine(refused: Sequence[Path], *, needed: Sequence[Path] = ()) -> bool:
    """Refuse this process and its children access to folders, for good; False if the kernel cannot.

    Args:
        refused: absolute paths without symbolic links.
        needed: folders to grant even inside of a refused one.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG) if sys.platform == "linux" else -1
    if version < 1:
        return False
    rights = _RIGHTS[min(version, 3)]
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(_Ruleset(rights)), ctypes.sizeof(_Ruleset), 0)
    if ruleset < 0:
        return False
    try:
        for path in (path for top in (Path("/"), *needed) for path in granted(refused, top)):
            _grant(libc, ruleset, path, rights)
        return bool(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0 and libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def granted(refused: Sequence[Path], top: Path = Path("/")) -> list[Path]:
    """The files and folders that together hold everything below ``top`` but the refused folders."""
    if not any(path.is_relative_to(top) for path in refused):
        return [top]
    if top in refused:
        return []
    try:
        children = sorted(top.iterdir())
    except OSError:
        return []
    return [path for child in children if not child.is_symlink() for path in granted(refused, child)]


def _grant(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    """Grant all rights below a path; one that cannot be opened stays refused."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        allowed = rights if path.is_dir() else rights & _OF_FILES
        rule = _PathBeneath(allowed, descriptor)
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)
