from __future__ import annotations

from fedleak.attacks.inversion.gradinversion import GradInversion
from fedleak.models.convnet import ConvNet
from tests.attacks.inversion.builders import victim

QUICK = {
    "iterations": 120,
    "restarts": 2,
    "group": {"consensus": "registered", "start": 60, "refresh": 30},
    "priors": {"total_variation": 1e-5, "l2": 1e-7, "batch_norm": 1e-5, "group": 1e-5},
}
"""The paper's weights are for ResNet-50 on 224x224 images; here they would drown the gradient."""


def test_it_runs_through_its_phases_and_matches_better_than_it_began() -> None:
    one = victim(ConvNet(widths=(8, 8)), count=2, uniform=False)
    answer = one.attacked_by(GradInversion.model_validate(QUICK))
    loss = answer.curve["matching_loss"]
    assert min(loss) < 0.5 * loss[0]
    assert answer.images.shape == (2, 1, 8, 8)


def test_the_papers_settings_are_the_defaults() -> None:
    attack = GradInversion()
    priors = attack.priors
    assert (priors.total_variation, priors.l2, priors.batch_norm, priors.group) == (1e-4, 1e-6, 0.1, 0.01)
    assert priors.total_variation_kind == "norms"
    assert (attack.iterations, attack.restarts, attack.distance.scale) == (20_000, 8, 1e-3)
    assert (attack.optimiser.warm_up, attack.optimiser.langevin, attack.optimiser.schedule) == (50, 0.2, "cosine")
