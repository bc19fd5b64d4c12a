"""Attacks that a session defines."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch

import fedleak
from fedleak.attacks.base import Attack, Reconstruction
from fedleak.attacks.inversion.idlg import Idlg
from fedleak.errors import InputError
from fedleak.progress import LineProgress
from fedleak.session_kinds import is_only_here, written
from fedleak.stages.source import code_of
from fedleak.threat import PublicData, SharedUpdate
from tests.scenarios import tiny


class Dark(Attack):
    """Returns black images."""

    kind: Literal["session_dark"] = "session_dark"
    level: float = 0.0

    def reconstruct(self, update: SharedUpdate, public: PublicData, *, generator: torch.Generator) -> Reconstruction:
        return Reconstruction(images=torch.full((update.samples or 1, *public.images.shape[1:]), self.level))


def notebook_class(source: str, module: str = "__main__") -> type[Attack]:
    """A class as a cell of a notebook defines it: in ``__main__``, with no file."""
    scope: dict[str, Any] = {"__name__": module}
    exec(compile(source, "<cell>", "exec", dont_inherit=True), scope)  # noqa: S102 - the point of the test
    found: type[Attack] = scope["Cell"]
    return found


CELL = """
from typing import Literal
import torch
from fedleak.attacks.base import Attack, Reconstruction
from fedleak.threat import PublicData, SharedUpdate

def shade(): return {shade}

class Cell(Attack):
    '''From a cell.'''
    kind: Literal["session_cell"] = "session_cell"
    def reconstruct(self, update: SharedUpdate, public: PublicData, *, generator: torch.Generator) -> Reconstruction:
        '''{text}'''
        return Reconstruction(images=torch.full((update.samples or 1, *public.images.shape[1:]), shade()))
"""


def test_it_is_written_like_a_kind_with_its_settings() -> None:
    assert written(Dark(level=0.5)) == {"kind": "session_dark", "level": 0.5, "id": None, "version": "current"}
    assert written("lti") == {"kind": "lti"}
    assert written({"kind": "lti", "hidden": 4}) == {"kind": "lti", "hidden": 4}
    assert written(Idlg(iterations=3))["iterations"] == 3


def test_what_is_no_attack_of_its_own_kind_is_refused() -> None:
    class Nameless(Attack):
        def reconstruct(self, *, generator: torch.Generator) -> Reconstruction:  # type: ignore[override]
            raise NotImplementedError

    class Pretender(Dark):
        kind: Literal["lti"] = "lti"  # type: ignore[assignment]

    with pytest.raises(InputError, match=r"it has no kind: add a field to Nameless"):
        written(Nameless())
    with pytest.raises(InputError, match=r"Lti has this kind: give Pretender its own"):
        written(Pretender())
    with pytest.raises(InputError, match=r"expected a kind, a mapping with settings, or an instance"):
        written(3)  # type: ignore[arg-type]


def test_only_classes_of_modules_can_run_apart() -> None:
    class Local(Dark):
        kind: Literal["session_local"] = "session_local"  # type: ignore[assignment]

    assert not is_only_here(Dark)
    assert not is_only_here(Idlg)
    assert is_only_here(Local)
    assert is_only_here(notebook_class(CELL.format(shade=0.1, text="")))
    assert is_only_here(notebook_class(CELL.format(shade=0.1, text=""), module="no_such_module"))


def test_the_code_of_a_cell_and_of_what_it_calls_is_part_of_the_fingerprint() -> None:
    hashes = [
        code_of([notebook_class(CELL.format(shade=shade, text=text), "gone")()])
        for shade, text in ((0.1, "a"), (0.1, "b"), (0.2, "a"))
    ]
    assert hashes[0] == hashes[1], "docstrings do not count"
    assert hashes[0] != hashes[2], "a function that it calls does"


def test_a_session_runs_its_own_attack_and_runs_it_anew_if_the_cell_changes(tmp_path: Path) -> None:
    said: list[str] = []
    progress = LineProgress(said.append)
    raw = tiny(adversary__injection=None, federation__rounds=1)
    first = fedleak.run(raw, attacks=[Dark(level=0.25), "linear_layer"], out=tmp_path / "run", progress=progress)
    assert [each.attack for each in first.attacks if not each.is_baseline] == ["session_dark", "linear_layer"]
    assert 0 < first.attacks[0].metrics["mse"].mean < 1
    found = []
    for shade in (0.0, 0.0, 1.0):
        cell = notebook_class(CELL.format(shade=shade, text=""))()
        said.clear()
        results = fedleak.run(raw, attacks=[cell], out=tmp_path / "cells", progress=progress)
        found.append(
            (results.attacks[0].metrics["mse"].mean, any("already done" in line and "attack" in line for line in said))
        )
    assert found[0][0] == found[1][0] != found[2][0]
    assert [reused for _, reused in found] == [False, True, False]


def test_it_is_said_if_attacks_share_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDLEAK_ISOLATION", "on")
    said: list[str] = []
    cell = notebook_class(CELL.format(shade=0.5, text=""))()
    raw = tiny(adversary__injection=None, federation__rounds=1)
    fedleak.run(raw, attacks=[cell], out=tmp_path / "run", progress=LineProgress(said.append))
    assert any("session_cell: defined in this session, so attacks run in this process" in line for line in said)
