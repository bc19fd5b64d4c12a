"""What ``fedleak.run`` returns, as notebooks show it."""

from __future__ import annotations

import io
from pathlib import Path

import PIL.Image
import pytest

import fedleak
from fedleak.errors import InputError
from fedleak.run_results import RunResults
from tests.scenarios import tiny


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> RunResults:
    raw = tiny(attacks=[{"kind": "lti", "hidden": 4, "training": {"epochs": 1}}])
    return fedleak.run(raw, out=tmp_path_factory.mktemp("results") / "run")


def test_the_rows_are_a_frame_with_the_columns_of_the_csv(results: RunResults) -> None:
    frame = results.frame()
    assert len(frame) == len(results.rows)
    assert list(frame.columns[:6]) == ["attack", "kind", "victim", "round", "image", "mse"]
    assert frame["mse"].tolist() == pytest.approx([row.metrics["mse"] for row in results.rows])


def test_pictures_show_originals_above_reconstructions(results: RunResults) -> None:
    sheet = results.images(most=3)
    assert sheet.size == (3 * 100 - 4, 2 * 100 - 4)
    first = results.attacks[0].compared[0]
    with PIL.Image.open(results.root / "pictures" / first.original) as file:
        pixels = file.convert("RGB").resize((96, 96), PIL.Image.Resampling.NEAREST)
    assert sheet.crop((0, 0, 96, 96)).tobytes() == pixels.tobytes()
    shown = results._repr_png_()
    assert shown is not None
    assert PIL.Image.open(io.BytesIO(shown)).height == 196
    with pytest.raises(InputError, match="known: lti"):
        results.images("dlg")


def test_a_figure_has_one_line_per_attack_and_baseline(results: RunResults, tmp_path: Path) -> None:
    figure = results.figure("psnr")
    (axes,) = figure.axes
    assert len(axes.lines) == len(results.attacks)
    values = [summary.metrics["psnr"].mean for summary in results.attacks[0].rounds]
    assert list(axes.lines[0].get_ydata()) == pytest.approx(values)
    figure.savefig(tmp_path / "figure.png")
    with pytest.raises(InputError, match=r"known: .*mse"):
        results.figure("taste")
