from __future__ import annotations

import pytest
from torch import nn

from fedleak.models.modes import in_mode


class KeepsItsNormalisation(nn.Sequential):
    """As users freeze batch normalisation: ``train`` leaves it in evaluation mode."""

    def train(self, mode: bool = True) -> KeepsItsNormalisation:
        super().train(mode)
        self[1].eval()
        return self


def layers() -> tuple[nn.Module, ...]:
    return nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5)


@pytest.mark.parametrize("normalisation", [False, True])
@pytest.mark.parametrize("dropout", [False, True])
def test_normalisation_and_the_rest_have_modes_of_their_own(normalisation: bool, dropout: bool) -> None:
    module = nn.Sequential(*layers())
    module[0].eval()
    before = [layer.training for layer in module.modules()]
    with in_mode(module, normalisation=normalisation, dropout=dropout):
        assert (module[1].training, module[2].training) == (normalisation, dropout)
    assert [layer.training for layer in module.modules()] == before


def test_a_module_that_keeps_a_layer_in_evaluation_mode_is_respected() -> None:
    module = KeepsItsNormalisation(*layers())
    with in_mode(module, normalisation=True, dropout=True):
        assert not module[1].training
        assert module[2].training


def test_the_mode_is_restored_after_an_error() -> None:
    module = nn.Sequential(*layers()).eval()
    with pytest.raises(RuntimeError), in_mode(module, normalisation=True, dropout=True):
        raise RuntimeError
    assert not any(layer.training for layer in module.modules())
