from __future__ import annotations

from fedleak.attacks.inversion.dlg import Dlg
from fedleak.threat import InferredLabels
from tests.attacks.inversion.builders import victim


def test_images_and_labels_are_found_together() -> None:
    """Sigmoid LeNet with the weights of the paper's code: two of three digits come back almost exactly."""
    victims = [victim(first=i) for i in range(3)]
    found = [one.attacked_by(Dlg(iterations=20)) for one in victims]
    decibels = [one.psnr(answer) for one, answer in zip(victims, found, strict=True)]
    assert sum(value > 30 for value in decibels) >= 2, decibels
    for one, answer, value in zip(victims, found, decibels, strict=True):
        assert answer.labels is not None
        assert value < 30 or answer.labels.tolist() == one.labels.tolist()


def test_it_asks_for_no_labels() -> None:
    assert InferredLabels not in Dlg.capabilities()


def test_the_papers_settings_are_the_defaults() -> None:
    attack = Dlg()
    assert (attack.iterations, attack.optimiser.inner_steps, attack.optimiser.learning_rate) == (300, 20, 1.0)
    assert (attack.distance.kind, attack.box, attack.init) == ("squared_l2", False, "normal")
