"""Lines of results tables, in one call."""

from __future__ import annotations

from fedleak.results.schema import AttackSummary, Interval


def summary(name: str, mse: Interval | None, *, psnr: float | None = None, failures: int = 0) -> AttackSummary:
    """An attack, or a baseline where its name begins so; without an interval it rebuilt nothing."""
    metrics = {"mse": mse} if mse else {}
    metrics |= {"psnr": Interval(mean=psnr)} if psnr else {}
    return AttackSummary(
        attack=name,
        kind=name,
        is_baseline=name.startswith("baseline"),
        description="",
        images=40 if mse else 0,
        failures=failures,
        metrics=metrics,
    )
