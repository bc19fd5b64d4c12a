from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fedleak.attacks.inversion.dropout_inversion import DropoutInversion
from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.models.convnet import ConvNet
from tests.attacks.inversion.builders import GRADIENT, victim

WITH_DROPOUT = ConvNet(widths=(16, 16), pool_every=2, normalisation="none", dropout=0.25)
WITHOUT = WITH_DROPOUT.model_copy(update={"dropout": 0.0})


def test_an_image_is_rebuilt_from_a_gradient_with_dropout_where_inverting_gradients_rebuilds_less() -> None:
    one = victim(WITH_DROPOUT, training=replace(GRADIENT, dropout=True), uniform=False)
    usual = one.attacked_by(InvertingGradients(iterations=400))
    masked = one.attacked_by(DropoutInversion(iterations=400))
    assert one.psnr(masked) > one.psnr(usual) + 3
    assert min(masked.curve["matching_loss"]) < 0.5 * min(usual.curve["matching_loss"])


def test_without_dropout_layers_it_is_inverting_gradients() -> None:
    one, settings = victim(WITHOUT, uniform=False), InvertingGradients(iterations=20)
    same = DropoutInversion(iterations=20, keep="last", priors=settings.priors, distance=settings.distance)
    assert torch.equal(one.attacked_by(same).images, one.attacked_by(settings).images)


def test_local_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="one mask per image"):
        DropoutInversion(local_training="estimated")
