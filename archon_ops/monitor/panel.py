"""The document's panel: every source with age, size and number, and the state of all together."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from archon_ops.model.health import Level
from archon_ops.model.text import clean
from archon_ops.monitor.view import View

# The document's own width; a terminal may be narrower, and a long name wider.
_USUAL = 37
_LEAST = 12
_RULE = 21
# Where values begin.
_ASIDE = 10


@dataclass(frozen=True)
class Glyphs:
    """The signs that a terminal can show.

    Attributes:
        title: before the title.
        remote, local: before the name of a source elsewhere, and of one whose files are here.
        levels: before the word of a level; None is an API that is not available.
        corners: top left, top right, left and right of the rule, bottom left and right.
        across, down: lines.
        thin: the line between two sources.
        cut: end of a text that is too long.
        bar: a chart is made of.
    """

    title: str
    remote: str
    local: str
    levels: dict[Level | None, str]
    corners: str
    across: str
    down: str
    thin: str
    cut: str
    bar: str


DRAWN = Glyphs(
    title="📦 ",
    remote="🔷 ",
    local="🔶 ",
    levels={
        Level.HEALTHY: "🟢",
        Level.AGING: "🟡",
        Level.OUTDATED: "🔴",
        Level.CRITICAL: "🔴",
        Level.MISSING: "⚫",
        None: "⚪",
    },
    corners="┌┐├┤└┘",
    across="─",
    down="│",
    thin="─",
    cut="…",
    bar="█",
)
PLAIN = Glyphs(
    title="",
    remote="* ",
    local="* ",
    levels={
        Level.HEALTHY: "[OK]",
        Level.AGING: "[!]",
        Level.OUTDATED: "[!!]",
        Level.CRITICAL: "[!!]",
        Level.MISSING: "[--]",
        None: "[??]",
    },
    corners="++++++",
    across="-",
    down="|",
    thin="-",
    cut="...",
    bar="#",
)


@dataclass(frozen=True)
class Line:
    """A line of the panel.

    Attributes:
        text: of it, all of the same width.
        level: that it is about; None where it is about none.
        wraps: whether it goes on in a next line where it is too long; others are cut.
    """

    text: str
    level: Level | None = None
    wraps: bool = False


def panel(views: Sequence[View], width: int, glyphs: Glyphs = DRAWN) -> tuple[Line, ...]:
    """The panel of these sources.

    Args:
        views: the sources, in their order.
        width: columns that there are at most.
        glyphs: signs to draw it with.
    """
    body = list(_body(views, glyphs))
    widest = max(cell_len(line.text) for line in body if not line.wraps) + 1
    inner = max(min(max(_USUAL, widest), width - 3), _LEAST)
    top, bottom = (_edge(glyphs, corners, inner) for corners in ((0, 1), (4, 5)))
    parts = (part for line in body for part in _wrapped(line, inner))
    title, *rest = (_boxed(line, inner, glyphs) for line in parts)
    return (top, title, _edge(glyphs, (2, 3), inner), *rest, bottom)


def overall(views: Sequence[View]) -> tuple[Level | None, str]:
    """The state of all together: the worst of them, and words for it."""
    if any(view.level is None for view in views):
        return None, "Some Unavailable"
    worst = max((view.level or Level.CRITICAL for view in views), key=lambda level: level.severity)
    said = "All Healthy" if worst is Level.HEALTHY else f"Some {worst.value.title()}"
    return worst, said


def _body(views: Sequence[View], glyphs: Glyphs) -> Iterator[Line]:
    yield Line(f"{glyphs.title}Backup Status")
    for view in views:
        yield from _source(view, glyphs)
        yield Line(glyphs.thin * _RULE)
    level, words = overall(views)
    yield Line(f"Overall   {glyphs.levels[level]} {words}", _shown(level))


def _source(view: View, glyphs: Glyphs) -> Iterator[Line]:
    sign = glyphs.local if view.snapshot else glyphs.remote
    yield Line(f"{sign}{clean(view.name)}")
    if view.level is None:
        yield Line(f"  Last    {glyphs.levels[None]} API unavailable", Level.CRITICAL)
        yield Line(f"  Cause   {clean(view.message)}", wraps=True)
        return
    ago = "never" if view.age_hours is None else f"{view.age_hours:.1f}h ago"
    yield Line(f"  Last    {ago} {glyphs.levels[view.level]} {view.level}", view.level)
    yield Line(f"  Size    {clean(view.size)}")
    more = f", {view.labelled} labelled" if view.labelled else ""
    yield Line(f"  Backups {view.count}{'' if view.most is None else f'/{view.most}'}{more}")
    if view.trust:
        yield Line(f"  Trust   {clean(view.trust)}")
    for reason in (*view.reasons, *view.notes):
        yield Line(f"  Note    {clean(reason)}", wraps=True)


def _shown(level: Level | None) -> Level:
    return Level.CRITICAL if level is None else level


def _wrapped(line: Line, inner: int) -> Iterator[Line]:
    if not line.wraps:
        yield line
        return
    aside = " " * min(_ASIDE, inner // 3)
    for text in textwrap.wrap(line.text, inner - 1, subsequent_indent=aside):
        yield Line(text, line.level)


def _edge(glyphs: Glyphs, corners: tuple[int, int], inner: int) -> Line:
    left, right = (glyphs.corners[number] for number in corners)
    return Line(f"{left}{glyphs.across * (inner + 1)}{right}")


def _boxed(line: Line, inner: int, glyphs: Glyphs) -> Line:
    text = line.text
    if cell_len(text) > inner:
        text = set_cell_size(text, inner - len(glyphs.cut)) + glyphs.cut
    return Line(f"{glyphs.down} {set_cell_size(text, inner)}{glyphs.down}", line.level)
