from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fedleak.attacks.base import Artefact
from fedleak.attacks.generative.git_exact import GitExact
from fedleak.attacks.generative.training import TrainingSettings
from fedleak.errors import AttackFailedError
from fedleak.models.base import Model
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.progress import QuietProgress
from fedleak.threat import CAPABILITIES, GlobalModel, PixelPrior
from tests.builders import MODEL_SEED, Protocol, architecture, digits, injected_pairs, shared_update, updates_of

CPU = torch.device("cpu")
PIXELS = PixelPrior((0.5,), (0.5,))
ACTIVATIONS = ("relu", "leaky_relu", "sigmoid", "tanh")
QUICK = TrainingSettings(epochs=15, batch_size=32, learning_rate=1e-2, patience=15)


def fit(attack: GitExact, folder: Path, model: Model, *, pairs: int = 200, seed: int = 0, batch: int = 1) -> Artefact:
    leaked = architecture(model)
    return attack.fit(
        injected_pairs(folder, leaked, pairs=pairs, batch=batch),
        leaked,
        PIXELS,
        generator=torch.Generator().manual_seed(seed),
        progress=QuietProgress(),
        device=CPU,
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(14,), (14, 12)])
def test_with_the_true_weights_eq_3_is_exact(hidden: tuple[int, ...], activation: str) -> None:
    model = Mlp.model_validate({"hidden": hidden, "activation": activation})
    check_with_true_weights(model, 1e-4)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_with_the_true_weights_it_is_exact_through_convolutions(activation: str) -> None:
    """A ReLU switches most of the equations off; then the image is not determined."""
    check_with_true_weights(LeNet.model_validate({"channels": 6, "activation": activation}), 1e-3)


def check_with_true_weights(model: Model, tolerance: float) -> None:
    leaked = architecture(model)
    images, labels = digits().test.images[:16], digits().test.labels[:16]
    network = GitExact(use_bias_gradients=False)._network(leaked, PIXELS, seed=MODEL_SEED)
    rebuilt = network(updates_of(leaked, images[:, None], labels[:, None])).detach()
    torch.testing.assert_close(rebuilt, torch.from_numpy(images).double() / 255, atol=tolerance, rtol=0)


@pytest.mark.parametrize("protocol", ["fedsgd", "fedavg"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_on_a_biased_mlp_it_recovers_the_input(tmp_path: Path, activation: str, protocol: Protocol) -> None:
    """One local step of FedAvg is a multiple of the gradient, and the factor cancels."""
    model = Mlp.model_validate({"hidden": (14, 12), "activation": activation})
    attack, leaked = GitExact(), architecture(model)
    artefact = fit(attack, tmp_path, model, pairs=20)
    trained = attack.restore(artefact, leaked, PIXELS, device=CPU)
    images, labels = digits().test.images[:8], digits().test.labels[:8]
    for i in range(8):
        update = shared_update(leaked, images[i : i + 1], labels[i : i + 1], protocol=protocol)
        rebuilt = attack.reconstruct(trained, update, generator=torch.Generator()).images
        torch.testing.assert_close(rebuilt, torch.from_numpy(images[i : i + 1]).float() / 255, atol=1e-4, rtol=0)
    assert artefact.parameter_count == 0
    assert len(artefact.curves["held_out"]) == 1


def test_training_lowers_the_error_and_the_weights_come_nearer(tmp_path: Path) -> None:
    model = Mlp(hidden=(14,), activation="sigmoid")
    artefact = fit(GitExact(use_bias_gradients=False, training=QUICK), tmp_path, model)
    curve = artefact.curves["held_out"]
    assert min(curve) < 0.01 * curve[0]
    true = dict(architecture(model).build(seed=MODEL_SEED).named_parameters())["3.weight"].detach()
    distances = (artefact.estimates["3.weight"] - true).flatten(1).norm(dim=1) / true.norm()
    assert len(distances) == len(curve) == 16
    assert distances[-1] < 0.7 * distances[0]


def test_the_chosen_weights_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    artefact = fit(GitExact(use_bias_gradients=False, training=QUICK), tmp_path, Mlp(hidden=(9,)))
    best = int(np.argmin(artefact.curves["held_out"]))
    assert artefact.facts["best_epoch"] == best
    assert torch.equal(artefact.parameters["3.weight"], artefact.estimates["3.weight"][best])


def test_training_starts_at_weights_of_the_adversarys_own(tmp_path: Path) -> None:
    """They follow its generator; they are never the leaked model's."""
    attack = GitExact(use_bias_gradients=False, training=TrainingSettings(epochs=1))
    starts = []
    for seed in (0, 0, 1):
        folder = tmp_path / str(len(starts))
        folder.mkdir()
        starts.append(fit(attack, folder, Mlp(hidden=(9,)), pairs=20, seed=seed).estimates["3.weight"][0])
    true = dict(architecture(Mlp(hidden=(9,))).build(seed=MODEL_SEED).named_parameters())["3.weight"]
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    assert not torch.allclose(starts[0], true)


def test_it_never_asks_for_the_global_model() -> None:
    assert GlobalModel not in GitExact.capabilities()
    assert {c.capability_name() for c in GitExact.capabilities()} <= set(CAPABILITIES)


def test_of_a_batch_every_image_gets_the_same_estimate(tmp_path: Path) -> None:
    model = Mlp(hidden=(9,))
    attack = GitExact(training=TrainingSettings(epochs=1))
    artefact = fit(attack, tmp_path, model, pairs=20, batch=2)
    trained = attack.restore(artefact, architecture(model), PIXELS, device=CPU)
    update = shared_update(architecture(model), digits().test.images[:2], digits().test.labels[:2])
    images = attack.reconstruct(trained, update, generator=torch.Generator()).images
    assert images.shape == (2, 1, 8, 8)
    assert torch.equal(images[0], images[1])


def test_without_a_last_bias_it_is_a_failed_attack(tmp_path: Path) -> None:
    with pytest.raises(AttackFailedError, match="needs a linear last layer with a bias"):
        fit(GitExact(), tmp_path, LeNet(channels=2, last_bias=False), pairs=20)
