from __future__ import annotations

from fedleak.results.schema import Interval
from fedleak.studies.report.table import ANY, study_table
from fedleak.studies.results import StudyLine, StudyResults


def line(attack: str, pairs: int, mean: float, **published: float) -> StudyLine:
    return StudyLine(
        point={"adversary.injection.pairs": pairs},
        attack=attack,
        is_baseline=attack.startswith("baseline_"),
        images=8,
        seeds=1,
        failures=0,
        metrics={"mse": Interval(mean=mean, low=mean - 0.1, high=mean + 0.1), "psnr": Interval(mean=10.0)},
        published=published,
    )


def results(*lines: StudyLine) -> StudyResults:
    return StudyResults(
        name="s",
        description="",
        budget=None,
        axes=("adversary.injection.pairs",),
        seeds=(0,),
        federations=2,
        higher_is_better=("psnr",),
        metrics=("mse", "psnr"),
        figure=None,
        source="",
        setting="",
        published=(),
        verdicts=(),
        lines=lines,
        cells=(),
        notes=(),
        study="",
    )


def test_only_metrics_with_published_numbers_have_a_column_for_them() -> None:
    table = study_table(results(line("lti", 30, 0.5, mse=0.4), line("lti", 60, 0.3)))
    assert [(column.title, column.published) for column in table.columns] == [("MSE ↓", True), ("PSNR ↑", False)]
    assert table.axes == ("pairs",)
    assert table.width == 1 + 2 + 3
    (published, measured), _ = table.attacks[0].numbers
    assert (published.text, measured.text, measured.small) == ("0.400", "0.500", "[0.400, 0.600]")
    assert table.attacks[1].numbers[0][0].text == "—"
    assert not study_table(results(line("lti", 30, 0.5))).has_published


def test_a_baseline_that_is_the_same_everywhere_is_one_row() -> None:
    same, other = "baseline_mean_image", "baseline_random_image"
    table = study_table(
        results(
            line(same, 30, 0.7), line(other, 30, 0.8), line("lti", 30, 0.5), line(same, 60, 0.7), line(other, 60, 0.9)
        )
    )
    assert [row.attack for row in table.attacks] == ["lti"]
    assert [row.labels for row in table.baselines] == [(ANY,), ("30",), ("60",)]
