"""Who can reach a local Ray, looked up at the sockets of a real one, and what lies in the temporary folder."""

from __future__ import annotations

import ipaddress
import os
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from fedleak.federation.local_ray import environment, flower_home, private_folder
from tests.processes import end, family, start, wait_for
from tests.scenarios import write_scenario

METHODS = {
    "gcs_server": "ray.rpc.NodeInfoGcsService/CheckAlive",
    "raylet": "ray.rpc.NodeManagerService/GetNodeStats",
    "ray::ClientAppActor": "ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "driver": "ray.rpc.CoreWorkerService/GetCoreWorkerStats",
}
"""A harmless call of each service, by the name of its process."""
Listening = list[tuple[str, str, int]]


def listening(processes: list[psutil.Process], driver: int) -> Listening:
    """Name of the process, address and port of every socket that takes connections."""
    found = []
    for process in processes:
        try:
            name = "driver" if process.pid == driver else process.name()
            sockets = process.net_connections(kind="inet")
        except psutil.NoSuchProcess:
            continue
        found += [(name, c.laddr.ip, c.laddr.port) for c in sockets if c.status == psutil.CONN_LISTEN]
    return found


def answer(port: int, method: str, token: str | None) -> str:
    """Status of an empty call."""
    metadata = [("authorization", f"Bearer {token}")] if token else []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            channel.unary_unary(f"/{method}")(b"", metadata=metadata, timeout=10)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Listening]]:
    """A federation on a local Ray: its process, and every listening socket of it and of its children."""
    folder = tmp_path_factory.mktemp("ray")
    path = write_scenario(folder, federation__engine={"kind": "ray", "cpus": 1}, federation__rounds=1000)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FLWR_HOME", raising=False)
        process = start("federate", path, "--out", folder / "run")

    def named(child: psutil.Process) -> str:
        try:
            return child.name()
        except psutil.NoSuchProcess:  # it ended since it was listed
            return ""

    def workers() -> bool:
        return any(named(child).startswith("ray::ClientApp") for child in family(process))

    try:
        assert wait_for(lambda: workers() or process.poll() is not None, seconds=250)
        assert process.poll() is None, process.communicate()
        yield process.pid, listening([psutil.Process(process.pid), *family(process)], process.pid)
    finally:
        others = family(process)
        process.terminate()  # it removes its folders, which a kill would leave behind
        wait_for(lambda: process.poll() is not None, seconds=60)
        end(process, others)


def test_everything_listens_on_the_loopback_interface_only(running: tuple[int, Listening]) -> None:
    _, sockets = running
    names = {name for name, _, _ in sockets}
    assert {"gcs_server", "raylet", "driver"} <= names
    assert any(name.startswith("ray::ClientApp") for name in names)
    for name, address, _ in sockets:
        ip = ipaddress.ip_address(address)
        mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
        assert (mapped or ip).is_loopback, f"{name} listens on {address}"


def test_calls_without_the_token_of_the_run_are_refused(running: tuple[int, Listening]) -> None:
    pid, sockets = running
    worker = next(child for child in psutil.Process(pid).children(recursive=True) if child.name() == "raylet")
    token = worker.environ()["RAY_AUTH_TOKEN"]
    welcome = set()
    for name, _, port in sockets:
        if "Agent" in name:
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)
            continue
        method = next(method for start, method in METHODS.items() if name.startswith(start))
        if answer(port, method, token) != "OK":  # the raylet's second port, of another service
            method = "ray.rpc.ObjectManagerService/FreeObjects"
            assert answer(port, method, token) == "OK", (name, port)
        welcome.add(name)
        assert answer(port, method, None) == "UNAUTHENTICATED", (name, port)
        assert answer(port, method, "f" * 64) == "UNAUTHENTICATED", (name, port)
    assert len(welcome) >= 4


def test_rays_files_are_in_a_folder_of_the_user_alone(running: tuple[int, Listening]) -> None:
    pid, _ = running
    raylet = next(child for child in psutil.Process(pid).children(recursive=True) if child.name() == "raylet")
    session = next(part.split("=", 1)[1] for part in raylet.cmdline() if part.startswith("--session_dir="))
    private = next(folder for folder in Path(session).parents if folder.name.startswith("fedleak-ray-"))
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_flower_keeps_no_identity_of_the_user(running: tuple[int, Listening]) -> None:
    pid, _ = running
    raylet = next(child for child in psutil.Process(pid).children(recursive=True) if child.name() == "raylet")
    home = Path(raylet.environ()["FLWR_HOME"])
    assert home.name.startswith("fedleak-flower-")
    assert not (home / "source").exists()


def test_ray_that_was_imported_without_a_token_is_refused() -> None:
    code = "import ray\nfrom fedleak.federation.local_ray import local_ray\nwith local_ray():\n    print('started')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Ray was imported before fedleak could switch on its token authentication" in done.stderr
    assert done.stdout == ""


def test_a_private_folder_is_new_closed_to_others_and_removed() -> None:
    with private_folder("fedleak-test-") as first, private_folder("fedleak-test-") as second:
        assert first != second
        assert stat.S_IMODE(Path(first).stat().st_mode) == 0o700
        Path(first, "file").write_text("x")
    assert not Path(first).exists()
    assert not Path(second).exists()


def test_flowers_files_have_a_folder_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLWR_HOME", raising=False)
    with flower_home():
        home = Path(os.environ["FLWR_HOME"])
        assert home.name.startswith("fedleak-flower-")
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert "FLWR_HOME" not in os.environ
    assert not home.exists()


def test_a_folder_that_the_user_names_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLWR_HOME", str(tmp_path))
    with flower_home():
        assert os.environ["FLWR_HOME"] == str(tmp_path)
    assert tmp_path.is_dir()


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDLEAK_KEPT", "before")
    monkeypatch.delenv("FEDLEAK_NEW", raising=False)
    with environment({"FEDLEAK_KEPT": "x", "FEDLEAK_NEW": "y"}):
        assert (os.environ["FEDLEAK_KEPT"], os.environ["FEDLEAK_NEW"]) == ("x", "y")
    assert os.environ["FEDLEAK_KEPT"] == "before"
    assert "FEDLEAK_NEW" not in os.environ
