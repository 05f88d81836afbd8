"""The band against histories whose law is known: nobody can do better than who knows it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest
from numpy.typing import NDArray

from archon_ops.errors import PreconditionError
from archon_ops.model import projection
from archon_ops.model.projection import Projection, project

Numbers = NDArray[np.float64]
Law = Callable[[np.random.Generator, int], Numbers]

POINTS, AHEAD, RUNS = 60, 30, 500
NORMAL = 2 * 1.959964
START = 1000.0


def linear(random: np.random.Generator, count: int) -> Numbers:
    return START + 5.0 * np.arange(count) + random.normal(0, 10, count)


def walk(random: np.random.Generator, count: int) -> Numbers:
    return START + np.cumsum(random.normal(5, 10, count))


def steps(random: np.random.Generator, count: int) -> Numbers:
    jumps = (random.random(count) < 0.1) * random.uniform(10, 30, count)
    return START + np.cumsum(jumps) + random.normal(0, 0.5, count)


def steps_width() -> float:
    """Between the quantiles of what those steps add, for who knows their law."""
    random = np.random.default_rng(0)
    many = (20_000, AHEAD)
    jumps = (random.random(many) < 0.1) * random.uniform(10, 30, many)
    added = jumps.sum(axis=1) + random.normal(0, 0.5 * np.sqrt(2), many[0])
    low, high = np.quantile(added, [0.025, 0.975])
    return float(high - low)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "best"),
    [
        (linear, lambda: NORMAL * 10),
        (walk, lambda: NORMAL * 10 * np.sqrt(AHEAD)),
        (steps, steps_width),
    ],
)
def test_the_band_covers_the_truth_and_is_not_wide(law: Law, best: Callable[[], float]) -> None:
    covered, widths = 0, []
    for run in range(RUNS):
        series = law(np.random.default_rng([run, 1]), POINTS + AHEAD)
        (band,) = project(range(POINTS), series[:POINTS], [AHEAD]).bands
        covered += band.low <= series[-1] <= band.high
        widths.append(band.high - band.low)

    assert covered >= 0.90 * RUNS
    assert np.median(widths) <= 2 * best()


def noisy(count: int, **jumps: float) -> list[float]:
    series = START + 2.0 * np.arange(count) + np.random.default_rng(3).normal(0, 1, count)
    for at, size in jumps.items():
        series[int(at[1:]) :] += size
    return [float(value) for value in series]


def projected(series: list[float], ahead: float = 10) -> Projection:
    return project(range(len(series)), series, [ahead])


def test_fewer_than_four_points_are_refused() -> None:
    with pytest.raises(PreconditionError, match="3 points are no history"):
        projected([1.0, 2.0, 3.0])


@pytest.mark.parametrize(("count", "little"), [(4, True), (20, True), (21, False)])
def test_little_history_is_labelled(count: int, little: bool) -> None:
    assert projected(noisy(count)).little is little


def test_a_jump_and_a_shrink_are_marked_and_not_averaged_away() -> None:
    found = projected(noisy(40, _20=500.0, _30=-300.0))

    assert [(j.index, round(j.size, -1)) for j in found.jumps] == [(20, 500.0), (30, -300.0)]
    assert found.drift == pytest.approx(2.0, abs=0.2)


def test_a_line_without_jumps_has_none() -> None:
    assert projected(noisy(60)).jumps == ()


def test_uneven_times_are_no_jumps() -> None:
    days = [0.0, 1, 2, 3, 4, 5, 15, 16, 17, 30, 31, 32, 33, 50, 51, 52]
    random = np.random.default_rng(1)
    values = [START + 2 * d + random.normal(0, 1) for d in days]

    found = project(days, values, [10])

    assert found.jumps == ()
    assert found.bands[0].low < START + 2 * 62 < found.bands[0].high
    assert found.bands[0].high - found.bands[0].low < 30


def test_what_never_changed_stays_within_a_few_pages() -> None:
    found = project(range(30), [8e6] * 30, [30], resolution=8192)

    assert found.drift == pytest.approx(0.0, abs=1.0)
    assert abs(found.bands[0].high - 8e6) < 6 * 8192


def test_a_size_is_never_below_nothing() -> None:
    found = projected([100.0, 70.0, 40.0, 10.0], ahead=100)

    assert found.bands[0].low == found.bands[0].middle == 0.0


def test_the_same_history_always_gives_the_same_band() -> None:
    assert projected(noisy(30)) == projected(noisy(30))


def test_a_history_of_minutes_is_projected_over_years_in_little_memory() -> None:
    days = [minute / 1440 for minute in range(8)]
    values = [20e6 + 8192 * minute + (14e6 if minute > 3 else 0) for minute in range(8)]
    tracemalloc.start()
    found = project(days, values, [0.04, 30, 3650], resolution=8192)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(found.jumps) == 1
    assert peak < 500 << 20
    assert found.bands[0].middle < found.bands[1].middle < found.bands[2].middle


@pytest.mark.slow
def test_many_jumps_add_up_as_each_of_them_would(monkeypatch: pytest.MonkeyPatch) -> None:
    values, ahead = noisy(40, _5=300.0, _20=500.0, _30=-200.0), [20_000.0]
    (quick,) = project(range(40), values, ahead).bands
    monkeypatch.setattr(projection, "_ONE_BY_ONE", 1 << 40)
    (exact,) = project(range(40), values, ahead).bands

    assert quick != exact
    for found, true in zip(astuple(quick), astuple(exact), strict=True):
        assert found == pytest.approx(true, rel=0.02)


def test_a_long_history_is_thinned_and_keeps_its_end_and_its_jumps() -> None:
    found = projected(noisy(1000, _990=5000.0))

    assert found.points == 1000
    assert found.bands[0].middle == pytest.approx(START + 2 * 1009 + 5000, rel=0.02)
    assert 990 <= found.jumps[-1].index < 996
