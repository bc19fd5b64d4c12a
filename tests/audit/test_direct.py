"""Attacks on a user's own network and gradients, in a script or a notebook."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import fedleak
from fedleak.attacks.base import Attack, Reconstruction
from fedleak.errors import AttackFailedError, InputError
from fedleak.threat import SharedUpdate, TrainingDetails
from tests.builders import digits

MEAN, STD = 0.3, 0.4
SHAPE = (1, 8, 8)


def batch(count: int) -> tuple[Tensor, Tensor]:
    data = digits().train
    return torch.from_numpy(data.images[:count]).float() / 255, torch.from_numpy(data.labels[:count])


def network() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.Linear(6 * 64, 24),
        nn.Sigmoid(),
        nn.Linear(24, 10),
    )


def dense() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def gradients(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    """What a client would share."""
    return torch.autograd.grad(F.cross_entropy(model((images - MEAN) / STD), labels), list(model.parameters()))


def invert(model: nn.Module, update: Any, attack: Any, **options: Any) -> Any:
    return fedleak.invert(model, update, SHAPE, attack, **{"mean": MEAN, "std": STD} | options)


def test_a_search_finds_the_image() -> None:
    (image, label), model = batch(1), network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    attack = {"kind": "inverting_gradients", "iterations": 400, "priors": {"total_variation": 0}}
    found = invert(model, gradients(model, image, label), attack)
    assert found.labels.tolist() == label.tolist()
    assert len(found.loss) == 400
    scores = fedleak.score(found, image)
    assert scores.means["psnr"] > 18
    assert scores.means["mse"] < 0.3 * float((image - image.mean()).square().mean())
    assert "psnr=" in repr(scores)
    assert "iterations 400, by default 4000" in found.verdict or "not converged" in found.verdict
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())


def test_the_same_seed_finds_the_same() -> None:
    (images, labels), model = batch(2), network()
    update, attack = gradients(model, images, labels), {"kind": "inverting_gradients", "iterations": 5}
    one, again, other = (invert(model, update, attack, images=2, seed=seed) for seed in (1, 1, 2))
    assert one.images.equal(again.images)
    assert not one.images.equal(other.images)


def test_an_analytic_attack_is_exact_and_has_no_search() -> None:
    (image, label), model = batch(1), dense()
    named = dict(zip([name for name, _ in model.named_parameters()], gradients(model, image, label), strict=True))
    found = invert(model, named, "linear_layer")
    assert fedleak.score(found.images, image, metrics=["mse"]).means["mse"] < 1e-9
    assert found.has_converged is None
    assert found.verdict.startswith("no search")
    assert found.loss == ()


def test_a_delta_is_attacked_with_the_local_training() -> None:
    (image, label), model = batch(1), dense()
    delta = tuple(-0.1 * gradient for gradient in gradients(model, image, label))
    training = TrainingDetails(local_learning_rate=0.1, local_epochs=1, batch_size=1)
    found = invert(model, delta, "linear_layer", update_is="delta", training=training)
    assert fedleak.score(found, image, metrics=["mse"]).means["mse"] < 1e-9


def test_labels_are_inferred_or_given() -> None:
    (images, labels), model = batch(4), network()
    update = gradients(model, images, labels)
    found = fedleak.infer_labels(model, update, SHAPE, images=4, method="greedy_bias", mean=MEAN, std=STD)
    assert found.tolist() == sorted(labels.tolist())
    attack = {"kind": "inverting_gradients", "iterations": 2}
    given = invert(model, update, attack, images=4, labels=labels.tolist())
    assert given.labels.tolist() == sorted(labels.tolist())
    assert given.images.shape == (4, *SHAPE)


def test_an_attack_that_trains_takes_public_images() -> None:
    (image, label), model, data = batch(1), network(), digits().train
    attack = {
        "kind": "gias",
        "latent": 4,
        "width": 4,
        "iterations": 3,
        "weight_iterations": 3,
        "training": {"epochs": 1},
    }
    public = (torch.from_numpy(data.images[50:90]), torch.from_numpy(data.labels[50:90]))
    found = invert(model, gradients(model, image, label), attack, public=public)
    assert found.images.shape == (1, *SHAPE)
    with pytest.raises(InputError, match=r"needs public_data: pass public="):
        invert(model, gradients(model, image, label), attack)
    with pytest.raises(InputError, match="needs injected_pairs: record a federation"):
        invert(model, gradients(model, image, label), "lti")


class Grey(Attack):
    """An attack written in a session."""

    kind: Literal["grey"] = "grey"

    def reconstruct(self, update: SharedUpdate, *, generator: torch.Generator) -> Reconstruction:
        return Reconstruction(torch.full((update.samples or 1, *SHAPE), 0.5))


def test_an_attack_of_ones_own() -> None:
    (images, labels), model = batch(3), dense()
    found = invert(model, gradients(model, images, labels), Grey(), images=3)
    assert found.images.unique().tolist() == [0.5]
    assert found.labels is None


def test_scores_match_images_first_and_say_what_they_lack() -> None:
    images, _ = batch(4)
    scores = fedleak.score(images[[2, 0, 3, 1]], images)
    assert scores.order == (1, 3, 0, 2)
    assert scores.values["mse"] == (0.0,) * 4
    assert {"psnr", "ssim"} <= scores.values.keys()
    assert "lpips" in {**scores.values, **scores.unavailable}


def test_a_notebook_shows_the_images() -> None:
    (images, labels), model = batch(3), dense()
    found = invert(model, gradients(model, images, labels), Grey(), images=3)
    shown = Image.open(io.BytesIO(found._repr_png_()))
    assert shown.size == (3 * 96 + 2 * 4, 96)
    assert repr(found).startswith("Inverted(grey: images (3, 1, 8, 8), no search")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"update": "cut"}, r"update: got '3 tensors'; the network trains 4 parameters"),
    ({"update": "named"}, r"update\.3\.bias: .*it is missing"),
    ({"update": "shape"}, r"update\.1\.weight: got \[?\(?64, 32.*the parameter is \(32, 64\)"),
    ({"attack": "nonsense"}, "attack: got 'nonsense'; known kinds: "),
    ({"attack": {"kind": "dlg", "iterations": -1}}, r"attack\.iterations: got -1"),
    ({"label_inference": "nonsense"}, "label_inference: got 'nonsense'"),
    ({"update_is": "weights"}, "update_is: got 'weights'; gradient or delta"),
    ({"images": 0}, "images: got 0"),
    ({"labels": [1, 2]}, "labels: got .*expected one for each of 1 images"),
    ({"labels": [10]}, "the network has classes 0 to 9"),
    ({"mean": [0.1, 0.2]}, "mean: got .*expected 1 or 1 numbers"),
    ({"std": 0.0}, "std: got .*above 0"),
    ({"device": "cuda:99"}, "device: got 'cuda:99'"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=range(len(WRONG)))
def test_what_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    (image, label), model = batch(1), dense()
    update: Any = gradients(model, image, label)
    damaged = {
        "cut": update[:3],
        "named": dict(zip(["1.weight", "1.bias", "3.weight"], update, strict=False)),
        "shape": (update[0].T, *update[1:]),
    }
    options = {"attack": "inverting_gradients"} | change
    update = damaged.get(str(options.pop("update", "")), update)
    with pytest.raises(InputError, match=message):
        invert(model, update, **options)


def test_shapes_that_the_network_does_not_take_are_named() -> None:
    (image, label), model = batch(1), dense()
    update = gradients(model, image, label)
    with pytest.raises(InputError, match=r"input_shape: .*the network does not take such images"):
        fedleak.invert(model, update, (1, 9, 9))
    with pytest.raises(InputError, match=r"expected \(channels, height, width\)"):
        fedleak.invert(model, update, (8, 8))
    with pytest.raises(InputError, match=r"originals: .*expected pixels in \[0, 1\]"):
        fedleak.score(image, 255 * image)
    with pytest.raises(InputError, match=r"reconstructed: "):
        fedleak.score(image, torch.cat([image, image]))


def test_an_update_that_an_attack_cannot_handle_is_no_traceback_of_torch() -> None:
    (image, label), model = batch(1), network()
    update = [torch.full_like(gradient, torch.nan) for gradient in gradients(model, image, label)]
    with pytest.raises(AttackFailedError, match="not finite"):
        invert(model, update, {"kind": "inverting_gradients", "iterations": 2})


def test_a_plain_import_stays_quick() -> None:
    names = "{'run', 'invert', 'infer_labels', 'score'}"
    code = f"import sys, fedleak; assert {names} <= set(dir(fedleak)); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.sub(r"\s", "", done.stdout) == "False"
