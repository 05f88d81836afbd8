"""Hold what was restored against the manifest of its backup, and remember what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from archon_ops.actions.reading import at_work, found, neighbours, questions_for
from archon_ops.actions.restoring.target import Target
from archon_ops.errors import UntrustworthyError
from archon_ops.model.backup import Backup, Verification
from archon_ops.model.proof import Comparison, Found, Proof, TableProof, prove
from archon_ops.model.retrieval import FoundRetrieval
from archon_ops.postgres.answers import Place
from archon_ops.postgres.archon.inventory import archons_part, read_archons
from archon_ops.postgres.archon.objects import SCHEMA, everything
from archon_ops.postgres.archon.staging import Ready
from archon_ops.postgres.databases import locale_of
from archon_ops.postgres.facts import version_num
from archon_ops.postgres.fingerprint import fingerprint, sequences
from archon_ops.postgres.inventory import read_extensions
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.site import Site
from archon_ops.storage.reference import Located
from archon_ops.storage.verifications import append_verification


def prove_whole(site: Site, server: Server, located: Located, side: str, target: Target) -> Proof:
    """Compare a whole database that was built beside."""
    manifest = located.backup.manifest
    there = found(
        server,
        side,
        site.settings.deadlines,
        lambda table, number, count: site.report.progress(f"{table} {number}/{count}", 0, None),
        attributes_of=side if target.wanted is not None else None,
        questions=questions_for(site, manifest) if manifest else None,
    )
    if manifest is None:
        return unproven(there)
    return prove(manifest, there, target.wanted)


def unproven(there: Found) -> Proof:
    """What can be said of a backup without a manifest."""
    tables = tuple(TableProof(t.name, None, t.rows, equal=False) for t in there.tables)
    note = "content: the backup has no manifest to hold it against"
    return Proof(False, tables, Comparison(False, ()), Comparison(True, ()), (note,))


def refuse_unequal(backup: Backup, proof: Proof) -> None:
    """Nothing comes into service that is not what was backed up.

    Raises:
        UntrustworthyError: it differs; says in what.
    """
    if proof.equal or backup.manifest is None:
        return
    lines = proof.problems
    more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
    raise UntrustworthyError(
        f"what was restored is not what was backed up: {'; '.join(lines[:3])}{more}; "
        "nothing was switched",
        f"inv verify {backup.name} --restore repeats the comparison in a sandbox; "
        "inv backups lists the others",
    )


def remember(site: Site, located: Located, proof: Proof, seconds: float) -> None:
    """Write down beside the backup that a restore of it was proven equal."""
    manifest = located.backup.manifest
    if not (manifest and located.inside and proof.equal):
        return
    look = Verification(
        at=site.clock(),
        method="restore",
        passed=True,
        problems=(),
        sha256=manifest.sha256,
        seconds=seconds,
        not_proven=proof.not_proven,
    )
    append_verification(located.path, look, site.run_id)


class ArchonProof:
    """The proof of Archon's objects alone: their rows while staged, their definitions in place.

    Args:
        site: whose backup.
        server: where.
        located: what is restored.
        database: the live one.
        ready: what was built.

    Attributes:
        proof: what was proven so far.
    """

    def __init__(
        self, site: Site, server: Server, located: Located, database: str, ready: Ready
    ) -> None:
        self._site, self._server, self._located = site, server, located
        self._database, self._ready = database, ready
        self._labels = ready.labels | ready.staying.keys()
        manifest = located.backup.manifest
        self._manifest = archons_part(manifest, self._labels) if manifest else None
        self._questions = questions_for(site, manifest) if manifest else None
        self.proof = Proof(False, (), Comparison(False, ()), Comparison(True, ()))

    def prove_content(self) -> None:
        """Compare every row of what is staged.

        Raises:
            UntrustworthyError: it is not what was backed up.
        """
        deadlines, schema = self._site.settings.deadlines, self._ready.schema
        limit = deadlines.proof
        with self._server.connect(self._database) as connection:
            names = tuple(
                (schema, _plain(t.name)) for t in everything(connection, schema).relations
            )
            scope = Scope(only=names)
            tables = fingerprint(connection, scope, timeout=limit, progress=self._progress)
            positions = sequences(connection, scope, timeout=limit)
            self._found = Found(
                version_num(connection) // 10000,
                tuple(replace(t, schema=SCHEMA) for t in tables if t.schema == schema),
                tuple(replace(s, schema=SCHEMA) for s in positions),
                self._manifest.inventory if self._manifest else {},
                {e.name: e.version for e in read_extensions(connection)},
                None,
                self._ctype(connection),
                self._neighbours(connection, scope),
            )
        self._compare()

    def prove_in_place(self, connection: Connection) -> Mapping[str, str]:
        """Compare every definition, inside of the transaction that brought them into service.

        Raises:
            UntrustworthyError: they are not what was backed up; the transaction ends with it.
        """
        limit = self._site.settings.deadlines.stall
        inventory = read_archons(connection, self._labels, timeout=limit)
        self._found = replace(self._found, inventory=inventory)
        self._compare()
        return inventory

    def prove_at_work(self) -> None:
        """Call the search functions, and try the credentials, now that they are in service.

        Both look names up when they run, so there was nothing to call before.
        """
        retrieval = self._found.retrieval
        if retrieval is None or self._questions is None or self._manifest is None:
            return
        deadlines = self._site.settings.deadlines
        with self._server.connect(self._database) as connection:
            answered = at_work(connection, retrieval, self._questions, deadlines)
        self.proof = prove(self._manifest, replace(self._found, retrieval=answered), None)
        if not self.proof.equal:
            self._site.report.warn(
                f"in service, but {'; '.join(self.proof.problems[:3])}; inv undo takes it back"
            )

    def _neighbours(self, connection: Connection, scope: Scope) -> FoundRetrieval | None:
        if self._questions is None:
            return None
        place = Place(scope, self._ready.schema, SCHEMA)
        deadlines = self._site.settings.deadlines
        return neighbours(self._server, connection, self._questions, deadlines, place)

    def _compare(self) -> None:
        if self._manifest is None:
            self.proof = unproven(self._found)
            return
        self.proof = prove(self._manifest, self._found, None)
        refuse_unequal(self._located.backup, self.proof)

    def _progress(self, table: str, number: int, count: int) -> None:
        self._site.report.progress(f"{table} {number}/{count}", 0, None)

    def _ctype(self, connection: Connection) -> str:
        locale = locale_of(connection, self._database)
        return locale.ctype if locale else ""


def _plain(name: str) -> str:
    """A name without the quotes that SQL needs."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
