"""What server optimisers have in common."""

from __future__ import annotations

from fedleak.server.strategy.fedadam import FedAdam


def test_arguments_are_the_settings() -> None:
    assert FedAdam(eta=0.3).arguments() == {"eta": 0.3, "beta_1": 0.9, "beta_2": 0.99, "tau": 1e-3}
