"""The pages in a real browser: Chromium without a window, where it is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.conftest import lay_out

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]


@pytest.fixture(scope="module")
def address(two_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server in a process of its own, as a user starts it; it only reads its folder."""
    folder = lay_out(two_runs, tmp_path_factory.mktemp("browser"))
    command = [sys.executable, "-m", "fedleak", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            yield line.split(" ", 1)[0].rstrip("/")
        finally:
            process.terminate()


def at_home(profile: Path) -> dict[str, str]:
    """Variables for the browser: whatever it keeps beside its profile, such as crash reports, goes there as well."""
    return {**os.environ, "HOME": str(profile), "XDG_CONFIG_HOME": str(profile), "XDG_CACHE_HOME": str(profile)}


def seen(url: str, profile: Path, *options: str) -> str:
    """The page as the browser has built it."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", *options]
    found = subprocess.run(
        [*command, "--dump-dom", url], capture_output=True, text=True, timeout=120, check=True, env=at_home(profile)
    )
    return found.stdout


def test_the_list_a_report_and_a_comparison_open(address: str, tmp_path: Path) -> None:
    listed = seen(f"{address}/", tmp_path / "profile")
    assert "attacking with dlg: 0 of 12" in listed
    link = re.search(r'<a href="(/at/hidden-4/report\.html)">', listed)
    assert link is not None
    assert "What the adversary knew" in seen(f"{address}{link[1]}", tmp_path / "profile")
    compared = seen(f"{address}/compare?run=hidden-4&run=hidden-8", tmp_path / "profile")
    assert "Paired differences" in compared


@pytest.mark.parametrize("width", [400, 1280])
def test_no_page_is_wider_than_the_window(address: str, tmp_path: Path, width: int) -> None:
    """Tables that are wider scroll inside the page, which itself is measured by an element of its full width."""
    from PIL import Image

    picture = tmp_path / "page.png"
    seen_at = [f"--window-size={width},900", "--hide-scrollbars", f"--screenshot={picture}"]
    seen(f"{address}/", tmp_path / "profile", *seen_at)
    with Image.open(picture) as image:
        assert image.width == width
        assert len(image.convert("RGB").getcolors(1 << 24) or []) > 20  # something is drawn
