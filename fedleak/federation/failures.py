"""Interpretation of Flower's error replies."""

from __future__ import annotations

from fedleak.errors import FederationError

LOST_WORKER = ("ActorDiedError", "ActorUnavailableError", "RayActorError", "WorkerCrashedError")
LOST_NODE = "the node is gone"
"""How the failure of a node that left a deployment begins."""
WRAPPED = "The above exception was the direct cause of the following exception"


class WorkerLostError(FederationError):
    """A Ray worker died and its work is lost; Flower does not replace workers, so the engine must be restarted.

    Also: a node of a deployment is gone, and the run cannot go on without it.
    """


def is_lost_worker(reason: str) -> bool:
    """Whether a failure means that a Ray worker died, or that a node left a deployment."""
    return reason.startswith(LOST_NODE) or any(name in reason for name in LOST_WORKER)


def client_failure(reason: str, limit: int = 300) -> str:
    """One-line reason of an error reply, without the tracebacks that Flower and Ray put around the client's."""
    if is_lost_worker(reason) and not reason.startswith(LOST_NODE):
        return "the worker process died"
    inner = reason.replace("\\n", "\n").split(WRAPPED)[0]
    lines = [line.strip() for line in inner.splitlines() if line.strip(" '>")]
    return (lines[-1] if lines else reason)[:limit]
