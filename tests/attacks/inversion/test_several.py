"""Several victims side by side come out as they do one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fedleak.attacks.base import Reconstruction
from fedleak.attacks.inversion.base import InversionAttack
from fedleak.attacks.inversion.dlg import Dlg
from fedleak.attacks.inversion.execution import MOST, victims_at_once
from fedleak.attacks.inversion.gradinversion import GradInversion
from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.errors import AttackFailedError
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from tests.attacks.inversion.builders import victim

VICTIMS = [victim(first=first) for first in range(3)]
GROUP = GradInversion.model_validate({"iterations": 6, "restarts": 3, "group": {"consensus": "lazy"}})
SIGNED = InvertingGradients(iterations=6, restarts=2)


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(len(VICTIMS))]


@pytest.mark.parametrize("attack", [SIGNED, GROUP], ids=lambda attack: attack.kind)
def test_victims_side_by_side_are_the_same_as_one_by_one(attack: InversionAttack) -> None:
    """Noise, restarts and the group's consensus stay each victim's own."""
    together = attack.reconstruct_several([one.bundle(attack) for one in VICTIMS], generators=generators())
    for one, generator, answer in zip(VICTIMS, generators(), together, strict=True):
        alone = attack.invert(one.bundle(attack), generator)
        assert isinstance(answer, Reconstruction)
        torch.testing.assert_close(answer.images, alone.images, rtol=0, atol=1e-3)
        assert answer.curve["matching_loss"] == pytest.approx(alone.curve["matching_loss"], rel=1e-2, abs=1e-5)


def test_a_victim_that_fails_does_not_stop_the_others() -> None:
    spoilt = {name: torch.full_like(tensor, torch.nan) for name, tensor in VICTIMS[1].update.tensors.items()}
    attack = InvertingGradients(iterations=2)
    broken = VICTIMS[1].bundle(attack, update=replace(VICTIMS[1].update, tensors=spoilt))
    some = [VICTIMS[0].bundle(attack), broken]
    good, bad = attack.reconstruct_several(some, generators=generators()[:2])
    assert isinstance(good, Reconstruction)
    assert isinstance(bad, AttackFailedError)


def test_how_many_go_together() -> None:
    one = VICTIMS[0].bundle(SIGNED)
    assert SIGNED.victims_together(one) == MOST
    assert InvertingGradients(victims_per_call=3).victims_together(one) == 3
    assert InvertingGradients.model_validate({"optimiser": {"plateau": 10}}).victims_together(one) == 1
    assert Dlg().victims_together(VICTIMS[0].bundle(Dlg())) == 1


def test_memory_and_long_passes_limit_it() -> None:
    lenet = LeNet().build((3, 32, 32), 10, seed=0)
    assert victims_at_once(lenet, (3, 32, 32), restarts=1, samples=1) == MOST
    assert 1 <= victims_at_once(lenet, (3, 32, 32), restarts=8, samples=32) < MOST
    wide = ConvNet(widths=(256, 256)).build((3, 32, 32), 10, seed=0)
    assert victims_at_once(wide, (3, 32, 32), restarts=1, samples=1) == 1
