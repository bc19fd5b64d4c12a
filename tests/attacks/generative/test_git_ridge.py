from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fedleak.attacks.base import Artefact
from fedleak.attacks.generative.git_ridge import GitRidge, UpdateReader
from fedleak.errors import AttackFailedError
from fedleak.models.base import Model
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.progress import QuietProgress
from fedleak.threat import InjectedPairs, SharedUpdate
from fedleak.transcript.layout import Layout
from tests.builders import architecture, digits, injected_pairs, shared_update, stored_pairs, updates_of

CPU = torch.device("cpu")
VICTIMS = range(1200, 1240)
MODELS = [LeNet(channels=4), LeNet(channels=4, last_bias=False)]


def fitted(pairs: InjectedPairs, attack: GitRidge) -> Artefact:
    return attack.fit(pairs, generator=torch.Generator(), progress=QuietProgress(), device=CPU)


def victim(model: Model, number: int, **settings: object) -> tuple[torch.Tensor, SharedUpdate]:
    data = digits().train.take(torch.arange(number, number + 1).numpy())
    update = shared_update(architecture(model), data.images, data.labels, **settings)  # type: ignore[arg-type]
    return torch.from_numpy(data.images).float() / 255, update


def mean_error(model: Model, pairs: InjectedPairs, attack: GitRidge, **settings: object) -> float:
    trained = attack.restore(fitted(pairs, attack), pairs, device=CPU)
    errors = []
    for number in VICTIMS:
        image, update = victim(model, number, **settings)
        rebuilt = attack.reconstruct(trained, update, generator=torch.Generator())
        errors.append(float((rebuilt.images - image).square().mean()))
    return sum(errors) / len(errors)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_it_rebuilds_unseen_images_far_better_than_their_mean(tmp_path: Path, model: Model) -> None:
    pairs = injected_pairs(tmp_path, architecture(model), pairs=600)
    mean_image = pairs.read_images(torch.arange(600).numpy())[:, 0].mean(dim=0)
    spread = sum(float((victim(model, n)[0] - mean_image).square().mean()) for n in VICTIMS) / len(VICTIMS)
    assert mean_error(model, pairs, GitRidge()) < 0.2 * spread


def test_weight_deltas_of_one_step_are_rebuilt_like_gradients(tmp_path: Path) -> None:
    """Neither the sign nor the scale of the updates matters."""
    model, attack = LeNet(channels=4), GitRidge()
    gradients = injected_pairs(tmp_path, architecture(model), pairs=200)
    (tmp_path / "deltas").mkdir()
    turned = -0.5 * gradients.read_updates(np.arange(200)).numpy()
    images = gradients.images.numpy()
    deltas = stored_pairs(tmp_path / "deltas", images, gradients.index, turned, gradients.layout)
    of_gradients, of_deltas = (attack.restore(fitted(p, attack), p, device=CPU) for p in (gradients, deltas))
    for number in VICTIMS[:5]:
        update = victim(model, number)[1]
        delta = SharedUpdate({n: -0.5 * t for n, t in update.tensors.items()}, "fedavg", 1, 1, 1)
        expected = attack.reconstruct(of_gradients, update, generator=torch.Generator()).images
        rebuilt = attack.reconstruct(of_deltas, delta, generator=torch.Generator()).images
        torch.testing.assert_close(rebuilt, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "model", [LeNet(channels=4), LeNet(channels=4, last_bias=False), ConvNet(widths=(4, 6))], ids=repr
)
def test_the_class_of_one_image_is_read_off_the_last_gradient(model: Model) -> None:
    for number in VICTIMS:
        update = victim(model, number)[1]
        layout = Layout.of(update.tensors.items())
        reader = UpdateReader.of(layout, max_width=4096)
        assert int(reader.classes_of(update.flat()[None])[0]) == int(digits().train.labels[number])


def test_every_layer_has_the_same_weight_and_the_last_is_replaced_by_its_input() -> None:
    layout = Layout.of(architecture(LeNet(channels=4)).build(seed=0).named_parameters())
    reader = UpdateReader.of(layout, max_width=4096)
    assert reader.unfitted.widths == [4 * 25 + 4, 4 * 4 * 25 + 4, 4 * 4 * 25 + 4]
    assert reader.unfitted.size == sum(reader.unfitted.widths) + 16
    total = [float(part.square().sum()) for part in reader.weights.split([*reader.unfitted.widths, 16])]
    assert total == pytest.approx([1.0] * 4)


def test_or_every_value_has_the_same_weight() -> None:
    layout = Layout.of(architecture(LeNet(channels=4)).build(seed=0).named_parameters())
    weights = UpdateReader.of(layout, max_width=4096, weighting="value").weights
    assert float(weights.square().sum()) == pytest.approx(1.0)
    assert weights.unique().numel() == 1


def test_wide_layers_are_folded() -> None:
    layout = Layout.of(architecture(LeNet()).build(seed=0).named_parameters())
    assert max(UpdateReader.of(layout, max_width=64).unfitted.widths) == 64


def test_pairs_of_more_than_one_image_are_a_failed_attack(tmp_path: Path) -> None:
    pairs = injected_pairs(tmp_path, architecture(), pairs=10, batch=2)
    with pytest.raises(AttackFailedError, match="one image per update"):
        fitted(pairs, GitRidge())


def test_a_class_without_pairs_is_met_with_the_mean_of_all_images(tmp_path: Path) -> None:
    leaked, data = architecture(LeNet(channels=4)), digits().train
    seen = np.flatnonzero(data.labels < 8)[:100]
    images, index = data.images[seen], np.arange(len(seen))[:, None]
    tensors = updates_of(leaked, images[index], data.labels[seen][index])
    layout = Layout.of((name, tensor[0]) for name, tensor in tensors.items())
    pairs = stored_pairs(tmp_path, images, index, layout.flatten(tensors, batch_dims=1).numpy(), layout)
    attack = GitRidge(sharing=(0.0,))
    trained = attack.restore(fitted(pairs, attack), pairs, device=CPU)
    _, update = victim(LeNet(channels=4), int(np.flatnonzero(data.labels == 9)[0]))
    rebuilt = attack.reconstruct(trained, update, generator=torch.Generator()).images[0]
    torch.testing.assert_close(rebuilt, torch.from_numpy(images).float().mean(dim=0) / 255, atol=1e-5, rtol=0)


def test_an_update_of_more_than_one_image_is_a_failed_attack(tmp_path: Path) -> None:
    pairs = injected_pairs(tmp_path, architecture(), pairs=40)
    attack = GitRidge()
    trained = attack.restore(fitted(pairs, attack), pairs, device=CPU)
    data = digits().train.take(torch.arange(2).numpy())
    update = shared_update(architecture(), data.images, data.labels)
    with pytest.raises(AttackFailedError, match="from 2 images"):
        attack.reconstruct(trained, update, generator=torch.Generator())


def test_a_class_with_too_many_pairs_is_a_failed_attack_that_names_another(tmp_path: Path) -> None:
    pairs = injected_pairs(tmp_path, architecture(), pairs=60)
    with pytest.raises(AttackFailedError, match="use git_spatial"):
        fitted(pairs, GitRidge(largest_joint=3))


def test_more_pairs_than_can_be_solved_together_are_solved_by_class(tmp_path: Path) -> None:
    pairs = injected_pairs(tmp_path, architecture(), pairs=100)
    assert fitted(pairs, GitRidge(largest_joint=99)).facts["sharing"] == 0.0


def test_an_update_that_does_not_end_with_a_linear_layer_is_a_failed_attack() -> None:
    layout = Layout.of([("0.weight", torch.zeros(4, 1, 3, 3))])
    with pytest.raises(AttackFailedError, match="linear layer"):
        UpdateReader.of(layout, max_width=64)


def test_leave_one_out_error_foretells_the_error_on_unseen_images(tmp_path: Path) -> None:
    model = LeNet(channels=4)
    pairs = injected_pairs(tmp_path, architecture(model), pairs=600)
    foretold = float(fitted(pairs, GitRidge()).facts["leave_one_out"])
    assert mean_error(model, pairs, GitRidge()) == pytest.approx(foretold, rel=0.6)
