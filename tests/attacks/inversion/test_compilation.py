from __future__ import annotations

import warnings
from contextlib import AbstractContextManager

import pytest
import torch
from torch._inductor import config as inductor

from fedleak.attacks.inversion.compilation import Compiled
from fedleak.attacks.inversion.engine import Engine
from fedleak.attacks.inversion.engines import engine_for
from fedleak.attacks.inversion.inverting_gradients import InvertingGradients
from fedleak.models.mlp import Mlp
from tests.attacks.inversion.builders import victim
from tests.attacks.inversion.test_engine import ADAM
from tests.attacks.inversion.test_objective import code, known, objective

CPU = torch.device("cpu")


def without_compiler() -> AbstractContextManager[None]:
    settings = {"cpp.cxx": ("/no/such/compiler",), "force_disable_caches": True}
    patched: AbstractContextManager[None] = inductor.patch(settings)
    return patched


def test_what_cannot_be_compiled_runs_eagerly_and_says_so_once() -> None:
    """The compiler is told of a C++ compiler that is not there."""
    function = Compiled(lambda value: (value.sin() * 2).cos(), CPU)
    with without_compiler(), pytest.warns(RuntimeWarning, match="without compilation"):
        first = function(torch.ones(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = function(torch.ones(3))
    torch.testing.assert_close(first, (torch.ones(3).sin() * 2).cos())
    torch.testing.assert_close(second, first)


def test_a_shape_that_cannot_be_compiled_later_on_runs_eagerly() -> None:
    """The compiler goes away after the first shape; the last group of victims is smaller."""
    function = Compiled(lambda value: (value.cos() * 3).sin(), CPU)
    function(torch.ones(5))
    with without_compiler(), pytest.warns(RuntimeWarning, match="without compilation"):
        smaller = function(torch.ones(4))
    torch.testing.assert_close(smaller, (torch.ones(4).cos() * 3).sin())


@pytest.mark.filterwarnings("ignore:inversion runs without compilation")
def test_an_error_of_the_function_itself_is_not_hidden() -> None:
    def wrong(value: torch.Tensor) -> torch.Tensor:
        return value @ torch.ones(7)

    with pytest.raises(RuntimeError):
        Compiled(wrong, CPU)(torch.ones(3))


def test_networks_with_wide_layers_are_not_compiled_unless_asked_and_that_is_said_once() -> None:
    engine_for.cache_clear()
    wide, attack = victim(Mlp(hidden=(1024,)), uniform=False), InvertingGradients(iterations=2000)
    problem = attack.problem(wide.bundle(attack))
    with pytest.warns(RuntimeWarning, match="without compilation: keeping the gradients of 1 wide layers"):
        engine = attack._engine(problem)
    assert engine.objective.wide_layers(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert attack._engine(problem) is engine
        always = attack.model_copy(update={"compile": "always"})._engine(problem)
    assert not always.objective.wide_layers(1)


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
