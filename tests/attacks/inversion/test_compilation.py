from __future__ import annotations

import warnings

import pytest
import torch

from fedleak.attacks.inversion.compilation import Compiled
from fedleak.attacks.inversion.engine import Engine
from tests.attacks.inversion.builders import victim
from tests.attacks.inversion.test_engine import ADAM
from tests.attacks.inversion.test_objective import code, known, objective

CPU = torch.device("cpu")


def test_what_cannot_be_compiled_runs_eagerly_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler is told of a C++ compiler that is not there."""
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("/no/such/compiler",))
    monkeypatch.setattr("torch._inductor.config.force_disable_caches", True)
    function = Compiled(lambda value: (value.sin() * 2).cos(), CPU)
    with pytest.warns(RuntimeWarning, match="without compilation"):
        first = function(torch.ones(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = function(torch.ones(3))
    torch.testing.assert_close(first, (torch.ones(3).sin() * 2).cos())
    torch.testing.assert_close(second, first)


@pytest.mark.filterwarnings("ignore:inversion runs without compilation")
def test_an_error_of_the_function_itself_is_not_hidden() -> None:
    def wrong(value: torch.Tensor) -> torch.Tensor:
        return value @ torch.ones(7)

    with pytest.raises(RuntimeError):
        Compiled(wrong, CPU)(torch.ones(3))


@pytest.mark.slow
def test_a_compiled_engine_finds_what_an_eager_one_finds() -> None:
    one = victim()
    outcomes = [
        Engine(objective(one), ADAM, compiled=compiled).run(
            {"code": code(2, 1)}, known(one, 2, one.labels), iterations=60, generators=[torch.Generator()]
        )
        for compiled in (False, True)
    ]
    torch.testing.assert_close(outcomes[0].losses, outcomes[1].losses, rtol=0.05, atol=1e-4)
