"""Trial updates go through what the client does to its own, if the attacker knows it and says so."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fedleak.attacks.base import Reconstruction
from fedleak.attacks.generative.lti import Lti
from fedleak.attacks.inversion.dlg import Dlg
from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.attacks.inversion.objective import SearchTensors
from fedleak.attacks.inversion.tensors import noise_weights, search_tensors
from fedleak.client.local_training import LocalTraining
from fedleak.client.postprocess.base import PostProcess, apply_steps
from fedleak.client.postprocess.elementwise_clipping import ElementwiseClipping
from fedleak.client.postprocess.gaussian_noise import GaussianNoise
from fedleak.client.postprocess.l2_clipping import L2Clipping
from fedleak.client.postprocess.magnitude_pruning import MagnitudePruning
from fedleak.client.postprocess.sign_sgd import SignSgd
from fedleak.errors import AttackFailedError, InputErrors
from fedleak.threat import PostProcessingDetails
from tests.attacks.inversion.builders import Victim, victim
from tests.scenarios import scenario

PRUNING = MagnitudePruning(rate=0.9)
PRUNED = {"postprocess": [{"kind": "magnitude_pruning", "rate": 0.9}]}


def shared(one: Victim, *steps: PostProcess) -> Victim:
    """The same victim behind a post-processing."""
    tensors = apply_steps(steps, one.update.tensors, generator=torch.Generator())
    return replace(one, update=replace(one.update, tensors=tensors))


def attacked(one: Victim, attack: InvertingGradients, *steps: PostProcess) -> Reconstruction:
    chain = PostProcessingDetails(steps) if attack.adaptive else None
    labels = victim().bundle(attack).labels  # pruning may spoil the labels, which is another attack's matter
    known = one.bundle(attack, labels=labels, postprocessing=chain)
    return attack.invert(known, torch.Generator().manual_seed(0))


def test_an_adaptive_attacker_sees_through_pruning() -> None:
    one, settings = shared(victim(), PRUNING), {"iterations": 60}
    plain = attacked(one, InvertingGradients.model_validate(settings), PRUNING)
    adaptive = attacked(one, InvertingGradients.model_validate(settings | {"adaptive": True}), PRUNING)
    assert min(adaptive.curve["matching_loss"]) < 0.5 * min(plain.curve["matching_loss"])
    assert one.psnr(adaptive) > one.psnr(plain) + 1


def test_an_adaptive_attacker_does_without_magnitudes() -> None:
    """Straight through the sign; the transform is known, or read off the update."""
    one, settings = shared(victim(), SignSgd()), {"iterations": 100}
    plain, known_chain, estimated = (
        attacked(one, InvertingGradients.model_validate(settings | {"adaptive": adaptive}), SignSgd())
        for adaptive in (False, True, "estimated")
    )
    assert one.psnr(known_chain) > one.psnr(plain) + 3
    assert torch.equal(estimated.images, known_chain.images)


def test_relative_noise_weighs_tensors() -> None:
    """The factors are those of the objective's mask, and differ between victims."""
    noise = GaussianNoise(std=1.0, relative_to="tensor")
    one, attack = shared(victim(), noise), Dlg(adaptive=True)
    some = tensors_of(attack, one, PostProcessingDetails((noise,)))
    factors = noise_weights((noise,), one.update.tensors)
    assert len({float(value) for value in factors.values()}) == len(factors)
    assert all(bool((some.trials.mask[name] == value).all()) for name, value in factors.items())


def test_the_truth_has_no_matching_loss_behind_a_known_clipping() -> None:
    """With a squared distance, the size of the update matters."""
    clipping = L2Clipping(max_norm=0.01)
    one = shared(victim(), clipping)
    losses = {}
    for adaptive in (False, True):
        attack = Dlg(adaptive=adaptive)
        chain = PostProcessingDetails((clipping,)) if adaptive else None
        problem = attack.problem(one.bundle(attack, postprocessing=chain))
        objective = attack._engine(problem).objective
        assert objective.postprocessing == ((clipping,) if adaptive else ())
        start = {"code": ((one.images - 0.5) / 0.5)[None]}
        some = tensors_of(attack, one, chain)
        logits = torch.full((1, 1, 10), -100.0)
        logits[0, 0, int(one.labels[0])] = 100.0
        losses[adaptive] = float(objective.over_trials(start | {"labels": logits}, some)[0])
    assert losses[True] < 1e-6 < 1e-3 < losses[False]


def tensors_of(attack: Dlg, one: Victim, chain: PostProcessingDetails | None) -> SearchTensors:
    problem = attack.problem(one.bundle(attack, postprocessing=chain))
    return search_tensors(problem, attack.distance, restarts=1, box=False)


def test_post_processing_is_asked_for_only_by_adaptive_attacks() -> None:
    assert PostProcessingDetails not in InvertingGradients().wanted()
    assert PostProcessingDetails in InvertingGradients(adaptive=True).wanted()
    assert [a.adapts for a in (InvertingGradients(), InvertingGradients(adaptive=True), Lti())] == [False, True, True]


def test_one_who_estimates_needs_no_grant_and_takes_victims_one_by_one() -> None:
    attack = InvertingGradients(adaptive="estimated")
    assert attack.wanted() == InvertingGradients().wanted()
    assert attack.adapts
    assert attack.victims_together(victim().bundle(attack)) == 1


def test_an_adaptive_attack_needs_the_grant() -> None:
    attacks = [{"kind": "inverting_gradients", "adaptive": True}]
    scenario(attacks=attacks, adversary__level=3, adversary__injection=None)
    with pytest.raises(InputErrors, match=r"post_processing_details \(level 3\)"):
        scenario(attacks=attacks, adversary__level=2, adversary__injection=None)


def test_clipping_of_single_values_needs_trials_of_known_size() -> None:
    """A delta of unknown local steps is a direction; where to cut it off cannot be told."""
    clipping = ElementwiseClipping(bound=1e-4)
    averaging = LocalTraining("fedavg", batch_size=1, epochs=1, learning_rate=0.1, train_mode=False)
    one = shared(victim(training=averaging), clipping)
    with pytest.raises(AttackFailedError, match="applying elementwise_clipping to trial updates needs their scale"):
        attacked(one, InvertingGradients(iterations=2, adaptive=True), clipping)
    steps = {"local_training": {"learning_rate": 0.1}}
    told = InvertingGradients.model_validate({"iterations": 2, "adaptive": True} | steps)
    assert attacked(one, told, clipping).images.isfinite().all()
    guessed = InvertingGradients(iterations=2, adaptive="estimated").problem(one.bundle(InvertingGradients()))
    assert not any(step.needs_size for step in guessed.postprocessing)
