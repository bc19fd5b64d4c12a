"""Formatting of numbers for reports and tables."""

from __future__ import annotations

import math

from fedleak.results.schema import Interval

DASH = "—"
_DECIMALS = {"psnr": 2, "ssim": 3, "lpips": 3, "iip": 3, "leaked": 3, "leaked_ssim": 3}
_ACRONYMS = frozenset({"mse", "psnr", "ssim", "lpips", "iip", "igsa"})
_UNITS = {"psnr": " dB", "registered_psnr": " dB"}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"


def metric_title(name: str) -> str:
    """``mse`` -> ``MSE``; other names with spaces instead of underscores."""
    return name.upper() if name in _ACRONYMS else name.replace("_", " ")


def metric_unit(name: str) -> str:
    """Unit of a metric with a leading space; empty for a number without one."""
    return _UNITS.get(name, "")


def axis_title(name: str) -> str:
    """``PSNR in dB``, ``MSE``: the label of an axis."""
    unit = metric_unit(name)
    return f"{metric_title(name)} in{unit}" if unit else metric_title(name)


def fixed(value: float, decimals: int) -> str:
    """A number with ``decimals`` decimals and a true minus sign."""
    return f"{value:.{decimals}f}".replace("-", _MINUS)


def scientific(value: float) -> str:
    """``1.2 × 10⁻⁷``."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.replace('-', _MINUS)} {TIMES} 10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def significant(value: float, digits: int = 3) -> str:
    """``digits`` significant digits; scientific notation for very small or large values."""
    if not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        return scientific(value)
    return fixed(value, decimals_for(value, digits))


def decimals_for(value: float, digits: int = 3) -> int:
    """Decimals that show ``digits`` significant digits of ``value``."""
    return max(0, digits - 1 - math.floor(math.log10(abs(value))))


def metric_value(name: str, value: float | None) -> str:
    """One value of a metric."""
    if value is None:
        return DASH
    if name in _DECIMALS and math.isfinite(value):
        return fixed(value, _DECIMALS[name])
    return significant(value)


def interval_range(name: str, interval: Interval) -> str:
    """``[low, high]`` with the decimals of the mean; empty if there is no interval."""
    if interval.low is None or interval.high is None:
        return ""
    ends = (interval.low, interval.high)
    plain = 1e-4 <= abs(interval.mean) < 1e6 and all(map(math.isfinite, ends))
    if name in _DECIMALS or not plain:
        low, high = (metric_value(name, end) for end in ends)
    else:
        low, high = (fixed(end, decimals_for(interval.mean)) for end in ends)
    return f"[{low}, {high}]"


def privacy_loss(epsilon: float) -> str:
    """An epsilon of differential privacy."""
    return significant(epsilon) if math.isfinite(epsilon) else "infinite"


def ratio(value: float) -> str:
    """A ratio with one decimal below 10, else none."""
    return fixed(value, 0) if value >= 10 else fixed(value, 1)


def percent(value: float | None) -> str:
    """A share in [0, 1] as a percentage."""
    if value is None:
        return DASH
    return f"{fixed(100 * value, 1)} %" if math.isfinite(value) else "not finite"


def count(value: int | None) -> str:
    """An integer with thousands separators."""
    return DASH if value is None else f"{value:,}"


def magnitude(value: int | None) -> str:
    """A large count in short form: ``1.23 M``."""
    if value is None:
        return DASH
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{significant(value / size)} {unit}"
    return str(value)


def duration(seconds: float | None) -> str:
    """A time in ms, s, min or h."""
    if seconds is None:
        return DASH
    if not math.isfinite(seconds):
        return "not finite"
    if seconds < 1:
        return f"{significant(1000 * seconds, 2)} ms"
    if seconds < 120:
        return f"{significant(seconds, 2 if seconds < 10 else 3)} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def memory(size: int | None) -> str:
    """Bytes in binary units."""
    if size is None:
        return DASH
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << power:
            return f"{significant(size / (1 << power))} {unit}"
    return f"{size} B"


def plural(number: int, noun: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def shorten_name(name: str, limit: int) -> str:
    """At most ``limit`` characters; the end is kept, since names may differ only there."""
    head = (limit - 1) // 2
    return name if len(name) <= limit else f"{name[:head]}…{name[head + 1 - limit :]}"
