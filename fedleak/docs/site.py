"""Hooks of MkDocs: the site's files are those of the source tree under their own paths, so that links work in both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fedleak.docs.library import PACKAGE, DocumentationPage, attack_pages, room_pages, written_pages

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

TREE = PACKAGE.parent
TUTORIALS = (
    "audit-your-own-model",
    "audit-a-flower-app",
    "read-a-report",
    "write-an-attack",
    "run-a-study-on-a-cluster",
    "gpu",
)
"""Their order in the site's contents; a test looks for each page in it."""
ALSO = ("README.md", "CHANGELOG.md", "LICENSE", "docker-compose.yml", ".github/*", "scenarios/**/*")
"""What pages link to besides each other."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the table of contents."""
    written = written_pages()
    config.nav = [
        {"fedleak": "README.md"},
        {"Tutorials": [written[name].place for name in TUTORIALS]},
        {"Attacks": ["fedleak/attacks/README.md", *_places(attack_pages())]},
        {"Rooms": _places(room_pages())},
        {"Scenarios and results": ["scenarios/README.md", *sorted(_relative("scenarios/*/RESULTS.md"))]},
        {"Glossary": written["glossary"].place},
        {"API": written["reference"].place},
        {"Changes": "CHANGELOG.md"},
        {"Contributing": [".github/CONTRIBUTING.md", ".github/SECURITY.md"]},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the pages of the folder by all pages under their paths in the source tree."""
    from mkdocs.structure.files import File, InclusionLevel

    for file in list(files.documentation_pages()):
        files.remove(file)
    for page in (*written_pages().values(), *attack_pages().values(), *room_pages().values()):
        files.append(File.generated(config, page.place, content=page.text(), inclusion=InclusionLevel.INCLUDED))
    for place in {place for pattern in ALSO for place in _relative(pattern)}:
        path = str(TREE / place)
        files.append(File.generated(config, place, abs_src_path=path, inclusion=InclusionLevel.INCLUDED))
    return files


def _places(pages: dict[str, DocumentationPage]) -> list[str]:
    return [page.place for page in pages.values()]


def _relative(pattern: str) -> Iterator[str]:
    for path in sorted(TREE.glob(pattern)):
        if path.is_file() and "__pycache__" not in path.parts:
            yield Path(path).relative_to(TREE).as_posix()
