"""What Flower's error replies mean."""

from __future__ import annotations

from fedleak.errors import FederationError

LOST_WORKER = ("ActorDiedError", "ActorUnavailableError", "RayActorError", "WorkerCrashedError")
WRAPPED = "The above exception was the direct cause of the following exception"


class WorkerLostError(FederationError):
    """A Ray worker died and took the work with it; Flower never replaces one, a new engine has it back."""


def is_lost_worker(reason: str) -> bool:
    """Whether a failure means that a Ray worker is gone."""
    return any(name in reason for name in LOST_WORKER)


def client_failure(reason: str, limit: int = 300) -> str:
    """One line for an error reply: Flower and Ray wrap the client's traceback in theirs."""
    if is_lost_worker(reason):
        return "the worker process died"
    inner = reason.replace("\\n", "\n").split(WRAPPED)[0]
    lines = [line.strip() for line in inner.splitlines() if line.strip(" '>")]
    return (lines[-1] if lines else reason)[:limit]
