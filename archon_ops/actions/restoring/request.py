"""What a restore is asked for, and which backup is meant."""

from __future__ import annotations

from dataclasses import dataclass

from archon_ops.actions.examining import restorable
from archon_ops.errors import UsageError
from archon_ops.model.plan import ARCHON, DATABASE
from archon_ops.site import Site
from archon_ops.storage.reference import Located, resolve


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        reference: latest, a name, or a path.
        database: name that the restored database shall have; None: the source's own, in place.
        trust: whether a backup that proves nothing, or another server's, may be used.
        scope: "archon": Archon's objects alone; "database": everything; None: Archon's, but
            everything into a new home, where there is nothing yet, or beside.
        accept_unreadable: whether live data that cannot be read may leave service unsaved.
    """

    reference: str
    database: str | None = None
    trust: bool = False
    scope: str | None = None
    accept_unreadable: bool = False

    def beside(self, site: Site) -> bool:
        """Whether the source's own database stays as it is."""
        return self.database is not None and self.database != site.database


def locate(site: Site, request: Request) -> Located:
    """The backup that is meant.

    Raises:
        UntrustworthyError: nothing speaks for it, and --trust was not given.
        UsageError: the request contradicts itself.
    """
    if request.scope == ARCHON and request.beside(site):
        raise UsageError(
            "a database beside the source's is made whole: --scope archon does not go with it",
            "leave --scope out",
        )
    located = resolve(site.directory, request.reference)
    restorable(located.backup, request.trust)
    return located


def scope_of(site: Site, request: Request, *, inhabited: bool) -> str:
    """The scope that a request comes down to.

    Args:
        site: where.
        request: what is asked for.
        inhabited: whether the database is there, and not empty.
    """
    if request.scope:
        return request.scope
    return ARCHON if inhabited and not request.beside(site) else DATABASE
