from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fedleak.attacks.inversion.dlg import Dlg
from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.client.local_training import LocalTraining
from fedleak.errors import AttackFailedError
from fedleak.threat import InferredLabels, InjectedPairs, PublicData, TrainingDetails
from tests.attacks.inversion.builders import Victim, victim

AVERAGING = LocalTraining("fedavg", batch_size=1, epochs=1, learning_rate=0.1, train_mode=False)


def quick(**settings: object) -> InvertingGradients:
    return InvertingGradients.model_validate({"iterations": 100, **settings})


def test_inferred_labels_and_not_true_ones_reach_the_objective() -> None:
    """A wrong label is believed: the loss stays high where the right one brings it down."""
    one = victim()
    right = one.attacked_by(quick())

    class Deceived(Victim):
        def known(self) -> tuple[object, ...]:  # type: ignore[override]
            wrong = (self.labels + 1) % 10
            return tuple(
                InferredLabels(wrong, "a lie") if isinstance(c, InferredLabels) else c for c in super().known()
            )

    deceived = Deceived(**{name: getattr(one, name) for name in one.__dataclass_fields__})
    wrong = deceived.attacked_by(quick())
    assert min(wrong.curve["matching_loss"]) > 5 * min(right.curve["matching_loss"])


def test_the_same_generator_gives_the_same_images() -> None:
    one = victim()
    first, second, other = (one.attacked_by(quick(restarts=2), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.images, second.images)
    assert not torch.equal(first.images, other.images)


def test_a_delta_is_matched_in_direction_with_the_right_sign() -> None:
    """One local step: minus the gradient times an unknown rate. The cosine attack needs neither rate nor steps."""
    delta = victim(training=AVERAGING)
    assert delta.psnr(delta.attacked_by(quick())) > 25
    turned = replace(delta, update=replace(delta.update, protocol="fedsgd"))
    assert min(turned.attacked_by(quick()).curve["matching_loss"]) > 0.5


def test_a_delta_of_unknown_size_cannot_be_matched_by_squared_distance() -> None:
    with pytest.raises(AttackFailedError, match="set local_training"):
        victim(training=AVERAGING).attacked_by(Dlg(iterations=2))


def test_assumed_local_training_is_unrolled() -> None:
    one = victim(training=AVERAGING)
    attack = Dlg.model_validate({"iterations": 10, "local_training": {"learning_rate": 0.1}})
    assert one.psnr(one.attacked_by(attack)) > 20


@pytest.mark.parametrize("spoil", [torch.nan, torch.inf])
def test_an_update_that_is_not_finite_is_a_failed_attack(spoil: float) -> None:
    one = victim()
    tensors = {name: torch.full_like(tensor, spoil) for name, tensor in one.update.tensors.items()}
    broken = replace(one.update, tensors=tensors)
    attack = Dlg(iterations=2)
    with pytest.raises(AttackFailedError, match="not finite"):
        attack.invert(one.bundle(attack, update=broken), torch.Generator())


def test_an_update_of_unknown_size_is_a_failed_attack() -> None:
    one = victim()
    with pytest.raises(AttackFailedError, match="how many images"):
        replace(one, update=replace(one.update, samples=None)).attacked_by(Dlg(iterations=2))


@pytest.mark.parametrize(
    "settings", [{"decoder": {"kind": "upsample", "factor": 2}}, {"init": "grey"}, {"init": "uniform"}]
)
def test_decoders_and_starts_run(settings: dict[str, object]) -> None:
    images = victim(count=2).attacked_by(quick(iterations=5, **settings)).images
    assert images.shape == (2, 1, 8, 8)
    assert images.isfinite().all()


def test_images_come_back_as_pixels() -> None:
    images = victim().attacked_by(quick(iterations=3, box=False)).images
    assert 0 <= images.min() <= images.max() <= 1
    assert images.dtype == torch.float32


@pytest.mark.parametrize("kind", [Dlg, InvertingGradients])
def test_neither_data_nor_pairs_nor_training_details_are_asked_for(kind: type[Dlg]) -> None:
    assert not kind.capabilities() & {PublicData, InjectedPairs, TrainingDetails}
