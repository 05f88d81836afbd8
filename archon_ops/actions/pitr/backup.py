"""Back the whole cluster up with pgBackRest, and prove what a point right after it holds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from archon_ops.actions.pitr import watch
from archon_ops.actions.pitr.examine import asked, check_stanza, facts
from archon_ops.actions.pitr.point import archived, made_point, point_name
from archon_ops.actions.pitr.proof import written_down
from archon_ops.actions.pitr.reach import Reached, configured, reached
from archon_ops.actions.recording import Recording, recorded
from archon_ops.errors import ExitCode, OpsError, PreconditionError, UsageError
from archon_ops.model.backup import Manifest
from archon_ops.model.pitr.failures import not_there
from archon_ops.model.pitr.labels import Label
from archon_ops.model.pitr.state import State
from archon_ops.model.pitr.stock import Stock
from archon_ops.model.units import human_duration, human_size
from archon_ops.postgres.facts import archon_tables
from archon_ops.site import Site
from archon_ops.storage import pitr as kept

ACTION = "pitr-backup"
KINDS = ("full", "diff", "incr")
_ANNOTATE_SECONDS = 120.0
_UNREADABLE = (
    r"SELECT to_json(datname) FROM pg_catalog.pg_database WHERE datname ~ E'[\\n\\r]' LIMIT 1"
)
_CANCEL = """SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
             WHERE application_name LIKE 'pgBackRest [backup]%'"""


@dataclass(frozen=True)
class Taken:
    """A backup that was taken.

    Attributes:
        label: as pgBackRest has it.
        proof: what the point after it holds; None where that could not be proven.
        problem: why not.
        seconds: duration of pgBackRest's part.
        state: what the repositories hold now.
    """

    label: Label
    proof: Manifest | None
    problem: str
    seconds: float
    state: State

    @property
    def exit_code(self) -> ExitCode:
        """INCONCLUSIVE where its content could not be proven."""
        return ExitCode.DONE if self.proof else ExitCode.INCONCLUSIVE

    def document(self, now: datetime) -> dict[str, Any]:
        """The JSON form: the entry of the list, and what became of the proof."""
        entries = self.state.document(now)["backups"]
        entry = next(one for one in entries if one["label"] == self.label.name)
        point = self.proof.label if self.proof else None
        return {**entry, "point": point, "problem": self.problem}


def number_of(site: Site, text: str) -> int | None:
    """The number of a repository; None for an empty text.

    Raises:
        UsageError: there is none of that number.
    """
    known = configured(site).repositories
    if text and text not in map(str, known):
        numbers = ", ".join(map(str, known))
        raise UsageError(f"there is no repository {text}", f"one of: {numbers}; or all")
    return int(text) if text else None


def everywhere(site: Site, kind: str) -> tuple[Taken, ...]:
    """Take one for each repository, whatever becomes of the others.

    Raises:
        OpsError: not everywhere; names the first where it failed, once all were tried.
    """
    taken: list[Taken] = []
    failed: dict[int, OpsError] = {}
    for number in configured(site).repositories:
        try:
            taken.append(backup(site.for_next_run(), kind, number))
        except OpsError as error:
            failed[number] = error
            site.report.warn(f"repository {number}: {error.message}")
    if failed:
        raise min(failed.items())[1]
    return tuple(taken)


def backup(site: Site, kind: str, repository: int | None = None) -> Taken:
    """Take one.

    Args:
        site: the source.
        kind: full, diff or incr.
        repository: number of the one that it goes to; None: the first.

    Raises:
        OpsError: pgBackRest could not do it; then no label is left, or an unfinished one that the
            next backup clears away or takes up.
    """
    if kind not in KINDS:
        raise UsageError(f"--type {kind!r} is not known", f"one of: {', '.join(KINDS)}")
    with recorded(site, ACTION) as run, reached(run.site) as at:
        stock = _checked(run.site, at)
        version = at.backrest.version()
        began = time.monotonic()
        label = _taken(run, at, stock, kind, repository)
        seconds = time.monotonic() - began
        run.details |= {"label": label.name, "kind": label.kind, "stored": label.stored_bytes}
        proof, problem = _proof(run, at, label, version)
        _forget_expired(run.site, at.backrest.info())
        taken = Taken(label, proof, problem, seconds, watch.look(run.site, at))
        run.exit_code = taken.exit_code
        return taken


def _checked(site: Site, at: Reached) -> Stock:
    site.report.phase("pitr.prerequisites", "Prerequisites Check")
    stock, now = at.backrest.info(), facts(at)
    if not stock.exists:
        raise not_there(stock)
    check_stanza(stock, now, at.backrest.host.name)
    if strange := asked(at).ask(_UNREADABLE):
        raise PreconditionError(
            f"the name of database {strange} holds a line end: pgBackRest makes a backup then, and "
            "cannot read it again",
            "ALTER DATABASE … RENAME TO …",
        )
    site.report.ok(f"PostgreSQL {now.version} {at.backrest.host.there}, stanza {stock.stanza}")
    return stock


def _taken(run: Recording, at: Reached, before: Stock, kind: str, repository: int | None) -> Label:
    site = run.site
    site.report.phase("pitr.backup", f"Backing Up the Cluster: {kind}")
    where = () if repository is None else (f"--repo={repository}",)
    marked = f"--annotation=archon_ops-run={site.run_id}"
    try:
        at.backrest.run(
            "backup",
            f"--type={kind}",
            marked,
            *where,
            timeout=site.settings.deadlines.restore,
        )
    except KeyboardInterrupt:
        # It runs on inside when we end; without its session it stops by itself.
        asked(at).ask(_CANCEL)
        raise
    known = {label.name for label in before.labels}
    mine = [
        label
        for label in at.backrest.info().labels
        if label.name not in known and label.annotations.get("archon_ops-run") == site.run_id
    ]
    if not mine:
        raise OpsError("pgBackRest says that it is done, and its list has no new backup")
    if mine[0].kind != kind:
        site.report.warn(f"there was nothing to build on: it became a {mine[0].kind} backup")
    label = mine[0]
    site.report.ok(
        f"{label.name}: {human_size(label.database_bytes)} in {human_duration(label.seconds)}, "
        f"{human_size(label.stored_bytes)} in the repository"
    )
    return label


def _proof(run: Recording, at: Reached, label: Label, version: str) -> tuple[Manifest | None, str]:
    """What the point after the backup holds; a backup without it is a backup all the same."""
    site = run.site
    site.report.phase("pitr.proof", "Proving Its Content")
    try:
        return _prove(run, at, label, version), ""
    except OpsError as error:
        site.report.warn(f"{label.name} is there, and its content is not proven: {error.message}")
        return None, error.message


def _prove(run: Recording, at: Reached, label: Label, version: str) -> Manifest:
    site = run.site
    name = point_name(label.name)
    with at.server.connect(site.database) as connection:
        tables = archon_tables(connection)
    if not tables:
        raise OpsError(f"database {site.database} has no table archon_*")
    began = time.monotonic()
    with made_point(at, site.database, name, tables) as (point, reader):
        held = human_duration(time.monotonic() - began)
        site.report.ok(f"point {name} at {point.lsn}; writers waited {held} at most")
        proof = written_down(site, at, label, version, point, reader)
    site.report.step("pitr.archive", "The point's WAL on its way into the repositories")
    archived(at, site.database, point, lambda: None)
    kept.write_proof(site.directory, proof, site.run_id, site.keys.sign)
    at.backrest.run(
        "annotate",
        f"--set={label.name}",
        f"--repo={label.repository}",
        f"--annotation=archon_ops-point={name}",
        f"--annotation=archon_ops-manifest={proof.sha256}",
        timeout=_ANNOTATE_SECONDS,
    )
    site.report.ok(f"{proof.rows} rows in {len(proof.tables)} tables fingerprinted at that point")
    run.details |= {"point": name, "lsn": point.lsn}
    return proof


def _forget_expired(site: Site, stock: Stock) -> None:
    """Remove the proofs of backups that pgBackRest's retention removed."""
    there = {label.name for label in stock.labels}
    gone = [name for name in kept.proven_labels(site.directory) if name not in there]
    if stock.problems:  # a repository that cannot be read has lost nothing yet
        return
    kept.forget_proofs(site.directory, gone)
    for name in gone:
        site.report.info(f"{name} was removed by pgBackRest's retention, and its proof with it")
