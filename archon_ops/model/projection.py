"""Where a series of sizes is heading: drift with a prediction band, and jumps told apart.

Sizes of databases grow in three ways that look alike at first sight: along a line with noise
around it, by steps that nobody scheduled (a crawl), or as a walk whose every change stays. A
straight line's band is far too narrow for the last, a walk's far too wide for the first. So one
model holds all three, in continuous time, because backups are not taken evenly:

    value(t) = start + drift * t + walk(t) + noise + jumps until t

How much of what is not drift is walk and how much noise is not known: every share is tried, and
counts by its likelihood. Jumps are taken out of the differences first, so that one large import
does not pass as daily growth; they come back as rare events of their own, at the rate and of the
sizes that were seen. Nothing is asked of the clock, and chance is seeded: the same history always
gives the same band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archon_ops.errors import PreconditionError

LEAST_POINTS = 4
# Below this many points the band is honest, but says little; it is labelled.
SOME_POINTS = 20
# A history of more points is thinned: it costs the cube of their number and tells no more.
MOST_POINTS = 180
LEVEL = 0.95

Numbers = NDArray[np.float64]

# Shares of the walk that are tried, from none (a line) to all (no noise).
_SHARES = (0.0, 0.003, 0.01, 0.03, 0.08, 0.17, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99, 0.9999)
# A difference this many robust deviations from the usual one is a jump: of a normal law, one in
# 200,000 is.
_FAR = 4.5
_MAD_TO_DEVIATION = 1.4826
# Where more than this share of the differences stands out, that is how the series moves.
_RARE = 0.3
_DRAWS = 4000
# So many jumps of a draw are added up one by one. A history of minutes, asked for years, has
# millions.
_ONE_BY_ONE = 1000
_SEED = 20251217


@dataclass(frozen=True)
class Jump:
    """A change between two points that does not fit the others.

    Attributes:
        index: number of the point after it.
        size: what it added, in the series' unit; negative for a shrink.
    """

    index: int
    size: float


@dataclass(frozen=True)
class Band:
    """What is expected at one time.

    Attributes:
        ahead: days after the last point.
        low, middle, high: bounds of the band, and the value that is as likely passed as not.
    """

    ahead: float
    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Projection:
    """A projected series.

    Attributes:
        points: how many points of history it rests on.
        span: days from the first to the last.
        drift: growth a day between the jumps, in the series' unit.
        walk: share of the walk in what is not drift, 0 to 1.
        jumps: changes that were marked, oldest first.
        bands: one for each time asked for.
    """

    points: int
    span: float
    drift: float
    walk: float
    jumps: tuple[Jump, ...]
    bands: tuple[Band, ...]

    @property
    def little(self) -> bool:
        """Whether there is little history: the band is to be labelled so."""
        return self.points <= SOME_POINTS


@dataclass(frozen=True)
class _Fit:
    """The series under one share of the walk; times in steps, values without jumps."""

    weight: float
    drift: float
    means: Numbers
    deviations: Numbers


def project(
    days: Sequence[float],
    values: Sequence[float],
    ahead: Sequence[float],
    *,
    resolution: float = 0.0,
    level: float = LEVEL,
) -> Projection:
    """Project a series.

    Args:
        days: times of the points, ascending and distinct, in days from anywhere.
        values: the series, never negative.
        ahead: for how many days after the last point, each positive.
        resolution: the smallest change that the series can show (a page of 8192 bytes).
        level: probability that the truth lies within the band.

    Raises:
        PreconditionError: there are fewer than LEAST_POINTS points.
    """
    if len(values) < LEAST_POINTS:
        raise PreconditionError(
            f"{len(values)} points are no history: a projection needs {LEAST_POINTS}",
            "take backups (inv backup), or add points without one: inv size-audit --save",
        )
    times, series = _thinned(np.asarray(days, float)), _thinned(np.asarray(values, float))
    step = float(np.median(np.diff(times)))
    steps = (times - times[0]) / step
    jumps = _jumps(steps, series, resolution)
    later = steps[-1] + np.asarray(ahead, float) / step
    fits = _fits(steps, _without(series, jumps), later, resolution)
    draws = _draws(fits, jumps, later - steps[-1], float(steps[-1]), len(series))
    edges = np.quantile(draws, [(1 - level) / 2, 0.5, (1 + level) / 2], axis=0).clip(min=0.0)
    stride = len(values) - 1 - np.arange(len(series))[::-1] * _stride(len(values))
    return Projection(
        points=len(values),
        span=float(days[-1] - days[0]),
        drift=sum(fit.weight * fit.drift for fit in fits) / step,
        walk=float(sum(f.weight * s for f, s in zip(fits, _SHARES, strict=True))),
        jumps=tuple(Jump(int(stride[jump.index]), jump.size) for jump in jumps),
        bands=tuple(
            Band(float(a), *map(float, edges[:, i])) for i, a in enumerate(np.asarray(ahead, float))
        ),
    )


def _stride(count: int) -> int:
    return -(-count // MOST_POINTS)


def _thinned(values: Numbers) -> Numbers:
    """Every so many-th value, the last one always among them."""
    return values[::-1][:: _stride(len(values))][::-1]


def _jumps(steps: Numbers, series: Numbers, resolution: float) -> tuple[Jump, ...]:
    """Differences that stand out from the usual drift; none where many do."""
    spans, changes = np.diff(steps), np.diff(series)
    usual = float(np.median(changes / spans))
    odd = changes - usual * spans
    scale = _MAD_TO_DEVIATION * float(np.median(np.abs(odd - np.median(odd))))
    far = np.abs(odd) > _FAR * max(scale, resolution, 1e-9 * float(np.abs(series).max()))
    if far.mean() > _RARE:
        return ()
    return tuple(Jump(int(i) + 1, float(odd[i])) for i in np.flatnonzero(far))


def _without(series: Numbers, jumps: Sequence[Jump]) -> Numbers:
    """The series as if no jump had happened since; the newest value stays as it is."""
    calm = series.copy()
    for jump in jumps:
        calm[: jump.index] += jump.size
    return calm


def _fits(steps: Numbers, series: Numbers, later: Numbers, resolution: float) -> list[_Fit]:
    """The series under every share of the walk, weighed by their likelihood."""
    least = max(resolution, 1e-6 * float(np.abs(series).max()), 1e-9)
    found = [_fit(share, steps, series, later, least**2 / 12) for share in _SHARES]
    best = max(likelihood for likelihood, _ in found)
    weights = [float(np.exp(likelihood - best)) for likelihood, _ in found]
    total = sum(weights)
    return [
        _Fit(weight / total, fit.drift, fit.means, fit.deviations)
        for weight, (_, fit) in zip(weights, found, strict=True)
    ]


def _fit(
    share: float, steps: Numbers, series: Numbers, later: Numbers, least_variance: float
) -> tuple[float, _Fit]:
    """Generalised least squares for start and drift, and what that expects later.

    Returns:
        The restricted log likelihood, and the fit.
    """
    clock, then = steps + 1.0, later + 1.0
    covariance = (1 - share) * np.eye(len(series)) + share * np.minimum.outer(clock, clock)
    root = np.linalg.cholesky(covariance)
    design = np.column_stack([np.ones_like(clock), clock])
    white = np.linalg.solve(root, np.column_stack([design, series, share * clock]))
    x, y, k = white[:, :2], white[:, 2], white[:, 3]  # k: with any later value
    information = np.linalg.inv(x.T @ x)
    start, drift = information @ (x.T @ y)
    left = y - x @ np.array([start, drift])
    freedom = len(series) - 2
    variance = max(float(left @ left) / freedom, least_variance)
    target = np.column_stack([np.ones_like(then), then])
    unknown = target - x.T @ k
    spread = (1 - share) + share * then - float(k @ k)
    spread = spread + np.einsum("ij,jk,ik->i", unknown, information, unknown)
    means = target @ np.array([start, drift]) + float(k @ left)
    likelihood = (
        -float(np.log(np.diag(root)).sum())
        + 0.5 * float(np.linalg.slogdet(information)[1])
        - 0.5 * freedom * float(np.log(variance))
    )
    return likelihood, _Fit(0.0, float(drift), means, np.sqrt(variance * spread))


def _draws(
    fits: Sequence[_Fit], jumps: Sequence[Jump], ahead: Numbers, seen: float, points: int
) -> Numbers:
    """Possible values, shape (_DRAWS, len(ahead)): calm growth, and jumps on top."""
    random = np.random.default_rng(_SEED)
    which = random.choice(len(fits), size=_DRAWS, p=[fit.weight for fit in fits])
    means = np.stack([fit.means for fit in fits])[which]
    deviations = np.stack([fit.deviations for fit in fits])[which]
    calm = means + deviations * random.standard_t(points - 2, size=(_DRAWS, 1))
    return calm + _jumped(jumps, ahead, seen, random)


def _jumped(
    jumps: Sequence[Jump], ahead: Numbers, seen: float, random: np.random.Generator
) -> Numbers:
    """What jumps may add: as rare as they were, within what so few tell of their rate."""
    if not jumps:
        return np.zeros((_DRAWS, len(ahead)))
    rates = random.gamma(len(jumps) + 0.5, 1 / seen, size=(_DRAWS, 1))
    counts = random.poisson(rates * ahead)
    single = np.minimum(counts, _ONE_BY_ONE)
    seen_sizes = np.array([jump.size for jump in jumps])
    sizes = random.choice(seen_sizes, size=(_DRAWS, int(single.max())))
    scales = _scales(seen_sizes, random)
    sums = np.concatenate([np.zeros((_DRAWS, 1)), np.cumsum(sizes * scales, axis=1)], axis=1)
    singles: Numbers = np.take_along_axis(sums, single, axis=1)
    return singles + scales * _many(counts - single, seen_sizes, random)


def _many(more: NDArray[np.int64], sizes: Numbers, random: np.random.Generator) -> Numbers:
    """The sum of so many further jumps: behind a thousand it follows a normal law."""
    deviation = float(sizes.std()) * random.standard_normal(size=(_DRAWS, 1))
    added: Numbers = more * float(sizes.mean()) + np.sqrt(more) * deviation
    return added


def _scales(sizes: Numbers, random: np.random.Generator) -> Numbers:
    """How much larger or smaller jumps may be on the whole than the few that were seen."""
    large = np.abs(sizes)
    spread = float(large.std() / large.mean()) / np.sqrt(max(len(sizes) - 1, 1))
    factors: Numbers = np.exp(
        spread * random.standard_t(max(len(sizes) - 1, 1), size=(_DRAWS, 1)).clip(-4, 4)
    )
    return factors
