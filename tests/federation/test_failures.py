"""What error replies mean, in the words of Flower and Ray."""

from __future__ import annotations

import pytest

from fedleak.federation.failures import LOST_WORKER, client_failure, is_lost_worker

RAY_TRACEBACK = (
    "<class 'ray.exceptions.RayTaskError(ClientAppException)'>:<'\x1b[36mray::ClientAppActor.run()\x1b[39m (pid=1)\n"
    '  File "client.py", line 1, in train\n    raise RuntimeError("no")\nRuntimeError: no\n\nThe above exception was '
    "the direct cause of the following exception:\n\nray::run()\nClientAppException: \nException ... Message: no'>"
)


@pytest.mark.parametrize(
    ("reason", "expected", "lost"),
    [
        (RAY_TRACEBACK, "RuntimeError: no", False),
        (RAY_TRACEBACK.replace("\n", "\\n"), "RuntimeError: no", False),
        (
            "<class 'ray.exceptions.ActorDiedError'>:<'The actor died unexpectedly ...'>",
            "the worker process died",
            True,
        ),
        ("RuntimeError: no", "RuntimeError: no", False),
        ("", "", False),
        ("x" * 1000, "x" * 300, False),
    ],
)
def test_reasons(reason: str, expected: str, lost: bool) -> None:
    assert client_failure(reason) == expected
    assert is_lost_worker(reason) is lost


@pytest.mark.parametrize("name", LOST_WORKER)
def test_every_way_in_which_ray_loses_a_worker(name: str) -> None:
    reason = f"<class 'ray.exceptions.{name}'>:<'...'>"
    assert is_lost_worker(reason)
    assert client_failure(reason) == "the worker process died"


def test_a_limit_of_ones_own() -> None:
    assert client_failure("ValueError: too long", limit=10) == "ValueError"
