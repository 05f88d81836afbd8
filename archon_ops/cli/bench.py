"""Speed, size and memory as ratios, measured in one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archon_ops.cli.command import Run, command
from archon_ops.errors import UsageError

if TYPE_CHECKING:
    from archon_ops.bench.ratio import Benchmark

WHAT = ("backup", "restore", "offsite", "pitr")
_MONITOR_SECONDS = 10.0


@command(
    help={
        "what": "backup (against pg_dump; the default), restore (pg_restore), offsite, pitr",
        "offsite": "the same as --what offsite: a push against rclone, and with age",
        "size": "size of the sample database (400MB)",
        "runs": "measured runs of each way, at least 5 for figures to quote",
        "scale": "measure three sizes up to --size, and project to 100 GB, 1 TB and 1,000 sources",
        "monitor": "measure the monitoring API over a thousand backups instead",
    }
)
def bench(
    run: Run,
    what: str = "backup",
    size: str = "400MB",
    runs: int = 5,
    monitor: bool = False,
    offsite: bool = False,
    scale: bool = False,
) -> None:
    """Measure `inv backup` against plain pg_dump, or `inv restore` against plain pg_restore.

    Both ways in turn on one server: without --source on a sample of our own; with it on that
    source, whose database is only read: restores then go into another one of its server.
    """
    from archon_ops.bench import backup, restore
    from archon_ops.bench.offsite import benchmark as pushes
    from archon_ops.bench.pitr import benchmark as measured_pitr
    from archon_ops.bench.stage import on_source, stage
    from archon_ops.cli.restores import SCOPES
    from archon_ops.cli.shared import site_of
    from archon_ops.model.units import parse_size
    from archon_ops.settings import load

    if runs < 1:
        raise UsageError(f"--runs {runs} measures nothing")
    if monitor:
        _monitor(run)
        return
    if scale:
        _scale(run, parse_size(size))
        return
    if what not in WHAT:
        raise UsageError(f"--what {what!r} is not known", f"one of: {', '.join(WHAT)}")
    if offsite or what == "offsite":
        if run.options.source:
            raise UsageError("--what offsite has no source: it pushes random bytes")
        run.console.banner("Benchmark of Offsite", "a server of the S3 protocol on this machine")
        result = pushes(load().state, parse_size(size), runs, run.console)
        _print(run, "-", result)
        return
    if what == "pitr":
        site = site_of(run)
        run.console.banner("Benchmark of Point-in-Time Recovery", f"a copy of {site.display_name}")
        _print(run, site.name, measured_pitr(site, parse_size(size), runs, run.console))
        return
    if run.options.source:
        live = site_of(run)
        place = on_source(live)
        run.console.banner(f"Benchmark of {what.capitalize()}s", live.display_name)
    else:
        place = stage(load().state, parse_size(size), run.console)
        run.console.banner(f"Benchmark of {what.capitalize()}s", "a sample on the embedded server")
    with place as measuring:
        if what == "backup":
            result = backup.benchmark(*measuring, runs, run.console)
        else:
            result = restore.benchmark(
                *measuring, runs, run.console, scopes=SCOPES, in_place=not run.options.source
            )
        site = measuring[0]
    _print(run, site.name, result)


def _print(run: Run, source: str, result: Benchmark) -> None:
    """Every comparison, with its limit."""
    from dataclasses import asdict

    from archon_ops.model.units import human_size

    if run.options.json:
        run.console.json({"source": source, **asdict(result)})
        return
    run.console.table(
        f"{human_size(result.database_bytes)}, {result.codec}, medians of {result.runs} runs",
        ("what", "ours", "theirs", "ratio", "limit", "within"),
        [
            (
                r.what,
                r.ours,
                r.theirs,
                "-" if r.ratio is None else f"{r.ratio:.2f}",
                r.limit,
                "yes" if r.within else "NO",
            )
            for r in result.ratios
        ],
    )
    for name, (least, most) in result.spread.items():
        run.console.info(f"{name}: {least:.2f} to {most:.2f} s")


def _scale(run: Run, largest: int) -> None:
    """What was measured, and what follows for larger installations."""
    from dataclasses import asdict

    from archon_ops.bench.scale import trials
    from archon_ops.model.scale import GB, SIZES, SOURCES, machines, parts
    from archon_ops.model.units import human_duration, human_size
    from archon_ops.settings import load

    run.console.banner("Benchmark of Scale", "samples on the embedded server")
    measured = trials(load().state, largest, run.console)
    found = parts(measured)
    busy = machines(found, GB)
    if run.options.json:
        document = [{**asdict(part), "gives_way_bytes": part.gives_way} for part in found]
        run.console.json(
            {"trials": [asdict(t) for t in measured], "parts": document, "cores_busy": busy}
        )
        return

    def told(value: float, unit: str) -> str:
        return human_duration(value) if unit == "s" else human_size(round(value))

    columns = ("part", *(human_size(t.database_bytes) for t in measured), "100 GB", "1 TB")
    values = (
        [t.backup_seconds for t in measured],
        [t.restore_seconds for t in measured],
        [t.proof_seconds for t in measured],
        [float(t.wal_bytes) for t in measured],
    )
    run.console.table(
        "Measured here, and projected",
        (*columns, "gives way at", "because of", "then"),
        [
            (
                part.what,
                *(told(value, part.unit) for value in row),
                *(told(part.line.at(size), part.unit) for size in SIZES),
                "-" if part.gives_way is None else human_size(round(part.gives_way)),
                f"{part.why} ({told(part.limit, part.unit)})",
                part.next,
            )
            for part, row in zip(found, values, strict=True)
        ],
    )
    run.console.info(
        f"{SOURCES} sources of 1 GB, dumped and proven daily: {busy:.2f} cores all day"
    )


def _monitor(run: Run) -> None:
    """The API: median, requests a second on one core, memory."""
    from dataclasses import asdict

    from archon_ops.bench.monitor import benchmark
    from archon_ops.settings import load

    found = benchmark(load().state, _MONITOR_SECONDS)
    if run.options.json:
        run.console.json({**asdict(found), "within": all(r.within for r in found.ratios)})
        return
    run.console.info(f"{found.per_second:.0f} requests a second by the clock, clients beside it")
    run.console.table(
        f"{found.backups} backups, first answer after {found.first_seconds:.2f} s",
        ("what", "measured", "limit", "within"),
        [(r.what, r.ours, r.limit, "yes" if r.within else "NO") for r in found.ratios],
    )
