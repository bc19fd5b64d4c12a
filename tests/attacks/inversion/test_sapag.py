from __future__ import annotations

from fedleak.attacks.inversion.sapag import Sapag
from tests.attacks.inversion.builders import victim


def test_the_kernel_brings_the_image_nearer() -> None:
    one = victim()
    answer = one.attacked_by(Sapag(iterations=150))
    assert min(answer.curve["matching_loss"]) < 0.2 * answer.curve["matching_loss"][0]
    assert one.psnr(answer) > 15
