from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fedleak.attacks.replay import as_replica
from fedleak.attacks.trial import runs_in_parallel
from fedleak.errors import AttackFailedError
from fedleak.tasks.classification import CLASSIFICATION
from tests.user_models import FACTORIES, Mlp

SHAPE = (1, 8, 8)


@pytest.mark.parametrize(
    ("name", "parallel"),
    [("plain", True), ("tied", True), ("gru", False), ("same_module_twice", True), ("branches", False)],
)
def test_trials_run_in_parallel_where_vmap_gives_the_same(name: str, parallel: bool) -> None:
    module = as_replica(FACTORIES[name](SHAPE, 3), train_mode=False)
    assert runs_in_parallel(module, SHAPE, CLASSIFICATION) is parallel


class Untouched(Mlp):
    """Refers to a weight that ``torch.func`` does not replace."""

    def __init__(self) -> None:
        super().__init__(SHAPE, 3)
        self.weights = [self.a.weight]

    def forward(self, images: Tensor) -> Tensor:
        return self.out(torch.sigmoid(self.into(images.flatten(1))) @ self.weights[0])  # type: ignore[no-any-return]


def test_a_gradient_that_torch_func_misses_is_an_error() -> None:
    with pytest.raises(AttackFailedError, match="another gradient of this network than autograd"):
        runs_in_parallel(as_replica(Untouched(), train_mode=False), SHAPE, CLASSIFICATION)
