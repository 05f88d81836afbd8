"""Drawings that can be read on paper and without colours.

Units stand on the axes, bands are drawn, lines differ by their dashes and bars by their hatching.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from archon_ops.model.growth import Curve, Growth
from archon_ops.model.outlook import amount
from archon_ops.model.shown import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of Okabe and Ito: told apart by people who see colours differently, and as shades of grey.
_BLUE, _SKY, _ORANGE, _BLACK = "#0072B2", "#9ecae9", "#D55E00", "#111111"
_FILLS = (
    ("#0072B2", ""),
    ("#E69F00", "//"),
    ("#56B4E9", ".."),
    ("#999999", "xx"),
    ("#009E73", "--"),
)
_BYTE_UNITS = (("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10), ("bytes", 1))
_SECOND_UNITS = (("hours", 3600), ("minutes", 60), ("seconds", 1))
_STYLE: Any = {
    "svg.fonttype": "path",  # the same letters on every machine
    "svg.hashsalt": "archon_ops",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "hatch.linewidth": 0.6,
}

Bar = tuple[str, Sequence[float]]


def growth_chart(growth: Growth, curve: Curve, days: float) -> Picture:
    """One quantity: its past, what is expected, and the band.

    Args:
        growth: what it belongs to.
        curve: the quantity.
        days: how far ahead is drawn.
    """
    bands = [b for b in curve.bands if b.ahead < days]
    bands.append(curve.in_days(days))
    factor, unit = _unit(curve.unit, max([bands[-1].middle, *(value for _, value in curve.past)]))
    label = f", {growth.label}" if growth.label else ""
    title = f"{curve.name.capitalize()} of the next {days:.0f} days{label}"
    with _drawing(7.2, 3.4) as (axes, drawn):
        dates: list[Any] = [growth.date(b.ahead) for b in bands]
        low, middle, high = (
            [getattr(b, edge) / factor for b in bands] for edge in ("low", "middle", "high")
        )
        now, start = curve.now / factor, growth.since
        top = _top(curve, bands[-1].middle, high)
        cut = ", goes on above" if max(high) > top else ""
        axes.fill_between(
            [start, *dates],
            [now, *low],
            [now, *high],
            color=_SKY,
            alpha=0.7,
            lw=0,
            label=f"95 % band{cut}",
        )
        axes.plot([start, *dates], [now, *middle], color=_BLUE, ls="--", lw=1.6, label="expected")
        if curve.past:
            times: list[Any] = [at for at, _ in curve.past]
            sizes = [value / factor for _, value in curve.past]
            axes.plot(times, sizes, color=_BLACK, marker="o", ms=3, lw=1, label="measured")
            _mark(axes, growth, curve, factor)
        axes.set_ylabel(unit)
        axes.set_ylim(0, top)
        end: Any = start + timedelta(days=days)
        axes.set_xlim(right=end)
        _dated(axes)
        axes.legend(frameon=False, loc="upper left", fontsize=9)
    last = bands[-1]
    ends = (amount(v, curve.unit) for v in (last.middle, last.low, last.high))
    text = "now {}; then {} ({} to {})".format(amount(curve.now, curve.unit), *ends)
    return Picture(title, drawn[0], text)


def _top(curve: Curve, last: float, high: Sequence[float]) -> float:
    """The upper end of the axis: a band that explodes must not press the rest into a line."""
    factor, _ = _unit(curve.unit, max([last, *(value for _, value in curve.past)]))
    tallest = max([last, curve.now, *(value for _, value in curve.past)]) / factor
    return min(max(high), 6 * tallest) * 1.05 or 1.0


def _mark(axes: Axes, growth: Growth, curve: Curve, factor: float) -> None:
    """Jumps and shrinks of the database, where it is what is drawn."""
    if curve.name != "database" or not growth.marked:
        return
    at = dict(curve.past)
    times: list[Any] = [m.at for m in growth.marked]
    sizes = [at.get(m.at, curve.now) / factor for m in growth.marked]
    axes.plot(times, sizes, color=_ORANGE, marker="^", ms=7, ls="", label="jump or shrink")


def bars(title: str, parts: Sequence[str], rows: Sequence[Bar]) -> Picture:
    """Stacked bars of bytes, the first row on top.

    Args:
        title: what it shows.
        parts: names of the parts of a bar.
        rows: name, and bytes of each part.
    """
    totals = [sum(values) for _, values in rows]
    factor, unit = _unit("bytes", max(totals, default=0.0))
    with _drawing(7.2, 0.9 + 0.34 * max(len(rows), 1)) as (axes, drawn):
        left = [0.0] * len(rows)
        places = list(range(len(rows)))
        for number, part in enumerate(parts):
            colour, hatch = _FILLS[number % len(_FILLS)]
            width = [values[number] / factor for _, values in rows]
            axes.barh(
                places,
                width,
                left=left,
                color=colour,
                hatch=hatch,
                edgecolor="white",
                linewidth=0.5,
                label=part,
            )
            left = [a + b for a, b in zip(left, width, strict=True)]
        axes.set_yticks(places, [name for name, _ in rows])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(unit)
        if len(parts) > 1:
            axes.legend(frameon=False, fontsize=9, loc="lower right")
    pairs = zip(rows, totals, strict=True)
    text = "; ".join(f"{name} {amount(total, 'bytes')}" for (name, _), total in pairs)
    return Picture(title, drawn[0], text)


def _unit(kind: str, largest: float) -> tuple[float, str]:
    units = _SECOND_UNITS if kind == "seconds" else _BYTE_UNITS
    return next(((float(size), name) for name, size in units if largest >= size), (1.0, kind))


def _dated(axes: Axes) -> None:
    from matplotlib import dates

    locator = dates.AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = dates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    axes.set_xlabel("date (UTC)")


@contextmanager
def _drawing(width: float, height: float) -> Iterator[tuple[Axes, list[str]]]:
    """Axes to draw on; the list holds the SVG after the block.

    No pyplot: it would keep every figure, and look for a screen.
    """
    import matplotlib
    from matplotlib.figure import Figure

    drawn: list[str] = []
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure.add_subplot(), drawn
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
        drawn.append(file.getvalue())
