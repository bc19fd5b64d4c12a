"""Mean of a round's updates with central client-level DP noise, added by Flower's own strategy."""

from __future__ import annotations

from collections.abc import Iterable

from flwr.app import ArrayRecord, Message, MetricRecord
from flwr.serverapp.strategy import DifferentialPrivacyClientSideFixedClipping, FedAvg

from fedleak import seeds
from fedleak.client.client_level_dp import ClientLevelDp
from fedleak.federation.wire import Reply


class NoisyMean(FedAvg):
    """Flower's mean of clipped updates, plus N(0, (noise_multiplier * max_norm / n)^2) for ``n`` clients.

    Args:
        settings: clipping bound and noise; the clients clip.
        key: root of the noise, which Flower draws from numpy's global stream.
    """

    def __init__(self, settings: ClientLevelDp, *, key: str) -> None:
        super().__init__()
        self._settings, self._key = settings, key

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate with noise scaled to the number of clients that replied."""
        messages = list(replies)
        counts = [Reply.of(message).clients for message in messages]
        settings = self._settings
        private = DifferentialPrivacyClientSideFixedClipping(
            FedAvg(), settings.noise_multiplier, settings.max_norm, sum(counts)
        )
        with seeds.global_seeds(seeds.key(self._key, "client-level-dp", server_round)):
            return private.aggregate_train(server_round, messages)
