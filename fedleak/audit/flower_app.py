"""A Flower app with a recorder around it: a copy whose components are replaced, run by ``flwr run``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import psutil
import tomli_w

from fedleak.audit import recorder, watcher
from fedleak.audit.recorded import Recorded
from fedleak.errors import FedleakError, InputError, describe

PACKAGE = "fedleak_recorder"
"""Package in the copy that holds the recorder."""
PYPROJECT = "pyproject.toml"
LOG = "flwr.log"
_RUNS_FLWR = "from flwr.cli.app import app; app()"
_DAEMONS = ("flower-superlink", "flower-superexec")
POLL_SECONDS, STOP_SECONDS = 0.2, 15.0


@dataclass(frozen=True)
class FlowerApp:
    """The files of an app that ``flwr run`` would send, and its settings.

    Attributes:
        name: of its folder.
        bundle: a zip archive of its files, as Flower makes it.
        config: its ``pyproject.toml``.
    """

    name: str
    bundle: bytes
    config: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> FlowerApp:
        """Read an app.

        Raises:
            InputError: if the folder holds none, or Flower refuses it.
        """
        if not (folder / PYPROJECT).is_file():
            allowed = f"it has no {PYPROJECT}; expected the folder of a Flower app, which 'flwr run' takes"
            raise InputError("APP_DIR", str(folder), allowed)
        os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
        from flwr.cli.build import build_fab_from_disk

        try:
            config = tomllib.loads((folder / PYPROJECT).read_text(encoding="utf-8"))
            _components(config)
            bundle = build_fab_from_disk(folder)
        except Exception as error:  # Flower and its parts raise several kinds
            raise InputError("APP_DIR", str(folder), f"not a Flower app: {describe(error)}") from error
        return cls(folder.resolve().name, bundle, config)

    @property
    def components(self) -> dict[str, str]:
        """The ``serverapp`` and ``clientapp`` of the app, ``module:attribute``."""
        return _components(self.config)

    def write_recorded(self, parent: Path, recording: Path, *, truth: bool) -> Path:
        """Write a copy of the app with a recorder around its server, and around its clients for the ``truth``.

        Returns:
            Its folder, below ``parent``.
        """
        folder = parent / self.name
        with zipfile.ZipFile(BytesIO(self.bundle)) as archive:
            archive.extractall(folder)  # our own archive: its names are relative
        shutil.rmtree(folder / ".info", ignore_errors=True)
        package = folder / PACKAGE
        package.mkdir()
        (package / "__init__.py").write_text('"""Written by fedleak: records what the app sends and receives."""\n')
        for module in (recorder, watcher):
            shutil.copyfile(str(module.__file__), package / Path(str(module.__file__)).name)
        server, client = self.components["serverapp"], self.components["clientapp"]
        _write_component(package / "server.py", "recorder", "RecordedServerApp", server, recording)
        _write_component(package / "client.py", "watcher", "RecordedClientApp", client, recording)
        config = tomllib.loads((folder / PYPROJECT).read_text(encoding="utf-8"))
        app = config["tool"]["flwr"]["app"]
        app["components"] |= {"serverapp": f"{PACKAGE}.server:app"} | (
            {"clientapp": f"{PACKAGE}.client:app"} if truth else {}
        )
        if "fab-include" in app:
            app["fab-include"] = [*app["fab-include"], f"{PACKAGE}/**"]
        (folder / PYPROJECT).write_text(tomli_w.dumps(config), encoding="utf-8")
        return folder


def _components(config: dict[str, Any]) -> dict[str, str]:
    try:
        found = config["tool"]["flwr"]["app"]["components"]
        return {name: str(found[name]) for name in ("serverapp", "clientapp")}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{PYPROJECT} names no [tool.flwr.app.components] serverapp and clientapp") from error


def _write_component(path: Path, module: str, cls: str, reference: str, recording: Path) -> None:
    lines = (
        '"""Written by fedleak."""',
        f"from {PACKAGE}.{module} import {cls}",
        f"app = {cls}({reference!r}, {str(recording.resolve())!r})",
    )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_app(folder: Path, options: Sequence[str], *, log: Path | None) -> None:
    """``flwr run`` an app to its end; a SuperLink that it starts is stopped afterwards.

    Args:
        folder: of the app.
        options: further arguments of ``flwr run``.
        log: where its output goes; None: to standard error.

    Raises:
        FedleakError: if Flower refuses the app or its options.
    """
    command = [sys.executable, "-c", _RUNS_FLWR, "run", str(folder), *options, "--stream"]
    scripts = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    quiet = {"FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    environment = quiet | dict(os.environ) | {"PATH": scripts}
    with _output(log) as output, _Daemons() as daemons:
        # Flower starts its SuperLink by name, and the app runs where this command was called.
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)  # noqa: S603
        try:
            while process.poll() is None:
                daemons.look(process.pid)
                try:
                    process.wait(POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        tail = "" if log is None else f": {_tail(log)}"
        raise FedleakError(f"flwr run ended with exit code {process.returncode}{tail}")


@contextmanager
def _output(log: Path | None) -> Iterator[IO[str]]:
    if log is None:
        sys.stderr.flush()
        yield sys.stderr
        return
    with log.open("w", encoding="utf-8") as file:
        yield file


def _tail(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-3:])


class _Daemons:
    """The SuperLink that ``flwr run`` started, if it started one, and what this started in turn; stopped at the end."""

    def __init__(self) -> None:
        self._links: dict[int, psutil.Process] = {}

    def __enter__(self) -> _Daemons:
        return self

    def look(self, pid: int) -> None:
        """Note a SuperLink among the children of a process."""
        try:
            for child in psutil.Process(pid).children():
                if child.pid not in self._links and any(_DAEMONS[0] in part for part in child.cmdline()):
                    self._links[child.pid] = child
        except psutil.Error:  # it has just ended
            return

    def __exit__(self, *error: object) -> None:
        links = [link for link in self._links.values() if link.is_running()]
        if not any(error):  # the app cleans up its environment after its last message
            workers = [each for each in _below(links) if not any(_is_daemon(each, name) for name in _DAEMONS)]
            psutil.wait_procs(workers, timeout=STOP_SECONDS)
        processes = [*_below(links), *links]
        for process in reversed(processes):
            _end(process, psutil.Process.terminate)
        for process in psutil.wait_procs(processes, timeout=STOP_SECONDS)[1]:
            _end(process, psutil.Process.kill)


def _below(links: Sequence[psutil.Process]) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for link in links:
        try:
            found |= {child.pid: child for child in link.children(recursive=True)}
        except psutil.Error:
            continue
    return list(found.values())


def _is_daemon(process: psutil.Process, name: str) -> bool:
    try:
        return any(name in part for part in process.cmdline())
    except psutil.Error:
        return False


def _end(process: psutil.Process, how: Any) -> None:
    try:
        how(process)
    except psutil.Error:  # it has ended
        return


def record_app(app: FlowerApp, recording: Path, options: Sequence[str], *, truth: bool, log: Path | None) -> Recorded:
    """Run an app with the recorder around it.

    Args:
        app: the app.
        recording: folder of the recording; it exists and is empty.
        options: further arguments of ``flwr run``.
        truth: also record what clients train on.
        log: where Flower's output goes; None: to standard error.

    Raises:
        FedleakError: if the app cannot be run, or its server failed; messages until then are in the recording.
    """
    with tempfile.TemporaryDirectory(prefix="fedleak-audit-") as parent:
        run_app(app.write_recorded(Path(parent), recording, truth=truth), options, log=log)
    where = "its output above" if log is None else str(log)
    if not (recording / recorder.MESSAGES).is_file():
        raise FedleakError(f"the app's server did not start, so nothing was recorded; see {where}")
    recorded = Recorded.read(recording)
    if recorded.ending is None or recorded.ending.event == "failed":
        reason = "it did not finish" if recorded.ending is None else recorded.ending.reason
        raise FedleakError(f"the app's server failed: {describe(FedleakError(reason))}; see {where}")
    return recorded
