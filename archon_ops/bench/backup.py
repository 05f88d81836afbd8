"""The whole of `inv backup` against plain `pg_dump -Fc`, in turn, on one server."""

from __future__ import annotations

import sys
from pathlib import Path

from archon_ops.bench.measure import Figures, measured, median
from archon_ops.bench.ratio import Benchmark, Ratio
from archon_ops.model.report import Report
from archon_ops.postgres.server import Server
from archon_ops.site import Site

_ENTRY = "from archon_ops.cli.program import main; main()"
_MEGABYTE = 1 << 20
# Where pg_dump has only gzip, and where it has zstd: share of its wall time, share of its size.
_LIMITS = {"gzip": (0.40, 1.20), "zstd": (0.30, 1.00)}
_MEMORY_LIMIT = 200 * _MEGABYTE
_START_LIMIT = 0.35


def benchmark(
    site: Site, server: Server, database_bytes: int, folder: Path, runs: int, report: Report
) -> Benchmark:
    """Measure both ways in turn, after one unmeasured run of each.

    Args:
        site: whose database; its backups of this benchmark go to `folder`.
        server: the same, running, so that no start is measured.
        database_bytes: its size.
        folder: an existing folder for both outputs.
        runs: how many measured runs of each.
        report: who listens.
    """
    plain: list[Figures] = []
    ours: list[Figures] = []
    theirs_bytes = ours_bytes = 0
    for number in range(runs + 1):
        report.info(f"run {number} of {runs}" if number else "warming up")
        reference = folder / "reference.dump"
        a = _plain(site, server, reference)
        b = _whole(site, folder)
        theirs_bytes = reference.stat().st_size
        ours_bytes = max(p.stat().st_size for p in (folder / "backups").glob("*.dump"))
        if number:
            plain.append(a)
            ours.append(b)
        for dump in (folder / "backups").glob("archon_postgres-*"):
            dump.unlink()
    codec = server.programs.best_codec
    ratios = (
        *_compared(codec.partition(":")[0], plain, ours, theirs_bytes, ours_bytes),
        *_starts(site, runs),
    )
    return Benchmark(database_bytes, codec, runs, ratios, _spread(plain, ours))


def command_line(*args: str) -> tuple[str, ...]:
    """The whole command, interpreter included, as a user starts it."""
    return (sys.executable, "-c", _ENTRY, *args)


def _plain(site: Site, server: Server, output: Path) -> Figures:
    argv = server.programs.command_line("pg_dump", "-Fc", database=site.database)
    return measured(argv, cwd=output.parent, env=server.foreground_environment(), output=output)


def _whole(site: Site, folder: Path) -> Figures:
    args = ("backup", "--source", site.name, "--quiet", "--backup-dir", str(folder / "backups"))
    return measured(command_line(*args), cwd=site.settings.root)


def _compared(
    family: str, plain: list[Figures], ours: list[Figures], theirs_bytes: int, ours_bytes: int
) -> tuple[Ratio, ...]:
    time_limit, size_limit = _LIMITS.get(family, _LIMITS["gzip"])
    a, b = (median([f.wall_seconds for f in runs]) for runs in (ours, plain))
    paired = median([o.wall_seconds / p.wall_seconds for o, p in zip(ours, plain, strict=True)])
    memory = max(f.peak_bytes for f in ours)
    return (
        Ratio(
            "wall time, inv backup / pg_dump -Fc",
            f"{a:.2f} s",
            f"{b:.2f} s",
            paired,
            f"{time_limit:.2f}",
            paired <= time_limit,
        ),
        Ratio(
            "size of the dump",
            _mb(ours_bytes),
            _mb(theirs_bytes),
            ours_bytes / theirs_bytes,
            f"{size_limit:.2f}",
            ours_bytes <= theirs_bytes * size_limit,
        ),
        Ratio(
            "peak memory of inv backup",
            _mb(memory),
            "-",
            None,
            _mb(_MEMORY_LIMIT),
            memory < _MEMORY_LIMIT,
        ),
    )


def _starts(site: Site, runs: int) -> tuple[Ratio, ...]:
    """How long `--list` and `--help` take, against a bare interpreter."""
    bare = [measured((sys.executable, "-c", "pass"), cwd=site.settings.root) for _ in range(runs)]
    theirs = median([f.wall_seconds for f in bare])
    found = []
    for args in (("--list",), ("backup", "--help")):
        times = [
            measured(command_line(*args), cwd=site.settings.root).wall_seconds for _ in range(runs)
        ]
        ours = median(times)
        found.append(
            Ratio(
                f"start, {' '.join(args)} / bare python",
                f"{ours:.2f} s",
                f"{theirs:.2f} s",
                ours / theirs,
                f"{_START_LIMIT} s",
                ours < _START_LIMIT,
            )
        )
    return tuple(found)


def _spread(plain: list[Figures], ours: list[Figures]) -> dict[str, tuple[float, float]]:
    return {
        name: (min(f.wall_seconds for f in runs), max(f.wall_seconds for f in runs))
        for name, runs in (("inv backup", ours), ("pg_dump -Fc", plain))
    }


def _mb(size: int) -> str:
    return f"{size / _MEGABYTE:.1f} MB"
