"""From the iterates of many trials to one answer."""

from __future__ import annotations

import pytest
import torch

from fedleak.attacks.inversion.decoders import Decoder
from fedleak.attacks.inversion.dlg import Dlg
from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.attacks.inversion.outcome import Inversion, best_reconstruction
from fedleak.attacks.inversion.problem import Problem
from fedleak.errors import AttackFailedError
from tests.attacks.inversion.builders import victim

ATTACK = InvertingGradients()


def test_the_trial_with_the_lowest_matching_loss_is_returned() -> None:
    """Four trials of one grey value each; losses that are not finite never win."""
    one, grey = victim(), torch.tensor([-0.8, -0.4, 0.2, 0.6])
    variables = {"code": grey.reshape(4, 1, 1, 1, 1).expand(4, 1, 1, 8, 8)}
    losses, trace = torch.tensor([torch.inf, 0.3, 0.1, torch.nan]), torch.arange(8.0).reshape(2, 4)
    problem = Problem(one.bundle(ATTACK))
    answer = best_reconstruction(problem, Inversion(variables, losses, trace), Decoder())
    torch.testing.assert_close(answer.images, torch.full((1, 1, 8, 8), 0.6))
    assert answer.curve["matching_loss"] == [2.0, 6.0]
    assert answer.curve["kept_loss"] == pytest.approx([0.1])


def test_no_finite_trial_is_a_failed_attack() -> None:
    one = victim()
    problem = Problem(one.bundle(ATTACK))
    lost = Inversion({"code": torch.zeros(1, 1, 1, 8, 8)}, torch.tensor([torch.inf]), torch.zeros(1, 1))
    with pytest.raises(AttackFailedError, match="never finite"):
        best_reconstruction(problem, lost, Decoder())


def test_images_are_pixels_within_their_bounds_whatever_was_searched() -> None:
    """Normalised -3 and 3 are -1 and 2 as pixels."""
    one = victim()
    code = torch.full((1, 1, 1, 8, 8), -3.0)
    code[..., 4:] = 3.0
    found = best_reconstruction(
        Problem(one.bundle(ATTACK)), Inversion({"code": code}, torch.zeros(1), torch.zeros(1, 1)), Decoder()
    )
    assert found.images.unique().tolist() == [0.0, 1.0]
    assert found.images.dtype == torch.float32


def test_the_decoder_makes_the_image() -> None:
    code = torch.tensor([[-1.0, 1.0], [1.0, -1.0]]).reshape(1, 1, 1, 2, 2)
    found = best_reconstruction(
        Problem(victim().bundle(ATTACK)),
        Inversion({"code": code}, torch.zeros(1), torch.zeros(1, 1)),
        Decoder(kind="upsample", mode="nearest"),
    )
    assert torch.equal(found.images[0, 0], torch.kron(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.ones(4, 4)))


def test_labels_that_were_searched_for_come_with_the_images_and_others_do_not() -> None:
    one, attack = victim(count=2), Dlg()
    logits = torch.zeros(2, 2, 10)
    logits[1, 0, 7] = logits[1, 1, 3] = 5.0
    iterates = Inversion(
        {"code": torch.zeros(2, 2, 1, 8, 8), "labels": logits}, torch.tensor([0.2, 0.1]), torch.zeros(3, 2)
    )
    found = best_reconstruction(Problem(one.bundle(attack)), iterates, Decoder())
    assert found.labels is not None
    assert found.labels.tolist() == [7, 3]
    assert best_reconstruction(Problem(one.bundle(ATTACK)), iterates, Decoder()).labels is None


def test_some_of_the_trials() -> None:
    whole = Inversion({"code": torch.arange(4.0)}, torch.arange(4.0), torch.arange(8.0).reshape(2, 4))
    some = whole.of(slice(1, 3))
    assert (some.variables["code"].tolist(), some.losses.tolist()) == ([1.0, 2.0], [1.0, 2.0])
    assert some.trace.tolist() == [[1.0, 2.0], [5.0, 6.0]]
