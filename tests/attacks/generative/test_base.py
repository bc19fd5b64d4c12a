from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fedleak.attacks.base import Artefact
from fedleak.attacks.generative.base import GenerativeAttack, TrainedGenerator, integer_root
from fedleak.attacks.generative.git_coarse import GitCoarse
from fedleak.attacks.generative.git_module import GitModule
from fedleak.attacks.generative.git_spatial import GitSpatial
from fedleak.attacks.generative.lti import Lti
from fedleak.attacks.generative.training import split_pairs
from fedleak.attacks.matching import permutation_invariant_mse
from fedleak.errors import AttackFailedError
from fedleak.models.base import Model
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.mlp import Mlp
from fedleak.models.resnet15 import ResNet15
from fedleak.models.vit import ViT
from fedleak.progress import QuietProgress
from fedleak.threat import InjectedPairs, ModelArchitecture
from tests.builders import architecture, digits, injected_pairs, shared_update

KINDS = (Lti, GitCoarse, GitSpatial)
CPU = torch.device("cpu")
QUICK = {"parameters": 40_000, "training": {"epochs": 2, "batch_size": 16, "learning_rate": 5e-3}}
GOOD = {"parameters": 100_000, "training": {"epochs": 40, "batch_size": 32, "learning_rate": 5e-3}}


def fit(attack: GenerativeAttack, pairs: InjectedPairs, leaked: ModelArchitecture, *, seed: int = 0) -> Artefact:
    generator = torch.Generator().manual_seed(seed)
    return attack.fit(pairs, leaked, generator=generator, progress=QuietProgress(), device=CPU)


def held_out_rows(pairs: InjectedPairs, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return split_pairs(len(pairs), 0.1, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> InjectedPairs:
    """Sixty pairs of one image each from a small LeNet."""
    return injected_pairs(tmp_path_factory.mktemp("pairs"), architecture(), pairs=60)


@pytest.mark.parametrize(("batch", "count", "share"), [(1, 500, 0.5), (2, 700, 0.7)])
@pytest.mark.parametrize("kind", KINDS)
def test_training_beats_the_mean_image_on_held_out_pairs(
    tmp_path: Path, kind: type[GenerativeAttack], batch: int, count: int, share: float
) -> None:
    """Real digits, a real LeNet, real gradients; without the gradient nothing is better than the mean image."""
    pairs = injected_pairs(tmp_path, architecture(), pairs=count, batch=batch, public=min(count * batch, 1400))
    training, held_out = held_out_rows(pairs)
    images = pairs.read_images(held_out)
    mean_image_error = float((images - pairs.read_images(training).mean(dim=(0, 1))).square().mean())
    artefact = fit(kind.model_validate(GOOD), pairs, architecture())
    assert min(artefact.curves["held_out"]) < share * mean_image_error
    assert artefact.curves["held_out"][0] > 2 * min(artefact.curves["held_out"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_restored_generator_is_the_fitted_one(kind: type[GenerativeAttack], pairs: InjectedPairs) -> None:
    """On the held-out pairs it has exactly the loss that training recorded for its best epoch."""
    attack = kind.model_validate(QUICK)
    artefact = fit(attack, pairs, architecture())
    trained = attack.restore(artefact, architecture(), device=CPU)
    rows = held_out_rows(pairs)[1]
    with torch.no_grad():
        loss = permutation_invariant_mse(
            trained.network(trained.features(pairs.read_updates(rows), pairs.versions(rows))), pairs.read_images(rows)
        )
    best = artefact.curves["held_out"][artefact.facts["best_epoch"] - 1]
    assert float(loss) == pytest.approx(best, rel=1e-6)
    assert not trained.network.training


@pytest.mark.parametrize("kind", KINDS)
def test_restoring_twice_gives_the_same_images(kind: type[GenerativeAttack], pairs: InjectedPairs) -> None:
    attack = kind.model_validate(QUICK)
    artefact = fit(attack, pairs, architecture())
    update = shared_update(architecture(), digits().test.images[:1], digits().test.labels[:1])
    first, second = (
        attack.reconstruct(
            attack.restore(artefact, architecture(), device=CPU), update, generator=torch.Generator()
        ).images
        for _ in range(2)
    )
    assert torch.equal(first, second)
    assert first.shape == (1, 1, 8, 8)
    assert 0 <= first.min() <= first.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_fitting_depends_on_the_generator_alone(kind: type[GenerativeAttack], pairs: InjectedPairs) -> None:
    attack = kind.model_validate({**QUICK, "dropout": 0.2})
    first = fit(attack, pairs, architecture())
    torch.rand(17)  # whatever else draws from the global stream
    second, other = fit(attack, pairs, architecture()), fit(attack, pairs, architecture(), seed=1)
    assert {n: t.numpy().tobytes() for n, t in second.parameters.items()} == {
        n: t.numpy().tobytes() for n, t in first.parameters.items()
    }
    assert (second.facts, second.curves) == (first.facts, first.curves)
    assert other.curves["train"] != first.curves["train"]


@pytest.mark.parametrize("kind", KINDS)
def test_fitting_leaves_the_global_stream_alone(kind: type[GenerativeAttack], pairs: InjectedPairs) -> None:
    state = torch.get_rng_state()
    fit(kind.model_validate(QUICK), pairs, architecture())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_come_from_training_pairs_alone(kind: type[GenerativeAttack], pairs: InjectedPairs) -> None:
    attack = kind.model_validate(QUICK)
    artefact = fit(attack, pairs, architecture())
    raw = attack._features(architecture())[1].raw(pairs.read_updates(held_out_rows(pairs)[0])).double()
    torch.testing.assert_close(artefact.by_version[0]["mean"].double(), raw.mean(dim=0), atol=1e-6, rtol=1e-5)
    assert artefact.facts["pairs"] + artefact.facts["held_out_pairs"] == len(pairs)


def trained_on(attack: GenerativeAttack, pairs: InjectedPairs) -> TrainedGenerator:
    return attack.restore(fit(attack, pairs, architecture()), architecture(), device=CPU)


def state_of(trained: TrainedGenerator) -> dict[str, torch.Tensor]:
    statistics = trained.features.statistics().items()
    return trained.network.state_dict() | {f"{v}.{name}": t for v, kept in statistics for name, t in kept.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_one_victim_leaves_no_trace_in_the_next(kind: type[GenerativeAttack], pairs: InjectedPairs) -> None:
    attack = kind.model_validate(QUICK)
    trained = trained_on(attack, pairs)
    kept = {name: tensor.clone() for name, tensor in state_of(trained).items()}
    update = shared_update(architecture(), digits().test.images[:1], digits().test.labels[:1])
    wild = replace(update, tensors={name: 1e4 * tensor + 3 for name, tensor in update.tensors.items()})
    images = [attack.reconstruct(trained, u, generator=torch.Generator()).images for u in (update, wild, update)]
    assert torch.equal(images[0], images[2])
    assert images[1].isfinite().all()
    now = state_of(trained)
    assert all(torch.equal(now[name], tensor) for name, tensor in kept.items())


def test_an_update_of_another_number_of_images_is_a_failed_attack(pairs: InjectedPairs) -> None:
    attack = Lti.model_validate(QUICK)
    update = shared_update(architecture(), digits().test.images[:3], digits().test.labels[:3])
    with pytest.raises(AttackFailedError, match="comes from 3 images, the generator was trained for 1"):
        attack.reconstruct(trained_on(attack, pairs), update, generator=torch.Generator())


def test_an_update_of_unknown_size_is_attacked(pairs: InjectedPairs) -> None:
    attack = Lti.model_validate(QUICK)
    update = shared_update(architecture(), digits().test.images[:1], digits().test.labels[:1])
    unknown = replace(update, samples=None)
    assert attack.reconstruct(trained_on(attack, pairs), unknown, generator=torch.Generator()).images.shape[0] == 1


MODELS = [
    LeNet(channels=3, last_bias=False),
    LeNet(channels=3, activation="relu"),
    Mlp(hidden=(12,)),
    Mlp(hidden=()),
    ConvNet(widths=(4, 4)),
    ResNet15(widths=(4, 4, 6, 6)),
    ViT(width=8, mlp_width=6, blocks=1),
]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("model", MODELS, ids=repr)
@pytest.mark.parametrize("kind", [Lti, GitCoarse, GitModule])
def test_every_model_can_be_attacked(tmp_path: Path, kind: type[GenerativeAttack], model: Model, batch: int) -> None:
    leaked = architecture(model)
    attack = kind.model_validate(QUICK)
    artefact = fit(attack, injected_pairs(tmp_path, leaked, pairs=24, batch=batch), leaked)
    trained = attack.restore(artefact, leaked, device=CPU)
    update = shared_update(leaked, digits().test.images[:batch], digits().test.labels[:batch])
    images = attack.reconstruct(trained, update, generator=torch.Generator()).images
    assert images.shape == (batch, 1, 8, 8)
    assert images.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_wide_layers_are_folded_and_still_work(kind: type[GenerativeAttack], pairs: InjectedPairs) -> None:
    attack = kind.model_validate({**QUICK, "max_layer_features": 32})
    artefact = fit(attack, pairs, architecture())
    solved = 16 if kind.solves_output_layer else 0
    assert artefact.facts["features"] == 4 * 32 + solved
    attack.restore(artefact, architecture(), device=CPU)


@pytest.mark.parametrize(
    ("quadratic", "linear", "budget", "root"),
    [(2, 3, 90, 6), (2, 3, 80, 6), (2, 3, 70, 5), (0, 10, 94, 9), (0, 10, 96, 10), (0, 10, 3, 1), (5, 5, -4, 1)],
)
def test_integer_root_by_hand(quadratic: float, linear: float, budget: float, root: int) -> None:
    """2*36 + 3*6 = 90 and 2*25 + 3*5 = 65; 10*9 = 90; never less than one."""
    assert integer_root(quadratic, linear, budget) == root
