from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import numpy as np

from archon_ops.model.growth import grow, measured_rates
from archon_ops.model.history import Point, history
from archon_ops.model.shown import Picture
from archon_ops.runbook.charts import bars, growth_chart
from archon_ops.runbook.look import html

NOW = datetime(2026, 1, 31, tzinfo=UTC)
MB = 1 << 20


def chart(count: int) -> Picture:
    random = np.random.default_rng(1)
    points = [
        Point(
            NOW - timedelta(days=count - n),
            "1",
            "postgres",
            round((20 + n + random.normal(0, 0.2)) * MB),
            (),
            {},
        )
        for n in range(count)
    ]
    known = history(points, NOW)
    found = grow(known, measured_rates(known, []), 10)
    return growth_chart(found, found.curves["database"], 30)


def test_a_curve_has_its_band_and_says_what_it_shows() -> None:
    picture = chart(30)
    ElementTree.fromstring(picture.svg)  # noqa: S314 - our own
    assert "FillBetweenPolyCollection" in picture.svg
    assert picture.title == "Database of the next 30 days"
    assert picture.text.startswith("now 49")
    assert " to " in picture.text


def test_little_history_stands_in_the_title() -> None:
    assert "little history" in chart(5).title


def test_the_same_history_gives_the_same_drawing() -> None:
    assert chart(30).svg == chart(30).svg


def test_a_drawing_is_an_image_in_the_page_with_words_for_those_who_do_not_see_it() -> None:
    shown = html(bars("Tables", ("heap", "TOAST"), [("a<b", (1.0, 2.0)), ("c", (3.0 * MB, 0.0))]))
    assert '<img src="data:image/svg+xml;base64,' in shown
    assert 'alt="a&lt;b 3 B; c 3.0 MB"' in shown
