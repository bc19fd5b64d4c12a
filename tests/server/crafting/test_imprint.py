from __future__ import annotations

import pytest
import torch
from torch import nn

from fedleak.models.imprinted import Imprinted
from fedleak.models.lenet import LeNet
from fedleak.server.crafting.base import UnfitCraftingError
from fedleak.server.crafting.imprint import ImprintCrafting
from fedleak.tensors import NamedTensors
from tests.server.crafting.knowledge import known, smooth

SHAPE = (1, 8, 8)


def crafted(crafting: ImprintCrafting, images: int = 400) -> tuple[nn.Module, NamedTensors]:
    model = crafting.declare(LeNet(channels=2), clients=3).build(SHAPE, 10, seed=0)
    sent = crafting.craft(model, known(images=images), client=0, round_number=1, generator=torch.Generator())
    assert sent is not None
    model.load_state_dict(dict(sent))
    return model, sent


def test_it_declares_the_scenarios_network_behind_a_module() -> None:
    declared = ImprintCrafting(bins=16, activation="hard_tanh").declare(LeNet(), clients=3)
    assert declared == Imprinted(inner=LeNet(), bins=16, activation="hard_tanh")


def test_cuts_are_quantiles_of_the_public_images_worked_out_by_hand() -> None:
    cuts = ImprintCrafting(bins=4).cut_values(torch.arange(1.0, 10.0, dtype=torch.float64))  # 1 ... 9
    assert cuts[1:4].tolist() == [3.0, 5.0, 7.0]
    assert cuts[0] < 1 - 8 + 3 < cuts[1]
    assert cuts[4] > 9


def test_cuts_of_a_normal_distribution() -> None:
    values = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)  # mean 0, variance 1
    cuts = ImprintCrafting(bins=4, cuts="normal").cut_values(values)
    torch.testing.assert_close(cuts[1:4], torch.tensor([-0.6745, 0.0, 0.6745], dtype=torch.float64), atol=1e-4, rtol=0)


@pytest.mark.parametrize("functional", ["mean", "random"])
def test_rows_measure_one_functional_and_an_image_activates_the_bins_below_its_value(functional: str) -> None:
    model, sent = crafted(ImprintCrafting(bins=8, functional=functional))
    weight, bias = sent["imprint.measure.weight"].double(), sent["imprint.measure.bias"].double()
    assert torch.linalg.matrix_rank(weight) == 1
    images = 2 * smooth(50, SHAPE, seed=3).double().flatten(1) - 1
    active = (images @ weight.T + bias > 0).sum(dim=1)
    values = images @ weight[0] / weight[0].norm() ** 2
    cuts = -bias / weight[0].norm() ** 2
    assert active.tolist() == [int((value > cuts).sum()) for value in values]
    assert len(set(active.tolist())) > 4
    assert model.imprint.carry.weight.unique().numel() == 1  # type: ignore[union-attr]


def test_separate_units_are_between_their_ends_for_the_images_of_one_bin() -> None:
    model, _ = crafted(ImprintCrafting(bins=8, activation="hard_tanh"))
    images = 2 * smooth(50, SHAPE, seed=3) - 1
    units = model.imprint.measure(images.flatten(1))  # type: ignore[union-attr, operator]
    assert (((units > 0) & (units < 1)).sum(dim=1) == 1).all()


def test_the_network_behind_stays_and_hardly_notices() -> None:
    crafting = ImprintCrafting(bins=32)
    model, sent = crafted(crafting)
    honest = LeNet(channels=2).build(SHAPE, 10, seed=0)
    assert all(torch.equal(t, sent[f"inner.{n}"]) for n, t in honest.state_dict().items())
    images = 2 * smooth(5, SHAPE, seed=1) - 1
    torch.testing.assert_close(model(images), honest(images), atol=1e-3, rtol=0)


def test_all_clients_and_rounds_are_sent_the_same() -> None:
    crafting = ImprintCrafting(functional="random")
    model = crafting.declare(LeNet(channels=2), clients=3).build(SHAPE, 10, seed=0)
    first, second = (
        crafting.craft(model, known(), client=c, round_number=c, generator=torch.Generator().manual_seed(c))
        for c in (1, 2)
    )
    assert first is not None
    assert second is not None
    assert all(torch.equal(t, second[n]) for n, t in first.items())


def test_what_cannot_be_crafted_is_refused() -> None:
    with pytest.raises(UnfitCraftingError, match="not told of an imprint module"):
        ImprintCrafting().craft(
            LeNet().build(SHAPE, 10, seed=0), known(), client=0, round_number=1, generator=torch.Generator()
        )
    with pytest.raises(UnfitCraftingError, match="there are 0"):
        crafted(ImprintCrafting(bins=4), images=0)
    with pytest.raises(UnfitCraftingError, match="some are empty: take cuts: normal"):
        ImprintCrafting(bins=4).cut_values(torch.tensor([1.0, 1.0, 1.0, 2.0]))
