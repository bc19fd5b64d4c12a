"""The server's side of a run on a SuperLink: ``fedleak run`` starts the run and is its server itself.

Flower starts servers by a helper (SuperExec) that claims a run's server task and receives a token for it. With
``flower-superlink --isolation process`` no such helper runs, and this module takes its place: plan, transcript and
progress stay in the process of ``fedleak run``, and nothing of them travels but the messages to nodes.
This is the only file that knows Flower's HTTP interfaces (Flower 1.41); they are not part of its public API.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from flwr.common.constant import SubStatus
from flwr.common.serde import fab_to_proto, run_from_proto
from flwr.proto.control_pb2 import StartRunRequest, StopRunRequest
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullTaskInputRequest,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.constant import TaskType
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.interceptors import RuntimeTokenHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.retry import RetryInvoker, exponential
from flwr.supercore.run import Run
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity

from fedleak.errors import FederationError, InputError
from fedleak.federation.deployment.bundle import app_bundle
from fedleak.federation.deployment.grid import DeploymentGrid, superlink_errors
from fedleak.scenario.schema import FederationEngine

CLAIM_SECONDS = 15.0
"""Seconds in which the server task of a run that was just started can be claimed."""
CLAIM_POLL_SECONDS = 0.2
RETRY_SECONDS = 60.0
"""Seconds for which a SuperLink that does not answer is tried again."""
ACQUIRE = "/flwr.proto.Runtime/AcquireTask"


@dataclass(frozen=True)
class SuperLink:
    """How a SuperLink is reached.

    Attributes:
        address: its ``host:port``.
        insecure: without TLS.
        certificates: authorities in PEM form, or None for those of the system.
        secret: what it asks of whoever runs a server, or None.
    """

    address: str
    insecure: bool
    certificates: bytes | None
    secret: bytes | None

    @classmethod
    def of(cls, engine: FederationEngine) -> SuperLink:
        """The SuperLink of the settings.

        Raises:
            InputError: if a file that they name cannot be read.
        """
        if engine.address is None:
            raise ValueError("a deployment has an address")
        secret = _content("superexec_secret", engine.superexec_secret)
        return cls(engine.address, engine.insecure, _content("root_certificates", engine.root_certificates), secret)

    def control(self) -> ControlHttpClient:
        """A client of the interface that starts and stops runs."""
        return ControlHttpClient.from_server_address(self.address, self.insecure, self.certificates, ())

    def claims(self) -> RuntimeHttpClient:
        """A client that may claim the server task of a run."""
        signed = (
            SuperExecAuthHttpInterceptor(master_secret=self.secret, protected_methods=[ACQUIRE])
            if self.secret
            else None
        )
        interceptors = (signed,) if signed is not None else ()
        return RuntimeHttpClient.from_server_address(self.address, self.insecure, self.certificates, interceptors)

    def runtime(self, token: str) -> RuntimeHttpClient:
        """A client for the server of a run; a SuperLink that is away for a short time is tried again."""
        retries = RetryInvoker(
            lambda: exponential(max_delay=5), httpx.TransportError, max_tries=None, max_time=RETRY_SECONDS
        )
        return RuntimeHttpClient.from_server_address(
            self.address,
            self.insecure,
            self.certificates,
            (RuntimeTokenHttpInterceptor(token),),
            retry_invoker=retries,
        )


@contextmanager
def run_on_superlink(engine: FederationEngine, stop: threading.Event) -> Iterator[DeploymentGrid]:
    """Start a run on the SuperLink and be its server inside the block; the run ends with the block.

    Args:
        engine: where the SuperLink is, and how long replies may take.
        stop: is set if the run is stopped from outside, as by ``flwr stop``.

    Raises:
        InputError: if the SuperLink refuses this server.
        FederationError: if it cannot be reached, or starts servers itself.
    """
    link = SuperLink.of(engine)
    with link.runtime(_claimed_token(link)) as runtime:
        with superlink_errors(link.address):
            run = _enter(runtime)
        heartbeat = _Heartbeat(runtime, stop)
        heartbeat.sender.start()
        status, details = SubStatus.STOPPED, "fedleak was interrupted"
        try:
            yield DeploymentGrid(runtime, run, address=link.address, message_seconds=engine.timeout)
            status, details = SubStatus.COMPLETED, ""
        except Exception as error:
            status, details = SubStatus.FAILED, str(error)
            if heartbeat.ended:
                raise FederationError(f"the run was stopped on the SuperLink at {link.address}") from error
            raise
        finally:
            heartbeat.sender.stop()
            with suppress(httpx.HTTPError):
                runtime.PushTaskOutput(PushTaskOutputRequest(sub_status=status, details=details[:1000]))


class _Heartbeat:
    """Tells the SuperLink that the server lives.

    Attributes:
        ended: whether the SuperLink has said that the run is over.
    """

    def __init__(self, runtime: RuntimeHttpClient, stop: threading.Event) -> None:
        self._runtime, self._stop = runtime, stop
        self.ended = False
        self.sender = HeartbeatSender(self._beat)

    def _beat(self) -> bool:
        try:
            success = self._runtime.SendTaskHeartbeat(SendTaskHeartbeatRequest()).success
        except httpx.TransportError:
            return False  # tried again; the server's own calls report a SuperLink that stays away
        except httpx.HTTPStatusError:
            success = False
        if not success:
            self.ended = True
            self._stop.set()
        return True


def _enter(runtime: RuntimeHttpClient) -> Run:
    """Begin the claimed task."""
    given = runtime.PullTaskInput(PullTaskInputRequest())
    run = run_from_proto(given.run)
    # The constructor of Message reads the identity of the current task.
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = given.task_id, run.run_id, given.context.node_id
    return run


def _claimed_token(link: SuperLink) -> str:
    """Start a run; claim its server task and return the token.

    Another fedleak on the same SuperLink may claim this run's task; then this one takes its, which is the same.
    """
    bundle = app_bundle()
    with superlink_errors(link.address), link.control() as control, link.claims() as claims:
        started = control.StartRun(StartRunRequest(fab=fab_to_proto(bundle)))
        if not started.HasField("run_id"):
            raise FederationError(f"the SuperLink at {link.address} did not start a run")
        deadline = time.monotonic() + CLAIM_SECONDS
        try:
            while time.monotonic() < deadline:
                claimed = claims.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP]))
                if claimed.token and claimed.task.fab_hash in ("", bundle.hash_str):
                    return str(claimed.token)
                if claimed.token:
                    raise FederationError(
                        f"run {claimed.task.run_id} of another app waits on the SuperLink at {link.address} for a "
                        f"server; end it (flwr stop {claimed.task.run_id}) and repeat the command"
                    )
                time.sleep(CLAIM_POLL_SECONDS)
        except httpx.HTTPStatusError as error:
            control.StopRun(StopRunRequest(run_id=started.run_id))
            if error.response.status_code == httpx.codes.UNAUTHORIZED:
                raise _refused(link) from error
            raise
    raise FederationError(
        f"the SuperLink at {link.address} starts servers itself; start it with --isolation process, so that fedleak "
        "can be the server"
    )


def _refused(link: SuperLink) -> InputError:
    path = "federation.engine.superexec_secret"
    if link.secret is None:
        return InputError(path, None, "the SuperLink asks for the secret of its --superexec-auth-secret-file")
    return InputError(path, "(a secret)", "the SuperLink refuses it; expected the file of --superexec-auth-secret-file")


def _content(name: str, path: str | None) -> bytes | None:
    try:
        return Path(path).expanduser().read_bytes() if path is not None else None
    except OSError as error:
        raise InputError(f"federation.engine.{name}", path, f"it cannot be read ({error.strerror or error})") from error
