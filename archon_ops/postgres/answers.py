"""What a restored database answers: the recorded questions, its vector indexes, its functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from archon_ops.model.retrieval import FoundRetrieval, FunctionLook, IndexLook, Retrieval, Search
from archon_ops.postgres.embeddings import Embeddings, embeddings, indexes
from archon_ops.postgres.retrieval import asked, search
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.search_functions import call, functions
from archon_ops.postgres.session import Connection
from archon_ops.postgres.vector_indexes import look

_Rows = Mapping[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Place:
    """Where restored objects are, while they are not where they were backed up.

    Attributes:
        scope: which tables are asked.
        schema: that they are in now.
        belongs: the schema that they were in, and will be in.
    """

    scope: Scope
    schema: str
    belongs: str

    def name(self, text: str) -> str:
        """SQL of PostgreSQL's, with the schema's name as it was."""
        quoted = '"' + self.schema.replace('"', '""') + '"'
        return text.replace(f"{quoted}.", f"{self.belongs}.").replace(
            f"{self.schema}.", f"{self.belongs}."
        )

    def search(self, found: Search) -> Search:
        """The search as it was backed up."""
        schema = self.belongs if found.schema == self.schema else found.schema
        embedding, condition = self.name(found.embedding), self.name(found.condition)
        return replace(found, schema=schema, embedding=embedding, condition=condition)

    def index(self, found: IndexLook) -> IndexLook:
        """The index as it was backed up."""
        return replace(found, name=self.name(found.name), definition=self.name(found.definition))


AT_HOME = Place(Scope(), "public", "public")


def answers(
    connection: Connection,
    recorded: Retrieval | None,
    *,
    timeout: float,
    build_settings: Mapping[str, str],
    place: Place = AT_HOME,
) -> FoundRetrieval:
    """Ask for neighbours and try the indexes; a poorly trained one may be built anew on the way.

    Args:
        connection: session on the database; nobody uses these tables yet.
        recorded: what the backup recorded; None to ask with a sample.
        timeout: seconds for each search and each index.
        build_settings: server settings with which an index can be built.
        place: where the tables are.
    """
    rows = _rows(recorded)
    found = {
        over: search(connection, over, rows.get(place.search(over.search).key), timeout)
        for over in embeddings(connection, place.scope)
    }
    looks = (
        look(
            connection,
            index,
            found.get(index.over, index.over.search),
            timeout=timeout,
            build_settings=build_settings,
        )
        for index in indexes(connection, place.scope)
    )
    return FoundRetrieval(tuple(map(place.search, found.values())), tuple(map(place.index, looks)))


def called(
    connection: Connection, recorded: Retrieval | None, *, timeout: float
) -> tuple[FunctionLook, ...]:
    """Call every search function; arguments as for `answers`.

    They find their tables by name, so these must be where they belong.
    """
    rows = _rows(recorded)
    samples: dict[str, dict[int, str]] = defaultdict(dict)
    for over in embeddings(connection, Scope()):
        if over.schema == "public" and over.key:
            samples[over.table].update(_sample(connection, over, rows.get(over.search.key)))
    return tuple(call(connection, f, samples, timeout=timeout) for f in functions(connection))


def _rows(recorded: Retrieval | None) -> _Rows:
    """The rows that were asked with, for each search; a search of another kind gets a sample."""
    searches = recorded.searches if recorded else ()
    return {s.key: tuple(a.row for a in s.answers) for s in searches if s.answers}


def _sample(
    connection: Connection, over: Embeddings, rows: tuple[str, ...] | None
) -> dict[int, str]:
    """Embeddings by their dimension; no function takes a sparse one."""
    texts = [text for _, text in asked(connection, over, rows) if text.startswith("[")]
    return {text.count(",") + 1: text for text in texts}
