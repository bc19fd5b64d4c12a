"""Clients that hold fewer images than an update takes, and mini-batches of one image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fedleak
from fedleak.errors import InputError
from fedleak.federation.plan import make_plan
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import scenario

SMALL: dict[str, Any] = {
    "dataset": {"kind": "synthetic", "size": 8, "images": 24},
    "adversary": {"level": 1, "public_images": 4},
    "attacks": [{"kind": "dlg", "iterations": 1, "optimiser": {"kind": "adam"}, "compile": "never"}],
    "federation__partition": {"kind": "dirichlet", "alpha": 0.3},
    "federation__clients": 4,
    "federation__rounds": 1,
    "device": "cpu",
}


def held(checked: Any) -> list[int]:
    return [len(client) for client in make_plan(checked).clients]


def test_a_client_with_fewer_images_uses_all_it_has_and_that_is_recorded(tmp_path: Path) -> None:
    first = scenario(**SMALL)
    counts = held(first)
    assert min(counts[1:]) < max(counts)
    size = min(counts[1:]) + 1
    checked = scenario(**SMALL, federation__client__batch_size=size)
    results = fedleak.run(checked, out=tmp_path / "run")
    records = TranscriptReader(tmp_path / "run/transcript").manifest.updates
    assert {record.client: record.samples for record in records} == {c: min(size, counts[c]) for c in (1, 2, 3)}
    (attack,) = [summary for summary in results.attacks if summary.attack == "dlg"]
    assert (attack.images, attack.failures) == (sum(min(size, counts[c]) for c in (1, 2, 3)), 0)


def test_a_batch_that_no_client_can_fill_is_refused() -> None:
    largest = max(held(scenario(**SMALL)))
    with pytest.raises(
        InputError, match=f"holds only {largest} images; at most that many, because no client holds more"
    ):
        make_plan(scenario(**SMALL, federation__client__batch_size=largest + 1))


def test_client_level_privacy_needs_the_same_number_of_images_from_all() -> None:
    pytest.importorskip("opacus")
    smallest = min(held(scenario(**SMALL)))
    private = {"noise": "central", "max_norm": 1.0, "noise_multiplier": 1.0}
    with pytest.raises(InputError, match=f"holds only {smallest} images; .*same number from every client"):
        make_plan(scenario(**SMALL, federation__client__batch_size=smallest + 1, federation__client_level_dp=private))


NORMALISED = {"kind": "convnet", "widths": [4], "kernel": 8, "padding": 0, "pooling": "none"}
"""Its maps of 8x8 images are 1x1, so that batch normalisation needs two images."""


@pytest.mark.parametrize(
    ("client", "fits"),
    [
        ({"protocol": "fedsgd", "batch_size": 1}, False),
        ({"protocol": "fedsgd", "batch_size": 2}, True),
        ({"protocol": "fedavg", "samples": 5, "batch_size": 4}, False),
        ({"protocol": "fedavg", "samples": 6, "batch_size": 4}, True),
        ({"protocol": "fedavg", "samples": 1, "batch_size": 4}, False),
    ],
)
@pytest.mark.parametrize("batch_norm", ["train_shared", "train_local", "eval"])
def test_mini_batches_of_one_are_refused_where_statistics_need_two(
    client: dict[str, Any], fits: bool, batch_norm: str
) -> None:
    even = {
        **SMALL,
        "federation__partition": {"kind": "iid"},
        "dataset": {"kind": "synthetic", "size": 8, "images": 60},
    }
    checked = scenario(**even, model=NORMALISED, federation__client=client | {"batch_norm": batch_norm})
    if fits or batch_norm == "eval":
        make_plan(checked)
        return
    with pytest.raises(InputError, match=r"client\.batch_size: .*the last holds one image.*batch_norm eval"):
        make_plan(checked)


def test_larger_maps_have_statistics_of_one_image() -> None:
    model = {"kind": "convnet", "widths": [4], "pool_every": 1}
    make_plan(scenario(**SMALL, model=model, federation__client={"batch_size": 1, "batch_norm": "train_shared"}))
