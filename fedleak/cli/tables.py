"""The results table of a run for the terminal."""

from __future__ import annotations

from rich.box import HEAVY_HEAD, SIMPLE_HEAD
from rich.table import Table

from fedleak.results.format import duration
from fedleak.results.schema import CORE_METRICS, AttackSummary, Interval, Results
from fedleak.studies.records import privacy_spent
from fedleak.studies.report.table import privacy_text

NARROW = 110
"""Terminal columns below which absent columns are left out, and names of attacks are broken."""
WIDE = 150
"""Terminal columns from which on intervals fit next to the means."""


def results_table(results: Results, *, width: int) -> Table:
    """One line per attack, then per baseline: means over victims' images, with 95 % intervals where they fit.

    A narrow terminal has no columns for metrics and training that no attack has. Metrics other than the four core ones
    are in the report and the result files.
    """
    title, narrow = f"{results.name}: reconstruction of victims' images", width < NARROW
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD if narrow else HEAVY_HEAD, padding=(0, not narrow))
    names = [name for name in CORE_METRICS if not narrow or any(name in each.metrics for each in results.attacks)]
    trained = not narrow or any(each.training_seconds is not None for each in results.attacks)
    table.add_column("attack", no_wrap=not narrow, overflow="fold")
    for heading in ("images", *map(str.upper, names), "labels", *(["training"] if trained else []), "per update"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.caption, table.caption_justify = _caption(results), "left"
    previous_baseline = False
    for summary in results.attacks:
        if summary.is_baseline and not previous_baseline:
            table.add_section()
        previous_baseline = summary.is_baseline
        cells = _cells(summary, names, intervals=width >= WIDE, trained=trained)
        table.add_row(*cells, style="dim" if summary.is_baseline else None)
    return table


def _caption(results: Results) -> str | None:
    """Bytes of an update and privacy, as far as they are known."""
    texts = [] if results.encoded_bytes is None else [f"{results.encoded_bytes:,.0f} bytes per update"]
    if (privacy := privacy_spent(results)) is not None:
        texts.append(privacy_text(privacy))
    return "; ".join(texts) or None


def _cells(summary: AttackSummary, names: list[str], *, intervals: bool, trained: bool) -> list[str]:
    failed = f" ({summary.failures} failed)" if summary.failures else ""
    failed = f" (+{summary.unscored} not scored){failed}" if summary.unscored else failed
    training = "" if summary.training_seconds is None else duration(summary.training_seconds)
    seconds = summary.seconds_per_reconstruction
    return [
        summary.attack,
        f"{summary.images}{failed}",
        *(_interval(name, summary.metrics.get(name), bounds=intervals) for name in names),
        _labels(summary),
        *([training + (" (cached)" if summary.training_cached else "")] if trained else []),
        "" if seconds is None else duration(seconds),
    ]


def _labels(summary: AttackSummary) -> str:
    """Label accuracy by image and, if it is known and differs, by class."""
    if summary.label_accuracy is None:
        return ""
    by_image, by_class = f"{summary.label_accuracy:.0%}", summary.label_accuracy_class
    return by_image if by_class is None or f"{by_class:.0%}" == by_image else f"{by_image} ({by_class:.0%} by class)"


def _interval(name: str, interval: Interval | None, *, bounds: bool) -> str:
    if interval is None:
        return "-"
    digits = 2 if name == "psnr" else 4
    text = f"{interval.mean:.{digits}f}"
    if not bounds or interval.low is None or interval.high is None:
        return text
    return f"{text} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
