"""The needed part of a backup in a sandbox: all definitions, and the rows of a few tables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from archon_ops.actions.examining import check_bytes, reading_tools
from archon_ops.actions.files import file_of
from archon_ops.errors import PreconditionError, UntrustworthyError
from archon_ops.model.backup import Manifest
from archon_ops.model.units import human_size
from archon_ops.postgres import fingerprint
from archon_ops.postgres.relations import Name, Relation, qualified, relations
from archon_ops.postgres.restore import restore_entries
from archon_ops.postgres.sandbox import create_like, require_extensions
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.postgres.toc import Contents, read_contents
from archon_ops.site import Site
from archon_ops.storage.reference import Located
from archon_ops.storage.space import free_bytes

_DATABASE = "archon_part"
# An empty cluster, its log, and the definitions.
_BASE_BYTES = 100 << 20
# Owners and rights do not matter there, so no role of the source's has to exist.
_PLAIN = ("--no-owner", "--no-privileges", "--no-comments", "--no-security-labels")


@dataclass(frozen=True)
class Part:
    """A database in a sandbox, made of a backup.

    Attributes:
        site: whose backup it is.
        server: the sandbox.
        database: its name.
        located: the backup.
        manifest: its manifest.
        contents: its table of contents.
        staged: path by which the sandbox's programs read the dump.
    """

    site: Site
    server: Server
    database: str
    located: Located
    manifest: Manifest
    contents: Contents
    staged: str

    def relations(self) -> dict[Name, Relation]:
        """Tables of the backup; their keys are known once they are loaded."""
        with self.server.connect(self.database) as connection:
            return relations(connection)

    def holds(self, name: Name) -> bool:
        """Whether the backup has rows of this table, or could have had."""
        return any(line.startswith(_entry("TABLE DATA", name)) for line in self.contents.lines)

    def load(self, names: Iterable[Name]) -> None:
        """Load the rows of tables, and give these their primary keys.

        Raises:
            UntrustworthyError: what was loaded is not what was backed up.
            PreconditionError: there is no room for it.
        """
        wanted = sorted(set(names))
        sizes = {(s.schema, s.table): s.total_bytes for s in self.manifest.sizes}
        # Everything is also written to the log.
        _check_scratch(self.site, 2 * sum(sizes.get(name, 0) for name in wanted))
        self.site.report.step("rescue.load", f"Loading {', '.join(map(qualified, wanted))}")
        self.restore("data", self.entries("TABLE DATA", wanted))
        self.restore("post-data", self.entries("CONSTRAINT", wanted))
        self._prove(wanted)

    def entries(self, kind: str, names: Iterable[Name]) -> tuple[int, ...]:
        """Numbers of the entries of one kind that belong to tables."""
        starts = tuple(_entry(kind, name) for name in names)
        return self.contents.chosen(lambda text: text.startswith(starts))

    def restore(self, section: str, entries: Iterable[int]) -> None:
        """Restore chosen entries of one section."""
        try:
            restore_entries(
                self.server,
                self.database,
                self.staged,
                section,
                entries,
                file_of=file_of(self.site),
                timeout=self.site.settings.deadlines.restore,
                progress=lambda what, _: self.site.report.progress(what, 0, None),
                arguments=_PLAIN,
            )
        except UntrustworthyError as error:
            name = self.located.backup.name
            raise UntrustworthyError(
                f"{name} cannot be restored: {error.message}", error.hint
            ) from error

    def _prove(self, names: list[Name]) -> None:
        """Hold the loaded rows against the manifest."""
        wanted = {(t.schema, t.table): t for t in self.manifest.tables}
        with self.server.connect(self.database) as connection:
            connection.execute("ANALYZE")
            every = {(t.schema, t.name): t for t in fingerprint.tables(connection, Scope())}
            for name in names:
                there = fingerprint.one(
                    connection, every[name], timeout=self.site.settings.deadlines.proof
                )
                was = wanted.get(name)
                if was is None or (was.rows, was.content) != (there.rows, there.content):
                    raise UntrustworthyError(
                        f"{qualified(name)} in {self.located.backup.name} is not what was backed "
                        "up; nothing was changed",
                        f"inv verify {self.located.backup.name} --restore; inv backups lists "
                        "the others",
                    )


@contextlib.contextmanager
def opened_part(site: Site, located: Located) -> Iterator[Part]:
    """A sandbox with the definitions of a backup and no row, for the length of the block.

    Raises:
        UntrustworthyError: the backup is not what was written, or proves nothing.
        PreconditionError: the sandbox lacks something that it needs.
    """
    manifest = _manifest(located)
    site.report.phase("rescue.read", f"Reading {located.backup.name}")
    check_bytes(site, located.path, manifest)
    contents = read_contents(reading_tools(site, manifest), located.path)
    site.report.step("rescue.sandbox", "Starting a sandbox")
    _check_scratch(site, _BASE_BYTES)
    with site.sandbox(manifest.server.major) as server, server.staged(located.path) as staged:
        require_extensions(server, contents.extensions)
        create_like(server, _DATABASE, manifest.server)
        part = Part(site, server, _DATABASE, located, manifest, contents, staged)
        part.restore("pre-data", contents.numbers)
        yield part


def _manifest(located: Located) -> Manifest:
    backup = located.backup
    if backup.manifest is None:
        raise UntrustworthyError(
            f"{backup.name}: {'; '.join(backup.problems) or 'it has no manifest'}",
            "rows come back only from a backup that can be proven: inv backups lists those; or "
            f"make all of it beside: inv restore {backup.name} --trust --database NAME",
        )
    return backup.manifest


def _entry(kind: str, name: Name) -> str:
    """How the entries of a table begin in a listing, which does not quote names."""
    return f"{kind} {name[0]} {name[1]} ".replace("\n", " ").replace("\r", " ")


def _check_scratch(site: Site, needed: int) -> None:
    """Room for a sandbox of files on this machine."""
    if site.source.kind == "container":
        return
    folder = site.settings.state / "sandboxes"
    while not folder.exists():
        folder = folder.parent
    if (free := free_bytes(folder)) < needed:
        raise PreconditionError(
            f"not enough room for a sandbox in {site.settings.state}: about {human_size(needed)} "
            f"needed, {human_size(free)} free",
            "free some space there; inv undo --finalize drops what an earlier restore kept",
        )
