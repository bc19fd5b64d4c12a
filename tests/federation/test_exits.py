"""A model that ends the process: the command says so and exits with 1, and a client that is too slow is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fedleak.errors import InputError
from fedleak.federation.model import TRIED
from fedleak.federation.plan import make_plan
from fedleak.models.factory import CONSENT
from fedleak.transcript.reader import TranscriptReader
from tests.scenarios import command, run_federation, scenario, write_scenario

PLAIN: dict[str, Any] = {
    "adversary": {"level": 2},
    "attacks": [{"kind": "dlg", "iterations": 1}],
    "federation__rounds": 1,
    "federation__client": {"batch_size": TRIED + 1},
}


class Exits(nn.Module):
    """Ends the process in training or in evaluation, with the images of one client or with the test images.

    The trial of the model before a run has fewer images than either, and does not find it.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, *, where: str) -> None:
        super().__init__()
        self.linear, self.where = nn.Linear(shape[0] * shape[1] * shape[2], classes), where

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        here = "client" if torch.is_grad_enabled() else "server"
        if self.where == "anywhere" or (here == self.where and len(images) > TRIED):
            sys.exit("no license for this model")
        logits: torch.Tensor = self.linear(images.flatten(1))
        return logits


def in_clients(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Of the first kind."""
    return Exits(shape, classes, where="client")


def in_server(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Of the second kind."""
    return Exits(shape, classes, where="server")


def always(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Of both kinds, whatever the images."""
    return Exits(shape, classes, where="anywhere")


def at_once(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Ends the process instead of building a network."""
    sys.exit("no network for you")


@pytest.mark.parametrize("name", ["in_clients", "in_server"])
def test_an_exit_of_the_model_is_told_with_exit_code_1(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"tests.federation.test_exits:{name}"
    monkeypatch.setenv(CONSENT, path)
    file = write_scenario(tmp_path, **PLAIN, model={"kind": "factory", "path": path})
    outcome = command(capsys, "federate", file, "--out", tmp_path / "run")
    assert outcome.code == 1
    assert len(outcome.errors) == 1
    assert "no license for this model" in outcome.errors[0]


def test_an_exit_in_the_trial_of_the_model_is_an_error_of_the_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "tests.federation.test_exits:always"
    monkeypatch.setenv(CONSENT, path)
    file = write_scenario(tmp_path, **PLAIN, model={"kind": "factory", "path": path})
    outcome = command(capsys, "federate", file, "--out", tmp_path / "run")
    assert outcome.code == 2
    assert len(outcome.errors) == 1
    assert "no license for this model" in outcome.errors[0]


def test_an_exit_of_a_factory_is_an_error_of_the_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "tests.federation.test_exits:at_once"
    monkeypatch.setenv(CONSENT, path)
    with pytest.raises(InputError, match=r"model.path: got .*at_once.*SystemExit: no network for you"):
        make_plan(scenario(**PLAIN, model={"kind": "factory", "path": path}))


def test_the_serial_engine_keeps_the_timeout(tmp_path: Path) -> None:
    """A silent client is missing in its round and takes part in the next one."""
    changes: dict[str, Any] = PLAIN | {
        "federation__rounds": 2,
        "federation__engine": {"kind": "serial", "timeout": 1},
        "federation__faults": [{"round": 1, "client": 1, "mode": "silent"}],
    }
    run = run_federation(tmp_path / "run", scenario(**changes))
    first, second = TranscriptReader(run.transcript).manifest.rounds
    assert first.failures == ("client 1: missing: no reply in time",)
    assert second.failures == ()
