"""Documentation cut into numbered pieces, each of which becomes a row with an embedding."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from archon_ops.errors import PreconditionError
from archon_ops.rig import corpus

MODELS = {
    384: "all-minilm",
    768: "nomic-embed-text",
    1024: "mxbai-embed-large",
    1536: "text-embedding-3-small",
    3072: "text-embedding-3-large",
}
# Rows that are not of 1536 dimensions, by their number modulo CYCLE.
CYCLE = 40
OTHERS = {3: 384, 8: 768, 13: 1024, 17: 3072, 23: 384, 28: 768, 33: 1024}


@dataclass(frozen=True)
class Piece:
    """A chunk or a code example, before it becomes a row.

    Attributes:
        number: of the row, from 0.
        edition: how often all of the text was used before.
        ordinal: number of its page within an edition; decides on the cluster of its vector.
        position: number within its page.
        page: the page.
        content: text or code.
        summary: of the code; empty for text.
    """

    number: int
    edition: int
    ordinal: int
    position: int
    page: corpus.Page
    content: str
    summary: str

    @property
    def url(self) -> str:
        """Address of its page; text that is used again belongs to another edition of it."""
        return self.page.url + (f"?edition={self.edition + 1}" if self.edition else "")

    @property
    def dimension(self) -> int:
        """Length of its embedding: mostly 1536, every other one now and then."""
        return OTHERS.get(self.number % CYCLE, 1536)


def chunks(count: int) -> Iterator[Piece]:
    """The first `count` chunks of the documentation, which begins anew when it ends."""
    return _pieces(count, lambda page: ((text, "") for text in page.chunks))


def examples(count: int) -> Iterator[Piece]:
    """The first `count` code examples of the documentation, which begins anew when it ends."""
    return _pieces(count, lambda page: ((e.code, e.summary) for e in page.examples))


def _pieces(
    count: int, contents: Callable[[corpus.Page], Iterator[tuple[str, str]]]
) -> Iterator[Piece]:
    number = 0
    for edition in itertools.count():
        for ordinal, page in enumerate(corpus.pages()):
            for position, (content, summary) in enumerate(contents(page)):
                if number == count:
                    return
                yield Piece(number, edition, ordinal, position, page, content, summary)
                number += 1
        if number == 0:
            raise PreconditionError(
                "this Python has no source files of its standard library to take text from",
                "run with a Python that has them (Debian: libpython3-stdlib)",
            )
