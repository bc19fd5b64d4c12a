from __future__ import annotations

import math

import pytest

from fedleak.results import format as fmt
from fedleak.results.schema import Interval


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (fmt.metric_value("mse", 0.012345), "0.0123"),
        (fmt.metric_value("psnr", 19.256), "19.26"),
        (fmt.metric_value("ssim", -0.02), "\N{MINUS SIGN}0.020"),
        (fmt.metric_value("lpips", None), "—"),
        (fmt.metric_value("mse", math.nan), "not finite"),
        (fmt.significant(0.0000123), "1.2 \N{MULTIPLICATION SIGN} 10⁻⁵"),
        (fmt.interval_range("mse", Interval(mean=0.0123, low=0.0111, high=0.0134)), "[0.0111, 0.0134]"),
        (fmt.interval_range("mse", Interval(mean=0.0123)), ""),
        (fmt.duration(0.0042), "4.2 ms"),
        (fmt.duration(41.7), "41.7 s"),
        (fmt.duration(754), "12 min 34 s"),
        (fmt.duration(11_520), "3 h 12 min"),
        (fmt.memory(310 << 20), "310 MiB"),
        (fmt.magnitude(1_230_000), "1.23 M"),
        (fmt.percent(0.975), "97.5 %"),
        (fmt.shorten_name("abcdefghij", 5), "ab…ij"),
    ],
)
def test_numbers_read_well(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(("name", "title"), [("mse", "MSE"), ("iip", "IIP"), ("leaked_ssim", "leaked ssim")])
def test_titles_of_metrics(name: str, title: str) -> None:
    assert fmt.metric_title(name) == title


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1e-4, "0.000100"),
        (9.9e-5, "9.9 \N{MULTIPLICATION SIGN} 10⁻⁵"),
        (999_999.0, "999999"),
        (2e6, "2.0 \N{MULTIPLICATION SIGN} 10⁶"),
        (-0.5, "\N{MINUS SIGN}0.500"),
        (math.inf, "not finite"),
    ],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert fmt.significant(value) == text


@pytest.mark.parametrize(("value", "decimals"), [(123.4, 0), (12.3, 1), (1.0, 2), (0.012, 4)])
def test_decimals_that_show_three_digits(value: float, decimals: int) -> None:
    assert fmt.decimals_for(value) == decimals


@pytest.mark.parametrize(("value", "text"), [(9.96, "10.0"), (10.4, "10"), (1.25, "1.2")])
def test_ratios(value: float, text: str) -> None:
    assert fmt.ratio(value) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (fmt.count(None), "—"),
        (fmt.count(12_345), "12,345"),
        (fmt.plural(1, "image"), "1 image"),
        (fmt.plural(1_200, "image"), "1,200 images"),
        (fmt.magnitude(999), "999"),
        (fmt.magnitude(2_500), "2.50 k"),
        (fmt.magnitude(3 * 10**9), "3.00 G"),
        (fmt.memory(1023), "1023 B"),
        (fmt.memory(1536), "1.50 KiB"),
        (fmt.memory(None), "—"),
        (fmt.duration(None), "—"),
        (fmt.duration(math.nan), "not finite"),
        (fmt.duration(119.6), "120 s"),
        (fmt.duration(120), "2 min 0 s"),
        (fmt.percent(None), "—"),
        (fmt.percent(math.inf), "not finite"),
        (fmt.interval_range("psnr", Interval(mean=20.0, low=19.951, high=20.049)), "[19.95, 20.05]"),
        (fmt.shorten_name("abcde", 5), "abcde"),
    ],
)
def test_edges(text: str, expected: str) -> None:
    assert text == expected
