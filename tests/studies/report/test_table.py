from __future__ import annotations

from fedleak.results.schema import Interval
from fedleak.studies.report.table import ANY, paired_rows, study_table
from fedleak.studies.results import PairedDifference, StudyLine, StudyResults


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


def test_a_baseline_is_one_row_with_the_range_of_its_values() -> None:
    same, other = "baseline_mean_image", "baseline_random_image"
    table = study_table(
        results(
            line(same, 30, 0.7), line(other, 30, 0.8), line("lti", 30, 0.5), line(same, 60, 0.7), line(other, 60, 0.9)
        )
    )
    assert [row.attack for row in table.attacks] == ["lti"]
    assert [(row.attack, row.labels) for row in table.baselines] == [
        ("mean public image", (ANY,)),
        ("random public image", (ANY,)),
    ]
    same_everywhere, differing = (row.numbers[0][1] for row in table.baselines)
    assert (same_everywhere.text, same_everywhere.small) == ("0.700", "[0.600, 0.800]")
    assert (differing.text, differing.small) == ("0.800 to 0.900", "by point")


def test_paired_differences_tell_which_run_leaks_more() -> None:
    def paired(metric: str, low: float, high: float) -> PairedDifference:
        difference = Interval(mean=(low + high) / 2, low=low, high=high)
        return PairedDifference(attack="dlg", metric=metric, images=8, first=0.5, second=0.6, difference=difference)

    both = (paired("mse", 0.05, 0.15), paired("psnr", 0.05, 0.15), paired("mse", -0.1, 0.3))
    rows = paired_rows(results().model_copy(update={"paired": both}))
    assert [row.tone for row in rows] == ["second leaks less", "second leaks more", "no difference shown"]
    assert [row.metric for row in rows] == ["MSE", "PSNR in dB", "MSE"]
    assert (rows[0].difference.text, rows[0].difference.small) == ("0.100", "[0.050, 0.150]")
