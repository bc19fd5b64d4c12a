"""The page of one attack, from its docstring, its annotations, its settings and the ledger of measured results."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache

from fedleak.attacks.base import Attack
from fedleak.component import Component
from fedleak.results.format import metric_title, metric_value
from fedleak.scenario.described import needs_of, settings_of
from fedleak.scenario.shipped import shipped_folder
from fedleak.studies.ledger import FOLDER, KeptRun, LedgerLine, load_ledger
from fedleak.studies.report.markdown import table, text

ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")
FAILS = re.compile(r"^Fails ", re.M)
METRICS = ("mse", "psnr", "ssim", "lpips")
SOURCE_TREE = "../../../../"
"""From a page of an attack to the top of the source tree."""


def attack_page(kind: type[Component]) -> str:
    """The Markdown of an attack's page."""
    name, (what, fails) = kind.kind_name(), described(kind)
    lines = [f"# {name}", "", _linked(what), ""]
    lines += ["## What it must know", "", *_needs(kind)]
    if fails:
        lines += ["## When it fails", "", _linked(fails), "", *_tasks(kind)]
    lines += ["## Measured here", "", *_numbers(name)]
    lines += ["## Settings", "", *_settings(kind)]
    lines += ["## Try it", "", "```console", f"$ fedleak list attack {name}", "```", ""]
    lines += [f"All attacks, and settings that several share: [attacks]({SOURCE_TREE}fedleak/attacks/README.md)."]
    return "\n".join(lines) + "\n"


def described(kind: type[Component]) -> tuple[str, str]:
    """What an attack is, and when it fails: its docstring up to the paragraph that begins with *Fails*, and that."""
    documented = inspect.getdoc(kind) or ""
    found = FAILS.search(documented)
    return (documented, "") if found is None else (documented[: found.start()].rstrip(), documented[found.start() :])


def _needs(kind: type[Component]) -> list[str]:
    rows = [[f"`{need.name}`", need.level, need.when, text(need.meaning)] for need in needs_of(kind)]
    note = f"[What the adversary knows]({SOURCE_TREE}README.md#what-the-adversary-knows) explains levels and grants."
    return [*table(("capability", "granted by", "needed", "what it carries"), rows), note, ""]


def _tasks(kind: type[Component]) -> list[str]:
    if not (issubclass(kind, Attack) and kind.tasks):
        return []
    return [f"It supports only these tasks: {', '.join(sorted(kind.tasks))}.", ""]


def _settings(kind: type[Component]) -> list[str]:
    rows = [
        [f"`{one.path}`", f"`{one.default}`" if one.default else "", text(one.allowed), text(one.meaning)]
        for one in settings_of(kind)
    ]
    return table(("setting", "default", "allowed", "meaning"), rows)


def _numbers(name: str) -> list[str]:
    """One row for each study and budget whose newest run in the ledger has the attack."""
    rows = [_row(kept, lines) for kept, lines in _newest(name)]
    if not rows:
        return ["No run of it is in the ledger yet.", ""]
    headings = ("study", "budget", "date", "settings", "images", *map(metric_title, METRICS))
    link = f"[scenarios]({SOURCE_TREE}scenarios/README.md)"
    note = f"Means over images; of several settings the least and the largest. Intervals and settings: {link}."
    return [*table(headings, rows), note, ""]


def _row(kept: KeptRun, lines: list[LedgerLine]) -> list[str]:
    entry, folder = kept.entry, kept.path.parents[2].name
    images = [line.images for line in lines if line.images is not None]
    values = [[line.metrics[metric].mean for line in lines if metric in line.metrics] for metric in METRICS]
    study = f"[{entry.study}]({SOURCE_TREE}scenarios/{folder}/RESULTS.md#{entry.study})"
    cells = [_between(metric, found) for metric, found in zip(METRICS, values, strict=True)]
    counted = " to ".join(dict.fromkeys(str(end) for end in (min(images), max(images)))) if images else ""
    return [study, entry.budget or "", entry.date, str(len(lines)), counted, *cells]


def _between(metric: str, values: list[float]) -> str:
    ends = dict.fromkeys(metric_value(metric, end) for end in (min(values), max(values))) if values else []
    return " to ".join(ends)


def _newest(name: str) -> Iterator[tuple[KeptRun, list[LedgerLine]]]:
    latest: dict[tuple[str, str | None], tuple[KeptRun, list[LedgerLine]]] = {}
    for kept in _ledgers():
        lines = [line for line in kept.entry.lines if line.attack == name and line.metrics.keys() & set(METRICS)]
        if lines and kept.withdrawal is None:
            latest[kept.entry.study, kept.entry.budget] = (kept, lines)
    yield from latest.values()


@cache
def _ledgers() -> tuple[KeptRun, ...]:
    """All entries, by paper, study and date."""
    folders = sorted(path.parent for path in shipped_folder().glob(f"*/{FOLDER}"))
    return tuple(kept for folder in folders for kept in load_ledger(folder))


def _linked(words: str) -> str:
    """Double backquotes of docstrings as code, and arXiv numbers as links."""
    return ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", words.replace("``", "`"))
