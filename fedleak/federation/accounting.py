"""Privacy accounting of a federation with Opacus' RDP accountant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedleak.errors import InputError
from fedleak.federation.without_replacement import epsilon_without_replacement
from fedleak.transcript.manifest import PrivacyRecord

if TYPE_CHECKING:
    from fedleak.client.client_level_dp import ClientLevelDp
    from fedleak.client.dp_sgd import DpSgd
    from fedleak.scenario.schema import Federation


def check_accountant(federation: Federation) -> None:
    """Check that the accountant is installed if the federation needs it, before anything runs.

    Raises:
        InputError: if one of its settings needs Opacus, which is not installed.
    """
    private = {
        "federation.client.dp_sgd": federation.client.dp_sgd,
        "federation.client_level_dp": federation.client_level_dp,
    }
    for path, settings in private.items():
        if settings is None:
            continue
        try:
            import opacus  # noqa: F401
        except ImportError as error:
            raise InputError(
                path, settings.model_dump(), f"privacy accounting needs Opacus: pip install 'fedleak[dp]' ({error})"
            ) from error


def epsilon(*, noise_multiplier: float, sample_rate: float, steps: int, delta: float) -> float:
    """Epsilon at ``delta`` after ``steps`` of the sampled Gaussian mechanism (Mironov et al. 2019, arXiv 1908.10530).

    Args:
        noise_multiplier: standard deviation of the noise in units of the clipping bound; 0 gives infinity.
        sample_rate: probability with which every example (or client) takes part in a step, in (0, 1].
        steps: number of steps; 0 gives 0.
        delta: probability of failure.
    """
    if steps == 0:
        return 0.0
    if noise_multiplier == 0:
        return math.inf
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(noise_multiplier, sample_rate, steps)]
    return float(accountant.get_epsilon(delta=delta))


def account(
    settings: DpSgd,
    *,
    held: Sequence[int],
    batch_size: int,
    rounds: Sequence[Sequence[int]],
    local_epochs: int | None = None,
    samples: int | None = None,
) -> PrivacyRecord:
    """Example-level privacy of the client with the largest epsilon.

    Fixed-size batches are drawn without replacement: the images of a round out of the client's (fedsgd: one batch), and
    in every local epoch each of them goes into one mini-batch; epsilon holds for replacing one image. Poisson-sampled
    mini-batches are accounted for as such by Opacus; epsilon holds for adding or removing one image. The number of a
    client's images is public in both cases.

    Args:
        settings: clipping bound, noise and sampling.
        held: number of examples of each client.
        batch_size: examples in a gradient or local mini-batch.
        rounds: the clients that take part in each round.
        local_epochs: None: a client shares one gradient (fedsgd).
        samples: fedavg: examples that a client uses in a round (default: all).
    """
    taken = [sum(client in clients for clients in rounds) for client in range(len(held))]
    poisson = settings.sampling == "poisson"
    spent = []
    for count, times in set(zip(held, taken, strict=True)):
        if poisson:
            steps = times * (local_epochs or 1) * -(-count // batch_size)
            rate = min(1.0, batch_size / count)
            spent.append(
                epsilon(noise_multiplier=settings.noise_multiplier, sample_rate=rate, steps=steps, delta=settings.delta)
            )
            continue
        used = batch_size if local_epochs is None else samples or count
        spent.append(
            epsilon_without_replacement(
                noise_multiplier=settings.noise_multiplier,
                rate=min(1.0, used / count),
                uses=local_epochs or 1,
                samples=times,
                delta=settings.delta,
            )
        )
    return PrivacyRecord(
        adjacency="add_or_remove" if poisson else "replace",
        epsilon=max(spent),
        delta=settings.delta,
        noise_multiplier=settings.noise_multiplier,
        max_norm=settings.max_norm,
    )


def account_clients(settings: ClientLevelDp, *, clients: int, rounds: Sequence[Sequence[int]]) -> PrivacyRecord:
    """Client-level privacy of the client with the largest epsilon.

    Central noise hides whether a client takes part: neighbouring sums differ by one update of norm ``max_norm``. If
    only some clients take part in a round, they are a secret sample of fixed size, drawn without replacement: epsilon
    then holds for replacing one client. Local noise hides which update a client sent from an observer who sees that it
    sent one: two updates may be ``2 max_norm`` apart, and sampling gives no amplification.

    Args:
        settings: clipping bound and noise.
        clients: number of clients of the federation.
        rounds: the clients that take part in each round.
    """
    central = settings.noise == "central"
    taken = max(sum(client in chosen for chosen in rounds) for client in range(clients))
    most = max(len(chosen) for chosen in rounds)
    if central and most < clients:
        spent = epsilon_without_replacement(
            noise_multiplier=settings.noise_multiplier,
            rate=most / clients,
            uses=1,
            samples=len(rounds),
            delta=settings.delta,
        )
    else:
        spent = epsilon(
            noise_multiplier=settings.noise_multiplier / (1 if central else 2),
            sample_rate=1.0,
            steps=len(rounds) if central else taken,
            delta=settings.delta,
        )
    return PrivacyRecord(
        unit="client",
        noise="server" if central else "client",
        adjacency="add_or_remove" if central and most == clients else "replace",
        epsilon=spent,
        delta=settings.delta,
        noise_multiplier=settings.noise_multiplier,
        max_norm=settings.max_norm,
    )
