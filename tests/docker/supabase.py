"""A database shaped like Supabase's, with Archon's sample and its neighbours in it.

`supabase_admin` is the superuser; `postgres`, whom everybody uses, is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from archon_ops.model.report import Silent
from archon_ops.rig import sample
from tests.docker import database
from tests.docker.database import Connection, Database
from tests.docker.engine import Engine
from tests.docker.rootfs import FILES
from tests.docker.writer import Writer

NAME = "supabase-ai-db"
ENVIRONMENT = {"POSTGRES_USER": "supabase_admin", "POSTGRES_DB": "postgres"}
ENCRYPTION_KEY = "an encryption key of these tests"


@dataclass(frozen=True)
class Supabase:
    """The container and the ways into it.

    Attributes:
        database: the container; its user is supabase_admin.
        rows: table -> rows of the sample.
    """

    database: Database
    rows: dict[str, int]

    def connect(self, database: str = "postgres") -> Connection:
        """A session of the role postgres."""
        return self.database.connect(database, user="postgres")

    def psql(self, query: str, database: str = "postgres") -> str:
        """What the query answers to the role postgres."""
        return self.database.psql(query, database, user="postgres")

    def writer(self) -> Writer:
        """Neighbours that write inside a `with` block."""
        return Writer(self.connect)


def start(
    engine: Engine, image: str, *, name: str | None = None, size_bytes: int = 1, **options: Any
) -> Supabase:
    """Start such a database; the caller holds the fixed names if it gives one.

    Args:
        engine: where.
        image: reference of an image of the rig.
        name: of the container; made up unless given.
        size_bytes: of Archon's tables; the smallest sample has about 12 MB.
        options: as `tests.docker.database.start` takes them.
    """
    env = {**ENVIRONMENT, **options.pop("env", {})}
    return shape(database.start(engine, image, name=name, env=env, **options), size_bytes)


def shape(made: Database, size_bytes: int = 1) -> Supabase:
    """Give a fresh database, whose superuser is supabase_admin, the shape of Supabase's."""
    with made.connect() as admin:
        with admin.transaction():
            admin.execute((FILES / "supabase_before.sql").read_bytes(), prepare=False)
        for role in ("postgres", "authenticator"):
            admin.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(made.password)
                )
            )
    with made.connect(user="postgres") as connection:
        summary = sample.create(
            connection,
            size_bytes,
            Silent(),
            encryption_key=ENCRYPTION_KEY,
            extension_schema="extensions",
        )
        connection.execute((FILES / "supabase_after.sql").read_bytes(), prepare=False)
    return Supabase(made, summary.rows)
