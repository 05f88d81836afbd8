"""When a curve of growth reaches a limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from archon_ops.model.growth import FORESEEN_DAYS, Curve


@dataclass(frozen=True)
class Due:
    """When a limit is passed; None: not within the time that is looked ahead.

    Attributes:
        passed: whether it is passed already.
        earliest, expected, latest: bounds of the band, and the date as likely early as late.
    """

    passed: bool
    earliest: datetime | None = None
    expected: datetime | None = None
    latest: datetime | None = None

    @property
    def text(self) -> str:
        """For people."""
        if self.passed:
            return "now"
        if self.earliest is None:
            return f"not within {FORESEEN_DAYS // 365} years"
        early = f"{self.earliest:%Y-%m-%d}"
        if self.expected is None:
            return f"hardly before {early}, perhaps never"
        late = f"{self.latest:%Y-%m-%d}" if self.latest else "never"
        return f"{self.expected:%Y-%m-%d} ({early} to {late})"


def due(curve: Curve, limit: float, date: Callable[[float], datetime]) -> Due:
    """When a curve passes a limit.

    Args:
        curve: the curve.
        limit: in its unit.
        date: what time lies so many days ahead.
    """
    if curve.now > limit:
        return Due(True)
    dates = []
    for edge in ("high", "middle", "low"):
        ahead = _crossing(curve, edge, limit)
        dates.append(None if ahead is None else date(ahead))
    return Due(False, *dates)


def _crossing(curve: Curve, edge: str, limit: float) -> float | None:
    """Days until an edge of the band is above a limit for the first time."""
    before, value = 0.0, curve.now
    for band in curve.bands:
        then = float(getattr(band, edge))
        if then > limit:
            part = (limit - value) / (then - value) if then > value else 0.0
            return before + min(max(part, 0.0), 1.0) * (band.ahead - before)
        before, value = band.ahead, then
    return None
