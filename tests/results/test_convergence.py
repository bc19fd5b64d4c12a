from __future__ import annotations

import math

import pytest

from fedleak.results.convergence import (
    finite_values,
    is_falling,
    is_search_falling,
    is_unfinished,
    late_fall,
    matching_course,
    matching_loss,
)

FLAT = [1.0, 0.5, *[0.25] * 38]
"""Forty iterations that end on a plateau."""
FALLING = [0.9**i for i in range(40)]
"""Forty iterations that lose a tenth each."""


def cooled(length: int = 40) -> list[float]:
    """A search that falls steadily until its learning rate is cut after 3/8 of it, and stands still from then on."""
    return [0.9 ** min(i, 3 * length // 8) for i in range(length)]


def test_the_fall_of_the_last_tenth_by_hand() -> None:
    assert late_fall([1.0] * 9 + [0.8]) == pytest.approx(0.2)
    assert late_fall(FALLING) == pytest.approx(1 - 0.9**4)
    assert late_fall(FLAT) == 0.0


def test_a_loss_that_rises_again_has_not_fallen() -> None:
    """The lowest iterate is kept."""
    assert late_fall([1.0, 0.1, *[0.5] * 18]) == 0.0


def test_what_cannot_be_judged_counts_as_falling() -> None:
    assert late_fall([]) == 1.0
    assert late_fall([0.5]) == 1.0
    assert late_fall([0.5, math.nan]) == 1.0


def test_padding_and_overflows_are_left_out() -> None:
    assert finite_values([1.0, math.inf, 0.5, math.nan]) == [1.0, 0.5]


def test_an_update_that_is_matched_is_done_however_fast_the_loss_falls() -> None:
    assert late_fall([10.0**-i for i in range(12)]) == 0.0
    assert late_fall([1.0, 0.0, 0.0]) == 0.0
    assert late_fall([2e-6, 1e-6, -1e-7, -2e-7]) == 0.0, "rounding of a cosine"


@pytest.mark.parametrize(("last", "full", "short"), [(1.0, False, False), (0.97, False, True), (0.94, True, True)])
def test_a_short_search_is_judged_by_less(last: float, full: bool, short: bool) -> None:
    curve = [2.0, *[1.0] * 18, last]
    assert (is_falling(curve, short=False), is_falling(curve, short=True)) == (full, short)


def test_a_rate_that_was_cut_early_does_not_hide_that_a_short_search_was_falling() -> None:
    assert not is_falling(cooled(), short=True)
    assert is_search_falling(cooled(), short=True)
    assert not is_search_falling(cooled(), short=False)
    assert not is_search_falling(FLAT, short=True)


def test_a_search_that_never_left_its_start_has_not_ended() -> None:
    assert is_unfinished([1.0] * 40, short=False)
    assert is_unfinished([1.0, *[0.995] * 39], short=False)
    assert not is_unfinished([1.0, *[0.9] * 39], short=False)


def test_the_summary_by_hand() -> None:
    found = matching_loss([FLAT, FALLING, [], [math.nan]], short=False)
    assert found is not None
    assert (found.start, found.iterations, found.updates, found.unfinished) == (1.0, 40, 2, 1)
    assert found.final == pytest.approx((0.25 + 0.9**39) / 2)
    assert found.late_fall == pytest.approx((1 - 0.9**4) / 2)


def test_an_attack_without_a_search_has_no_summary() -> None:
    told = matching_loss([FLAT, FALLING, [math.nan]], [[3.0], [], [7.0]], short=False)
    assert told is not None
    assert told.final == (3.0 + min(FALLING)) / 2, "of the result where it is known"
    assert matching_loss([], short=False) is None
    assert matching_loss([[], [math.inf]], short=False) is None


def test_a_start_from_other_images_may_match_already() -> None:
    still = [[0.1] * 40]
    summaries = [matching_loss(still, short=False, started=started) for started in (False, True)]
    assert [each.unfinished for each in summaries if each] == [1, 0]


def test_the_course_has_median_and_quartiles_over_the_updates_by_hand() -> None:
    """Of 8, 4, 2 the quartiles are 3 and 6; the second search ended after one iteration."""
    course = matching_course([[8.0, 1.0], [4.0], [2.0, 3.0], [float("nan")], []])
    assert [(p.iteration, p.low, p.median, p.high) for p in course] == [(1, 3.0, 4.0, 6.0), (2, 2.0, 3.0, 3.5)]


def test_a_long_course_is_thinned_to_its_ends_and_between() -> None:
    course = matching_course([[1 / n for n in range(1, 4001)]])
    assert (len(course), course[0].iteration, course[-1].iteration) == (60, 1, 4000)
    assert course[-1].median == 1 / 4000


def test_without_a_search_there_is_no_course() -> None:
    assert matching_course([[], [float("inf")]]) == ()
