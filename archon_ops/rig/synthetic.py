"""Rows that look like those of a live table from outside: as long, as often NULL, as various.

Lengths come from the live table, row by row, so that what is filled together stays together (one
embedding a row). Content does not: text is cut from documentation, vectors are random.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache

import numpy as np
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from archon_ops.postgres.shape import FIXED, JSON, TEXT, VECTORS, Column, Shape
from archon_ops.rig import corpus
from archon_ops.rig.table import Row, Table, moment
from archon_ops.rig.vectors import embeddings, wire

# Enough that what repeats lies further apart than any compression looks back.
_TEXT_CHARACTERS = 4_000_000
# A column of less values than this repeats them; others are all different.
_FEW = 500
_BATCH = 64
# What a JSON member takes beside its value.
_MEMBER = len('"k00": "", ')

Make = Callable[[int, int], object]


def table(shape: Shape, count: int, *, seed: int = 0) -> Table:
    """So many rows of a table's shape.

    Args:
        shape: of the live table.
        count: how many rows.
        seed: another one gives other rows.
    """
    columns = [c for c in shape.columns if c.generated is None and c.known]
    types = {c.name: _travels_as(c) for c in columns}
    rows = _rows(shape, columns, count, seed) if shape.lengths else iter(())
    return Table(f"{shape.schema}.{shape.table}", types, rows)


def unknown_columns(shape: Shape) -> tuple[str, ...]:
    """Columns that stay NULL, because values of their type cannot be made."""
    return tuple(c.name for c in shape.columns if c.generated is None and not c.known)


def _travels_as(column: Column) -> str:
    if column.type in TEXT:
        return "text"
    return "bytea" if column.type in VECTORS else column.type


def _rows(shape: Shape, columns: list[Column], count: int, seed: int) -> Iterator[Row]:
    random = np.random.default_rng([seed, count])
    places = [shape.columns.index(column) for column in columns]
    makers = [_maker(column, number, random) for number, column in enumerate(columns)]
    chosen = random.integers(0, len(shape.lengths), count)
    for number, which in enumerate(chosen):
        lengths = shape.lengths[which]
        yield tuple(
            None if (size := lengths[place]) is None else make(number, size)
            for place, make in zip(places, makers, strict=True)
        )


def _maker(column: Column, number: int, random: np.random.Generator) -> Make:
    """A function of a row's number and a length that makes this column's values."""
    if column.type in VECTORS:
        return _vectors(column, number)
    if column.type in FIXED:
        return _fixed(column, random)
    few = int(column.distinct) if 0 < column.distinct < _FEW else 0
    if column.type in JSON:
        return lambda n, size: _json(n % few if few else n, size)
    if column.type == "bytea":
        return lambda _n, size: random.bytes(size)
    return lambda n, size: _text(n % few if few else n, size)


def _text(number: int, size: int) -> str:
    """A piece of documentation, different for each number."""
    mark = f"{number:x}"
    if size <= len(mark) + 1:
        return mark[-size:] if size else ""
    return f"{_piece(number, size - len(mark) - 1)} {mark}"


def _json(number: int, size: int) -> object:
    members: dict[str, str] = {}
    left = size - 2
    while left > _MEMBER:
        value = _text(number + len(members), min(left - _MEMBER, 40))
        members[f"k{len(members):02}"] = value
        left -= _MEMBER + len(value)
    return Jsonb(members)


def _piece(number: int, size: int) -> str:
    text = _corpus()
    start = number * 7919 % max(len(text) - size, 1)
    return text[start : start + size].ljust(size, ".")


@cache
def _corpus() -> str:
    """Documentation as one text, of one byte a character."""
    pages = itertools.chain.from_iterable(page.chunks for page in corpus.pages())
    found: list[str] = []
    length = 0
    for chunk in pages:
        found.append(chunk.encode("ascii", "replace").decode())
        length += len(found[-1])
        if length > _TEXT_CHARACTERS:
            break
    return "\n".join(found)


def _vectors(column: Column, number: int) -> Make:
    """Embeddings of the declared dimension, made some at a time."""
    digits = "".join(filter(str.isdigit, column.declared))
    dimension = int(digits or 1536)
    ready: list[bytes] = []
    batches = itertools.count()

    def make(_number: int, _size: int) -> object:
        if not ready:
            clusters = np.arange(_BATCH, dtype=np.int64)
            made = embeddings(clusters, dimension, seed=(number, next(batches)))
            ready.extend(_half_wire(made) if column.type == "halfvec" else wire(made))
        return ready.pop()

    return make


def _half_wire(vectors: NDArray[np.float32]) -> list[bytes]:
    """Rows as pgvector sends halfvec: int16 d, int16 0, d float16, big-endian."""
    head = np.array([vectors.shape[1], 0], dtype=">i2").tobytes()
    return [head + row.tobytes() for row in vectors.astype(">f2")]


def _fixed(column: Column, random: np.random.Generator) -> Make:
    if column.type == "bool":
        return lambda n, _size: n % 2 == 0
    if column.type == "int2":
        return lambda n, _size: n % 32_000
    if column.type in ("int4", "int8"):
        return lambda n, _size: n
    if column.type == "uuid":
        return lambda _n, _size: uuid.UUID(bytes=random.bytes(16))
    if column.type in ("float4", "float8"):
        return lambda _n, _size: float(random.random())
    if column.type == "numeric":
        return lambda n, _size: Decimal(n) / 100
    if column.type == "date":
        return lambda n, _size: moment(n).date()
    if column.type == "timestamp":
        return lambda n, _size: moment(n / 7).replace(tzinfo=None)
    return lambda n, _size: moment(n / 7)
