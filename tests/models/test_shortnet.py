from __future__ import annotations

import pytest
import torch

from fedleak.models.shortnet import ConnectionsName, DenseBlock, ShortNet, read_layers
from tests.models.counting import parameters

CUTS: dict[ConnectionsName, dict[int, tuple[int, ...]]] = {
    "dense": {1: (), 2: (1,), 5: (1, 2, 3, 4), 9: (1, 2, 3, 4, 5, 6, 7, 8)},
    "shortnet1": {1: (), 2: (1,), 4: (1, 2, 3), 5: (1, 3, 4), 6: (1, 2, 4, 5), 13: (1, 3, 5, 7, 9, 11, 12)},
    "shortnet2": {1: (), 3: (1, 2), 4: (2, 3), 5: (1, 3, 4), 6: (4, 5), 9: (1, 5, 7, 8), 17: (1, 9, 13, 15, 16)},
}  # fmt: skip
"""Read off the authors' code for CIFAR-10."""


@pytest.mark.parametrize("name", list(CUTS))
def test_layers_read_whom_they_read_in_the_authors_code(name: ConnectionsName) -> None:
    assert {number: read_layers(number, name) for number in CUTS[name]} == CUTS[name]


@pytest.mark.parametrize(
    ("depth", "connections", "count"),
    [
        (43, "dense", 2_167_786),
        (43, "shortnet1", 1_592_362),
        (43, "shortnet2", 974_090),
        (53, "dense", 3_151_722),
        (53, "shortnet1", 2_156_138),  # published: 2.16 million
        (53, "shortnet2", 1_204_826),
    ],
)
def test_parameters_on_cifar(depth: int, connections: str, count: int) -> None:
    assert parameters(ShortNet.model_validate({"depth": depth, "connections": connections})) == count


def test_a_block_equals_the_formula() -> None:
    torch.manual_seed(0)
    block = DenseBlock(3, 4, 2, "shortnet2").eval()
    x = torch.randn(2, 3, 5, 5)
    a = torch.relu(block.layers[0](block.norm(x)))
    b = torch.relu(block.layers[1](a))
    c = torch.relu(block.layers[2](torch.cat([a, b], dim=1)))
    d = torch.relu(block.layers[3](torch.cat([b, c], dim=1)))
    torch.testing.assert_close(block(x), torch.cat([a, c, d], dim=1))


def test_fewer_connections_leave_the_first_layers_as_they_are() -> None:
    images = torch.randn(2, 3, 16, 16)
    dense, short = (
        ShortNet(growth=2, connections=name).build((3, 16, 16), 10, seed=0).eval() for name in ("dense", "shortnet2")
    )
    for position in range(2):  # stem
        assert torch.equal(dense[: position + 1](images), short[: position + 1](images))  # type: ignore[index]
    assert dense(images).shape == short(images).shape == (2, 10)


def test_small_images_are_refused() -> None:
    with pytest.raises(ValueError, match="four pooling layers need images of 16x16, got 8x16"):
        ShortNet().build((3, 8, 16), 10, seed=0)
