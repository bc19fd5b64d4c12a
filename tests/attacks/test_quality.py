"""How good the reconstructions and labels are on photographs: minutes each, ``pytest -m slow``."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fedleak.attacks.inversion.dlg import Dlg
from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.attacks.labels.base import LabelInference
from fedleak.attacks.labels.min_rule import MinRule
from fedleak.attacks.labels.row_sum import RowSum
from fedleak.data.sources.base import LabelledImages
from fedleak.data.sources.image_folder import ImageFolder
from fedleak.models.base import Model
from fedleak.models.convnet import ConvNet
from fedleak.models.lenet import LeNet
from fedleak.models.resnet18 import ResNet18
from fedleak.scenario.schema import Adversary
from fedleak.threat import required_capabilities
from tests.attacks.inversion.builders import Victim, victim_of
from tests.builders import architecture
from tests.data_folder import data_folder, needs_data

CIFAR10, TINY_IMAGENET = "cifar10/test", "tinyimagenet100/val"
UNTRAINED: list[Model] = [LeNet(), ConvNet(), ResNet18()]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    needs_data(CIFAR10, TINY_IMAGENET),
]


@pytest.fixture(scope="module")
def cifar() -> LabelledImages:
    data = ImageFolder(root=data_folder(CIFAR10)).load().train
    return data.take(np.random.default_rng(0).permutation(len(data)))


def seen_by(model: Model, data: LabelledImages, *, classes: int = 10, uniform: bool = False) -> Victim:
    channels, height, width = data.images.shape[1:]
    leaked = architecture(model, shape=(channels, height, width), classes=classes)
    return victim_of(leaked, data, uniform=uniform)


def right_labels(inference: LabelInference, victim: Victim) -> int:
    by_type = {type(capability): capability for capability in victim.known()}
    given = {name: by_type[kind] for name, kind in required_capabilities(inference.infer).items()}
    guess = inference.infer(**given, count=len(victim.labels))
    return (Counter(guess.tolist()) & Counter(victim.labels.tolist())).total()


def test_dlg_rebuilds_nine_images_of_ten_above_30_db(cifar: LabelledImages) -> None:
    victims = [seen_by(LeNet(), cifar.take(np.array([i])), uniform=True) for i in range(10)]
    psnr = [one.psnr(one.attacked_by(Dlg())) for one in victims]
    assert sum(value > 30 for value in psnr) >= 9, psnr


def test_inverting_gradients_reaches_20_db_on_an_untrained_network(cifar: LabelledImages) -> None:
    victims = [seen_by(ConvNet(), cifar.take(np.array([i]))) for i in range(4)]
    psnr = [one.psnr(one.attacked_by(InvertingGradients(iterations=4000, compile="never"))) for one in victims]
    assert np.mean(psnr) >= 20, psnr


@pytest.mark.parametrize("model", UNTRAINED, ids=repr)
def test_idlg_finds_every_label(model: Model, cifar: LabelledImages) -> None:
    for i in range(50):
        assert right_labels(RowSum(), seen_by(model, cifar.take(np.array([i])))) == 1


def test_the_min_rule_finds_99_percent_of_100_classes() -> None:
    data = ImageFolder(root=data_folder(TINY_IMAGENET)).load().train
    draw, right = np.random.default_rng(0), 0
    for _ in range(40):
        classes = draw.permutation(100)[:8]
        batch = np.array([draw.choice(np.flatnonzero(data.labels == label)) for label in classes])
        right += right_labels(MinRule(), seen_by(ConvNet(), data.take(batch), classes=100))
    assert right / (40 * 8) >= 0.99


@pytest.mark.parametrize("model", UNTRAINED, ids=repr)
def test_the_default_label_inference_finds_95_percent_with_repeats(model: Model, cifar: LabelledImages) -> None:
    inference = Adversary(level=1).label_inference
    assert inference is not None
    batches = [seen_by(model, cifar.take(np.arange(16 * i, 16 * i + 16))) for i in range(20)]
    share = sum(right_labels(inference, one) for one in batches) / (20 * 16)
    assert share >= 0.95, share
