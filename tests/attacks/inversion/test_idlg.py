from __future__ import annotations

from fedleak.attacks.inversion.idlg import Idlg
from tests.attacks.inversion.builders import victim


def test_the_image_is_found_with_its_label_known() -> None:
    victims = [victim(first=i) for i in range(2)]
    decibels = [one.psnr(one.attacked_by(Idlg(iterations=15))) for one in victims]
    assert sum(value > 30 for value in decibels) >= 1, decibels


def test_it_guesses_no_labels_itself() -> None:
    assert victim().attacked_by(Idlg(iterations=1)).labels is None
