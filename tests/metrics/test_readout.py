from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from fedleak.data.sources.rendered import Rendered
from fedleak.errors import InputErrors
from fedleak.metrics.base import MetricUnavailableError
from fedleak.metrics.reader import reader
from fedleak.metrics.readout import Readout
from tests.scenarios import scenario

METRIC = Readout(content="clock", steps=250, accuracy=0.6)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One reader for all tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDLEAK_CACHE", str(tmp_path_factory.mktemp("cache")))
        reader.cache_clear()
        yield


def clocks(count: int, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    images, symbols = Rendered(content="clock", size=16).draw(count, np.random.default_rng(seed))
    return torch.from_numpy(images) / 255, symbols


def test_a_little_noise_can_be_read_through_and_a_blank_plate_cannot() -> None:
    truth, _ = clocks(100, 5)
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    near = METRIC.evaluate((truth + 0.03 * noise).clamp(0, 1), truth)
    blank = METRIC.evaluate(torch.full_like(truth, 0.5), truth)
    assert near.mean() > 0.8
    assert blank.mean() < 0.25


def test_other_clocks_agree_as_often_as_their_times_do() -> None:
    (first, times), (second, others) = clocks(300, 5), clocks(300, 6)
    agreement = (times == others).mean()
    assert METRIC.evaluate(first, second).mean() == pytest.approx(agreement, abs=0.06)


def test_the_share_of_symbols_is_told() -> None:
    truth, _ = clocks(60, 8)
    assert set(METRIC.evaluate(truth.flip(-1), truth).tolist()) <= {0.0, 0.5, 1.0}


def test_a_reader_that_cannot_read_is_no_judge() -> None:
    truth, _ = clocks(2, 0)
    with pytest.raises(MetricUnavailableError, match=r"after 2 steps, less than 90%.*metrics\.readout\.steps"):
        Readout(content="text", steps=2).evaluate(truth, truth)


@pytest.mark.parametrize(
    ("dataset", "shift", "objection"),
    [
        ("digits", "none", "clients hold digits"),
        ({"kind": "rendered", "content": "text"}, "none", "clients hold a text of length 3"),
        ({"kind": "rendered", "content": "number", "length": 2}, "none", "clients hold a number of length 2"),
        (
            {"kind": "rendered", "content": "number"},
            {"kind": "other_dataset", "dataset": "digits"},
            "clients hold digits",
        ),
    ],
)
def test_other_images_are_refused_before_anything_runs(dataset: Any, shift: Any, objection: str) -> None:
    with pytest.raises(InputErrors, match=rf"metrics\.readout: .*{objection}"):
        scenario(dataset=dataset, adversary__shift=shift, metrics__readout={"content": "number"})


def test_what_clients_hold_may_come_from_another_data_set() -> None:
    clocks = {"kind": "rendered", "content": "clock", "size": 16}
    made = scenario(adversary__shift={"kind": "other_dataset", "dataset": clocks}, metrics__readout={})
    assert "readout" in [metric.kind for metric in made.metrics.enabled()]


def test_the_note_says_what_guessing_gets() -> None:
    assert "3 symbols of each number" in Readout(content="number").note((1, 32, 32))
    assert "guessing gets 10%" in Readout(content="number").note((1, 32, 32))
