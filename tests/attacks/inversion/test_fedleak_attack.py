from __future__ import annotations

from fedleak.attacks.inversion.fedleak_attack import FedLeakAttack
from tests.attacks.inversion.builders import victim


def test_half_of_the_coordinates_are_enough() -> None:
    one = victim()
    attack = FedLeakAttack(iterations=120)
    assert attack.distance.top_share < 1
    assert attack.optimiser.gradient_blend > 0
    assert one.psnr(one.attacked_by(attack)) > 15
