from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from fedleak.errors import InputError
from fedleak.models.factory import CONSENT, Factory
from tests.builders import FACTORY, small_network
from tests.processes import finish, start
from tests.scenarios import write_scenario

MODULE = """
    import torch
    from torch import nn

    def network(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))

    def fewer(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes - 1))

    def too_small(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(3, classes))

    def nothing(shape, classes):
        return None

    def weightless(shape, classes):
        return nn.Flatten()

    number = 3
"""


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a module of networks, on the path of imports."""
    (tmp_path / "zoo_of_mine.py").write_text(dedent(MODULE))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "zoo_of_mine", raising=False)
    return tmp_path


def trust(monkeypatch: pytest.MonkeyPatch, *paths: str) -> None:
    monkeypatch.setenv(CONSENT, ",".join(paths))


def test_the_network_is_what_the_function_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    trust(monkeypatch, "other:net", FACTORY)
    network = Factory(path=FACTORY).build((3, 8, 8), 5, seed=4)
    torch.manual_seed(4)
    expected = small_network((3, 8, 8), 5)
    assert isinstance(network, nn.Sequential)
    assert network.training
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), expected.parameters(), strict=True))


def test_nothing_is_imported_without_consent(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONSENT, raising=False)
    trusted = ("", "zoo_of_mine", "zoo_of_mine:networks", "zoo_of_mine:fewer")
    for value in trusted:
        trust(monkeypatch, value)
        with pytest.raises(InputError, match=r"FEDLEAK_TRUSTED_FACTORIES=zoo_of_mine:network$"):
            Factory(path="zoo_of_mine:network").build((1, 8, 8), 5, seed=0)
    assert "zoo_of_mine" not in sys.modules


PROBLEMS = {
    "no_such_module:network": "got 'no_such_module:network'; it cannot be imported: No module named 'no_such_module'",
    "zoo_of_mine:missing": "cannot be imported: module 'zoo_of_mine' has no attribute 'missing'",
    "zoo_of_mine:number": "it is no function but int",
    "zoo_of_mine:nothing": "it gives NoneType, not a torch.nn.Module with parameters",
    "zoo_of_mine:weightless": "it gives Flatten, not a torch.nn.Module with parameters",
    "zoo_of_mine:too_small": "its network cannot read images of (1, 8, 8)",
    "zoo_of_mine:fewer": "its network's output for 2 images is (2, 4), not (2, 5)",
}


@pytest.mark.parametrize(("path", "message"), PROBLEMS.items(), ids=PROBLEMS)
def test_what_is_wrong_is_said(path: str, message: str, zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trust(monkeypatch, path)
    with pytest.raises(InputError, match=re.escape(message)):
        Factory(path=path).build((1, 8, 8), 5, seed=0)


@pytest.mark.parametrize(
    "path", ["network", "zoo:", ":network", "zoo/mine:network", "../zoo:network", "zoo:net.work", "zoo:f()"]
)
def test_paths_that_name_no_function_are_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="path"):
        Factory(path=path)


@pytest.mark.slow
def test_it_works_in_ray_workers_and_in_the_attack_stage(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "zoo_of_mine:network"
    file = write_scenario(
        zoo,
        model={"kind": "factory", "path": path},
        attacks=[{"kind": "inverting_gradients", "iterations": 2}],
        federation__engine={"kind": "ray", "cpus": 1},
    )
    code, _, err = finish(start("run", file, "--out", zoo / "run"))
    assert code == 2
    assert f"error: model.path: got {path!r}" in err
    assert f"{CONSENT}={path}" in err
    trust(monkeypatch, path)
    monkeypatch.setenv("PYTHONPATH", str(zoo), prepend=":")
    code, _, err = finish(start("federate", file, "--out", zoo / "run"))
    assert code == 0, err
    code, _, err = finish(start("attack", zoo / "run"))
    assert code == 0, err
    monkeypatch.delenv(CONSENT)
    code, _, err = finish(start("attack", zoo / "run", "--set", "attacks.inverting_gradients.iterations=3"))
    assert code == 2
    assert "Traceback" not in err
    assert f"{CONSENT}={path}" in err


def test_what_takes_no_arguments_is_called_without(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trust(monkeypatch, "tests.user_models:Ready", "tests.user_models:plain")
    ready = Factory(path="tests.user_models:Ready").module((1, 8, 8), 10)
    assert ready(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    told = Factory(path="tests.user_models:plain").module((1, 8, 8), 4)
    assert told(torch.zeros(2, 1, 8, 8)).shape == (2, 4)
    with pytest.raises(InputError, match=r"not \(2, 4\)"):
        Factory(path="tests.user_models:Ready").module((1, 8, 8), 4)
