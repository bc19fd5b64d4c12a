"""Settings of the engine that runs the clients: the block ``federation.engine``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedleak import limits
from fedleak.component import Settings


class FederationEngine(Settings):
    """Where and how the clients run; these settings do not change results, except for ``data: own``."""

    kind: Literal["ray", "serial", "deployment"] = "ray"
    """Ray actors; one client after the other in this process (for debugging, and for machines without Ray); or the
    SuperNodes of a Flower deployment, processes of their own that somebody else has started."""
    cpus: int | None = Field(default=None, ge=1, le=limits.CPUS)
    """CPUs of a local Ray (default: all)."""
    client_cpus: float = Field(default=1, gt=0, le=limits.CPUS)
    """CPUs for each client actor; as many actors run at once as fit."""
    client_gpus: float = Field(default=0, ge=0, le=limits.CPUS)
    """Share of a GPU for each client actor, such as 0.25; in a deployment, 1 if clients compute on their node's GPU."""
    address: str | None = None
    """Join this Ray cluster (``auto``, ``host:port``; default: start one on this machine); or the SuperLink of a
    deployment (``host:port``), which must be given."""
    timeout: float = Field(default=300, gt=0, le=limits.SECONDS)
    """Seconds after which missing replies of a round count as failures."""
    root_certificates: str | None = None
    """Deployment: PEM file with the authorities that may have signed the SuperLink's certificate (default: those of the
    system)."""
    superexec_secret: str | None = None
    """Deployment: file with the secret that the SuperLink asks of whoever runs the server (default: none)."""
    insecure: bool = False
    """Deployment: neither encryption nor authentication; only with a SuperLink on the loopback interface."""
    data: Literal["dealt", "own"] = "dealt"
    """Deployment: ``dealt``: nodes hold the images that ``fedleak deployment deal`` gave them, and attacks are scored;
    ``own``: they hold images of their own, which nobody else knows, and nothing can be scored."""

    @property
    def deployed(self) -> bool:
        """Whether the clients are the nodes of a deployment."""
        return self.kind == "deployment"

    @property
    def own_data(self) -> bool:
        """Whether the clients' images are known to their nodes alone."""
        return self.deployed and self.data == "own"
