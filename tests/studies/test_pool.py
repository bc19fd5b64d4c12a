from __future__ import annotations

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
