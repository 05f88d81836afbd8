"""What a benchmark answers: comparisons, and whether each is within its limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """One comparison.

    Attributes:
        what: what was compared.
        ours, theirs: medians, with their unit.
        ratio: ours over theirs; None where only a bound applies.
        limit: what it should not pass.
        within: whether it does not.
    """

    what: str
    ours: str
    theirs: str
    ratio: float | None
    limit: str
    within: bool


@dataclass(frozen=True)
class Benchmark:
    """All of a benchmark.

    Attributes:
        database_bytes: size of the database.
        codec: compression of our dumps.
        runs: number of runs of each.
        ratios: the comparisons.
        spread: smallest and largest wall time of each way, in seconds.
    """

    database_bytes: int
    codec: str
    runs: int
    ratios: tuple[Ratio, ...]
    spread: dict[str, tuple[float, float]]
