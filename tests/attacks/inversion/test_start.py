from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fedleak.attacks.inversion.dlg import Dlg
from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.attacks.inversion.problem import Problem
from fedleak.attacks.inversion.start import by_labels, by_matching, noise_start, normalised, perturbed
from fedleak.attacks.inversion.tensors import search_tensors
from fedleak.errors import AttackFailedError
from fedleak.threat import PixelPrior, StartingImages
from tests.attacks.inversion.builders import victim

RGB = PixelPrior(mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5))


def hybrid(**settings: object) -> InvertingGradients:
    return InvertingGradients.model_validate({"iterations": 1, "keep": "lowest", "init": {"from": "lti"}, **settings})


def test_noise_and_grey(generator: torch.Generator) -> None:
    shape = (2, 3, 3, 4, 4)
    assert noise_start("normal", shape, RGB, generator).std() == pytest.approx(1, abs=0.2)
    uniform = noise_start("uniform", shape, RGB, generator)
    assert -1 <= uniform.min() < -0.5
    assert 0.5 < uniform.max() <= 1
    grey = noise_start("grey", shape, RGB, generator)[0, 0, :, 0, 0]
    torch.testing.assert_close(grey, torch.tensor([0.0, 0.4, 0.4]))


def test_images_are_normalised_as_the_network_saw_them() -> None:
    start = StartingImages(torch.full((2, 3, 4, 4), 0.6), None, "lti")
    values = normalised(start, 2, RGB)[0, :, 0, 0]
    torch.testing.assert_close(values, torch.tensor([0.5, 0.8, 0.6]))
    with pytest.raises(AttackFailedError, match="lti gives 2 images to start from, not 3"):
        normalised(start, 3, RGB)


def test_the_first_trial_starts_at_the_images_and_the_others_near_by(generator: torch.Generator) -> None:
    one = victim()
    problem = Problem(one.bundle(hybrid(), pixels=RGB))
    code = torch.zeros(2, 3, 16, 16)
    starts = perturbed(problem, code, 0.05, 3, generator)
    assert torch.equal(starts[0], code)
    assert starts[1:].std(dim=(0, 1, 3, 4)).tolist() == pytest.approx([0.25, 0.2, 0.1], rel=0.1)
    assert not torch.equal(starts[1], starts[2])


def test_guessed_classes_bring_images_into_the_order_of_the_labels() -> None:
    images = torch.arange(4.0).reshape(4, 1, 1, 1)
    ordered = by_labels(images, torch.tensor([7, 1, 7, 3]), torch.tensor([1, 3, 7, 9]))
    assert ordered.flatten().tolist()[:2] == [1.0, 3.0]
    assert set(ordered.flatten().tolist()[2:]) == {0.0, 2.0}


def test_the_update_brings_images_into_the_order_of_the_labels() -> None:
    """Digits in the wrong order find their labels by the matching loss alone."""
    one = victim(count=4)
    order = torch.tensor([2, 0, 3, 1])
    start = StartingImages(one.images[one.labels.argsort()][order], None, "lti")
    attack = hybrid()
    problem = Problem(one.bundle(attack, start=start))
    tensors = search_tensors(problem, attack.distance, restarts=1, box=False)
    code = attack._start(problem, tensors, torch.Generator())["code"]
    assert problem.labels is not None
    assert torch.equal(problem.labels, one.labels.sort().values)
    torch.testing.assert_close(code[0], (one.images[one.labels.argsort()] - 0.5) / 0.5)


def test_images_of_one_class_stay_as_they_are() -> None:
    def never(_: torch.Tensor) -> torch.Tensor:
        return torch.zeros(1)

    images = torch.rand(3, 1, 2, 2)
    assert torch.equal(by_matching(images, torch.tensor([5, 5, 5]), never), images)


@pytest.mark.parametrize("kind", [InvertingGradients, Dlg])
def test_a_start_is_asked_for_only_where_init_names_an_attack(kind: type[InvertingGradients]) -> None:
    assert StartingImages not in kind().wanted()
    hybrid_attack = kind.model_validate({"init": {"from": "lti"}})
    assert hybrid_attack.wanted() == kind.capabilities() | {StartingImages}
    assert hybrid_attack.starts_from == "lti"


def test_a_good_start_is_kept_and_noise_is_not_needed() -> None:
    one = victim()
    near = StartingImages((one.images + 0.02).clamp(0, 1), None, "lti")
    attack = hybrid(restarts=2)
    answer = attack.invert(one.bundle(attack, start=near), torch.Generator())
    assert one.psnr(answer) > 30


def test_a_start_is_written_in_yaml_as_from_and_survives_a_round_trip() -> None:
    attack = hybrid()
    raw = attack.model_dump(mode="json")
    assert raw["init"] == {"from": "lti", "noise": 0.05}
    assert InvertingGradients.model_validate(raw) == attack
    assert replace_init(attack, "grey").starts_from is None


def replace_init(attack: InvertingGradients, init: str) -> InvertingGradients:
    return attack.model_copy(update={"init": init})


def test_without_images_a_hybrid_fails() -> None:
    one = victim()
    with pytest.raises(AttackFailedError, match="lti has no images to start from"):
        replace(one).attacked_by(hybrid())
