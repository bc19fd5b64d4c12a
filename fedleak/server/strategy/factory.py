"""A user's own strategy, given by an import path."""

from __future__ import annotations

from typing import Literal

from fedleak.models.factory import ImportPath
from fedleak.server.strategy.base import ServerStrategy


class OwnStrategy(ServerStrategy):
    """User-defined strategy: ``path`` is ``module:function`` of a function that returns a Flower strategy.

    The function takes no arguments and returns a ``flwr.serverapp.strategy.Strategy``. Its ``aggregate_train`` gets the
    reply of every client: an ``ArrayRecord`` with the client's new weights (the broadcast ones plus its update times
    ``federation.server.learning_rate``) and a ``MetricRecord`` with ``num-examples``; it returns the new weights. Its
    ``configure_train`` is called before, but the plan decides who takes part, so its messages are not sent. As for
    models, the module is imported only if the environment variable ``FEDLEAK_TRUSTED_FACTORIES`` lists the path.
    """

    kind: Literal["factory"] = "factory"
    path: ImportPath
    """``module:function`` of a function that returns a Flower strategy."""
