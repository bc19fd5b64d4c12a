from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fedleak.errors import InputError
from fedleak.studies.pool import capacity, check_address
from fedleak.studies.schema import Resources

GIB = 2.0**30


@pytest.mark.parametrize(
    ("offered", "resources", "workers"),
    [
        ({"CPU": 8, "memory": 64 * GIB}, Resources(), 8),
        ({"CPU": 8, "memory": 6 * GIB}, Resources(memory_gib=2), 3),
        ({"CPU": 8, "memory": 64 * GIB}, Resources(cpus=3), 2),
        ({"CPU": 8, "GPU": 2, "memory": 64 * GIB}, Resources(gpus=0.5), 4),
        ({"CPU": 1, "memory": 64 * GIB}, Resources(cpus=0.5), 2),
    ],
)
def test_as_many_workers_as_the_scarcest_resource_allows(
    offered: dict[str, float], resources: Resources, workers: int
) -> None:
    assert capacity(offered, resources) == workers


@pytest.mark.parametrize(
    ("resources", "path"),
    [
        (Resources(cpus=9), "resources.cpus"),
        (Resources(gpus=1), "resources.gpus"),
        (Resources(memory_gib=100), "resources.memory_gib"),
    ],
)
def test_what_does_not_fit_once_is_refused(resources: Resources, path: str) -> None:
    with pytest.raises(InputError) as caught:
        capacity({"CPU": 8, "memory": 64 * GIB}, resources)
    assert caught.value.path == path


@pytest.mark.parametrize("address", ["nowhere", "localhost:http", "127.0.0.1:1", "127.0.0.1:99999"])
def test_an_address_where_no_cluster_is_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="--address"):
        check_address(address)


SOCKETS = """
import os, psutil, sys
from pathlib import Path
from fedleak.studies.directory import StudyDirectory
from fedleak.studies.pool import ray_pool
from fedleak.studies.schema import Resources
with ray_pool(StudyDirectory(Path(sys.argv[1])), Resources(memory_gib=0.1), jobs=1, units=1, address=None) as pool:
    import ray
    print("idle", pool.idle, len(os.environ["RAY_AUTH_TOKEN"]))
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        for connection in process.net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN:
                print("listens", connection.laddr.ip, process.name())
print("after", "RAY_AUTH_TOKEN" in os.environ)
"""


@pytest.mark.timeout(250)
def test_the_ray_of_a_study_listens_on_the_loopback_interface_only(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", SOCKETS, str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["idle", "1", "64"] in lines
    assert ["after", "False"] in lines
    addresses = [line[1] for line in lines if line[0] == "listens"]
    assert len(addresses) >= 4, done.stdout
    assert {address.removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}, done.stdout
