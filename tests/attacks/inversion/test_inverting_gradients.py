from __future__ import annotations

from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.models.convnet import ConvNet
from tests.attacks.inversion.builders import victim


def test_a_digit_behind_an_untrained_network_is_found() -> None:
    one = victim(ConvNet(widths=(12, 12), normalisation="none"), uniform=False)
    assert one.psnr(one.attacked_by(InvertingGradients(iterations=250))) > 13


def test_the_papers_settings_are_the_defaults() -> None:
    attack = InvertingGradients()
    assert (attack.iterations, attack.priors.total_variation, attack.distance.kind) == (4000, 1e-6, "cosine")
    assert (attack.optimiser.kind, attack.optimiser.learning_rate, attack.box) == ("signed_adam", 0.1, True)
