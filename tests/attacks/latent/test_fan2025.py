from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from fedleak.attacks.latent.fan2025 import Fan2025, SharedGenerator, median_filter
from fedleak.attacks.latent.network import ImageGenerator
from fedleak.models.lenet import LeNet
from fedleak.threat import PixelPrior
from tests.attacks.inversion.builders import PIXELS, victim

QUICK = {"iterations": 150, "latent": 8, "width": 4, "median": 1}


def fan(**changes: Any) -> Fan2025:
    return Fan2025.model_validate(QUICK | changes)


def test_the_codes_settings_are_the_defaults() -> None:
    attack = Fan2025()
    assert (attack.iterations, attack.keep, attack.latent, attack.median) == (10_000, "last", 128, 5)
    distance, optimiser = attack.distance, attack.optimiser
    assert (distance.kind, distance.top_share, distance.top_of) == ("l1_cosine_per_layer", 0.5, "trial")
    assert (optimiser.kind, optimiser.learning_rate, optimiser.schedule) == ("signed_adam", 0.01, "cosine")
    assert (optimiser.gradient_blend, optimiser.blend_at, optimiser.weight_decay) == (0.3, "ahead", 0.01)
    assert attack.priors.total_variation == 1e-5


def test_images_of_a_batch_are_found_from_an_untrained_generator() -> None:
    one = victim(LeNet(channels=6), count=2)
    answer = one.attacked_by(fan())
    error = float((answer.images - one.images).square().mean())
    first = float((one.attacked_by(fan(iterations=1)).images - one.images).square().mean())
    assert error < 0.2 * first
    assert answer.curve["kept_loss"][0] < 0.05 * answer.curve["matching_loss"][0]


def test_one_generator_makes_all_images_of_the_batch() -> None:
    shape, pixels = (1, 8, 8), PixelPrior(mean=(0.5,), std=(0.25,))
    torch.manual_seed(0)
    network, code = ImageGenerator(4, 4, shape), torch.randn(3, 4)
    weights = {f"generator.{name}": value for name, value in network.named_parameters()}
    images = SharedGenerator(network, pixels).images({"code": code} | weights, shape)
    torch.testing.assert_close(images, (network(code) - 0.5) / 0.25)


def test_the_random_vectors_stay_and_the_weights_are_searched() -> None:
    one, attack = victim(), fan(iterations=2, restarts=2)
    problem = attack.problem(one.bundle(attack))
    search = attack._prepared(problem, torch.Generator().manual_seed(0))
    assert not isinstance(search, Exception)
    assert search.start["code"].shape == (2, 1, 8)
    found = attack._engine(problem).run(search.start, search.tensors, iterations=2, generators=[search.generator])
    moved = {name for name, value in found.variables.items() if not torch.equal(value, search.start[name])}
    assert moved == search.start.keys() - {"code"}
    same = all(torch.equal(value[0], value[1]) for name, value in search.start.items() if "weight" in name)
    assert not same, "each restart has a generator of its own"


def test_restarts_come_from_the_generator_alone() -> None:
    state = torch.get_rng_state()
    first, second, other = (victim().attacked_by(fan(iterations=3), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.images, second.images)
    assert not torch.equal(first.images, other.images)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_result_is_filtered() -> None:
    one = victim()
    plain, filtered = (one.attacked_by(fan(iterations=3, median=side)) for side in (1, 3))
    assert torch.equal(filtered.images, median_filter(plain.images, 3))


def test_the_median_by_hand() -> None:
    """At the corner the reflection repeats the neighbours: 5 2 5, 4 1 4, 5 2 5 becomes 1 2 2 4 4 5 5 5 5."""
    image = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])[None, None]
    found = median_filter(image, 3)
    assert float(found[0, 0, 0, 0]) == 4
    assert float(found[0, 0, 1, 1]) == 5
    assert torch.equal(median_filter(image, 1), image)
    assert median_filter(image, 9).shape == image.shape, "a filter that is too large is cut"


def test_pixels_are_those_of_the_data() -> None:
    assert PIXELS.low <= float(victim().attacked_by(fan(iterations=2)).images.min())


@pytest.mark.parametrize(
    "changes",
    [
        {"init": {"from": "lti"}},
        {"decoder": {"kind": "upsample"}},
        {"priors": {"group": 0.1}},
        {"compile": "always"},
        {"box": True},
        {"median": 4},
        {"optimiser": {"kind": "lbfgs"}},
    ],
)
def test_settings_that_mean_nothing_here_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        fan(**changes)
