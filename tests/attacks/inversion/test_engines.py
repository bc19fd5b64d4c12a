"""Engines are made once for all victims that can share one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fedleak.attacks.inversion.decoders import Decoder
from fedleak.attacks.inversion.distances import Distance
from fedleak.attacks.inversion.engines import EngineSettings, engine_for
from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.attacks.inversion.optimisers import Optimiser
from fedleak.attacks.inversion.priors import Priors
from fedleak.attacks.replay import LocalSteps
from fedleak.client.postprocess.sign_sgd import SignSgd
from fedleak.models.convnet import ConvNet
from tests.attacks.inversion.builders import victim
from tests.builders import architecture

SETTINGS = EngineSettings(
    architecture=architecture(),
    distance=Distance(),
    priors=Priors(),
    decoder=Decoder(),
    optimiser=Optimiser(),
    steps=None,
    postprocessing=(),
    train_mode=False,
    compiled="never",
    samples=1,
    device=torch.device("cpu"),
)


def test_one_engine_serves_all_victims() -> None:
    """So that nothing is compiled twice."""
    engine_for.cache_clear()
    for first in range(3):
        victim(first=first).attacked_by(InvertingGradients(iterations=2))
    assert engine_for.cache_info().misses == 1
    assert engine_for.cache_info().hits == 2


def test_equal_settings_share_an_engine_and_others_do_not() -> None:
    """Architectures are made anew for every update; where their factories are equal, so are they."""
    engine = engine_for(SETTINGS)
    assert engine_for(replace(SETTINGS, architecture=architecture())) is engine
    others = [
        {"architecture": architecture(classes=9)},
        {"distance": Distance(kind="squared_l2")},
        {"steps": LocalSteps(0.1, ((0,),))},
        {"postprocessing": (SignSgd(),)},
        {"samples": 2},
    ]
    assert all(engine_for(replace(SETTINGS, **change)) is not engine for change in others)  # type: ignore[arg-type]


def test_the_objective_is_that_of_the_settings() -> None:
    steps = LocalSteps(0.1, ((0,),))
    objective = replace(SETTINGS, steps=steps, postprocessing=(SignSgd(),)).objective()
    assert (objective.steps, objective.postprocessing) == (steps, (SignSgd(),))
    assert (objective.shape, objective.distance, objective.task) == ((1, 8, 8), Distance(), SETTINGS.architecture.task)


@pytest.mark.parametrize("train_mode", [False, True])
def test_the_network_normalises_as_clients_are_taken_to(train_mode: bool) -> None:
    settings = replace(SETTINGS, architecture=architecture(ConvNet(widths=(2,))), train_mode=train_mode)
    module = settings.objective().module
    norm = next(layer for layer in module.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    images = 5 + torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        seen = norm(module[0](images))  # type: ignore[index]
    centred = bool((seen.mean(dim=(0, 2, 3)).abs() < 1e-5).all())
    assert centred == train_mode
