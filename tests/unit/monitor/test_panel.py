from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from archon_ops.model.health import Level
from archon_ops.monitor.panel import DRAWN, PLAIN, Glyphs, overall, panel
from archon_ops.monitor.view import View, unavailable

HOSTILE = View(
    "x",
    "Naïve 数据库 \x1b[2J\n\u202e name that is very long indeed, longer than any line",
    Level.CRITICAL,
    "Backup is damaged (1.0h old)",
    ("checksum\x1b]0;x\x07 differs\nin two lines", ""),
    1.0,
    "457.4 KB",
    5,
    10,
    "failed",
)
FINE = View("y", "Y", Level.HEALTHY, "Backup is fresh (2.3h old)", (), 2.3, "1.2 GB", 8, 10)
GONE = unavailable("z", "Z", "did\nnot answer\x1b")


@pytest.mark.parametrize("glyphs", [DRAWN, PLAIN])
@pytest.mark.parametrize("width", [1, 15, 16, 20, 39, 40, 80, 500])
def test_every_line_is_as_wide_as_the_box_and_none_acts(glyphs: Glyphs, width: int) -> None:
    lines = panel((HOSTILE, FINE, GONE), width, glyphs)
    widths = {cell_len(line.text) for line in lines}
    assert len(widths) == 1
    assert widths.pop() <= max(width, 15)
    assert all(line.text.isprintable() for line in lines)
    said = " ".join(" ".join(line.text.strip(" │|") for line in lines).split())
    if width >= 80:
        assert "did\\nnot answer" in said
        assert "[2J" in said


def test_backups_with_a_label_are_counted_apart() -> None:
    text = "\n".join(line.text for line in panel((replace(FINE, labelled=2),), 60, PLAIN))
    assert "Backups 8/10, 2 labelled" in text


def test_the_worst_decides_for_all() -> None:
    assert overall((FINE,)) == (Level.HEALTHY, "All Healthy")
    assert overall((FINE, HOSTILE)) == (Level.CRITICAL, "Some Critical")
    assert overall((FINE, HOSTILE, GONE)) == (None, "Some Unavailable")
