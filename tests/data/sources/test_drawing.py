from __future__ import annotations

import numpy as np
import pytest

from fedleak.data.sources.drawing import ContentName, masks

MIDDLE = (0.5, 0.5, 0.45)


def ink(content: ContentName, *symbols: int, side: int = 64) -> np.ndarray:
    return masks(content, symbols, side=side, at=MIDDLE)[1]


def direction(image: np.ndarray, distance: float) -> float:
    """Where the ink at this distance from the middle lies, in turns clockwise from the top."""
    y, x = (np.mgrid[: len(image), : len(image)] + 0.5) / len(image) - 0.5
    ring = np.abs(np.hypot(x, y) / MIDDLE[2] - distance) < 0.06
    towards = (image[ring] * np.exp(1j * np.arctan2(x, -y)[ring])).sum()
    return float(np.angle(towards) / (2 * np.pi) % 1)


@pytest.mark.parametrize("fifth", range(12))
def test_the_minute_hand_points_at_the_minutes(fifth: int) -> None:
    assert direction(ink("clock", 3, fifth), 0.6) == pytest.approx(fifth / 12, abs=0.02) or fifth == 0
    if fifth == 0:
        assert min(direction(ink("clock", 3, 0), 0.6), 1 - direction(ink("clock", 3, 0), 0.6)) < 0.02


@pytest.mark.parametrize("hour", range(1, 12))
def test_the_hour_hand_points_at_the_hour_and_moves_on(hour: int) -> None:
    """At the hour its difference to twelve o'clock is its own ink; by half past it has gone half an hour further."""
    alone = np.clip(ink("clock", hour, 0) - ink("clock", 0, 0), 0, 1)
    assert direction(alone, 0.4) == pytest.approx(hour / 12, abs=0.02)
    half_past = np.clip(ink("clock", hour, 6) - np.maximum(ink("clock", 0, 6), ink("clock", 6, 6)), 0, 1)
    if hour not in (5, 6):
        assert direction(half_past, 0.4) == pytest.approx((hour + 0.5) / 12, abs=0.03)


@pytest.mark.parametrize("content", ["number", "text"])
def test_each_character_has_a_place_of_its_own(content: ContentName) -> None:
    """Changing one changes nothing beside it."""
    first, second = ink(content, 1, 2, 3), ink(content, 1, 7, 3)
    columns = np.flatnonzero(np.abs(first - second).sum(axis=0))
    left = (0.5 - 0.9 * 0.45) * 64
    slot = 2 * 0.9 * 0.45 * 64 / 3
    assert left + slot - 2 <= columns.min() < columns.max() <= left + 2 * slot + 2


@pytest.mark.parametrize("content", ["clock", "number", "text"])
def test_ink_lies_on_the_plate(content: ContentName) -> None:
    plate, drawn = masks(content, (1, 2, 3)[: 2 if content == "clock" else 3], side=32, at=MIDDLE)
    assert drawn.max() > 0.5
    assert (drawn[plate == 0] < 0.3).all()
    assert 0 <= plate.min() < plate.max() <= 1
