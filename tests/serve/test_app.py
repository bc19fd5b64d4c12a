from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from fedleak.serve.app import make_app
from tests.serve.conftest import PRIVATE


@pytest.fixture
def client(folder: Path) -> TestClient:
    return TestClient(make_app(folder), base_url="http://127.0.0.1:8765")


def test_the_list_names_everything_and_escapes_it(client: TestClient) -> None:
    page = client.get("/").text
    assert all(name in page for name in ("hidden-4", "hidden-8", "busy", "attacking with dlg: 0 of 12"))
    assert "half &lt;b&gt;done&lt;/b&gt;" in page
    assert '<meta http-equiv="refresh"' in page  # something is running


def test_the_list_can_be_filtered(client: TestClient) -> None:
    page = client.get("/", params={"text": "hidden-4", "state": "finished"}).text
    assert "hidden-8" not in page
    assert "1 of 4 shown" in page
    assert 'value="hidden-4"' in page


def test_a_filter_is_text_and_no_markup(client: TestClient) -> None:
    page = client.get("/", params={"text": '"><script>alert(1)</script>'}).text
    assert "<script>" not in page
    assert "No run or study matches." in page


def test_a_report_is_shown_in_place(client: TestClient, folder: Path) -> None:
    answer = client.get("/at/hidden-4/report.html")
    assert answer.text == (folder / "hidden-4" / "report.html").read_text("utf-8")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_two_runs_are_compared_on_the_same_images(client: TestClient) -> None:
    page = client.get("/compare", params={"run": ["hidden-4", "hidden-8"]}).text
    assert "Paired differences" in page
    assert "hidden-4" in page or "hidden" in page


@pytest.mark.parametrize(
    ("runs", "status"), [(["hidden-4"], 400), (["hidden-4", "hidden-4"], 400), (["hidden-4", "stopped"], 404)]
)
def test_a_comparison_needs_two_finished_runs(client: TestClient, runs: list[str], status: int) -> None:
    assert client.get("/compare", params={"run": runs}).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "link/report.html",
        "../secret/report.html",
        "..%2fsecret%2freport.html",
        "hidden-4/../../secret/report.html",
        "%2e%2e/secret/report.html",
        "hidden-4/scenario.yaml",
        "hidden-4/truth/secret.json",
        "hidden-4/pictures/",
        "hidden-4/%00/report.html",
        "/etc/hostname",
        "//etc/hostname",
    ],
)
def test_nothing_but_reports_below_the_folder_can_be_read(client: TestClient, path: str) -> None:
    answer = client.get(f"/at/{path}")
    assert answer.status_code == 404
    assert PRIVATE not in answer.text


@pytest.mark.parametrize("run", ["../secret", "/etc", "link"])
def test_a_comparison_cannot_leave_the_folder(client: TestClient, run: str) -> None:
    assert client.get("/compare", params={"run": ["hidden-4", run]}).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "0.0.0.0"])  # noqa: S104
def test_a_page_that_lured_the_browser_here_gets_nothing(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "hidden" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:8765", "127.0.0.1:1", "[::1]:8765", "LOCALHOST"])
def test_this_machine_is_answered_by_any_of_its_names(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(client: TestClient, method: str) -> None:
    assert client.request(method, "/").status_code == 405
    assert client.request(method, "/at/hidden-4/report.html").status_code == 405


@pytest.mark.parametrize("path", ["/", "/at/hidden-4/report.html", "/compare?run=hidden-4&run=hidden-8"])
def test_no_page_loads_anything_from_elsewhere(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    loaded = re.findall(r'(?:src|srcset|href|action)="([^"]*)"', answer.text)
    assert not [url for url in loaded if not url.startswith(("#", "/", "data:image/png", "cells/"))]
    assert "<script" not in answer.text


def test_files_are_as_before(client: TestClient, folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    for path in ("/", "/at/hidden-4/report.html", "/compare?run=hidden-4&run=hidden-8"):
        client.get(path)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
