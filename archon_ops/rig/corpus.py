"""Real text without a network: the documentation of the Python that runs us.

Two kinds of pages take turns: chapters of the language reference, and modules of the standard
library with the code that they document. Pages are read when they are asked for, in a fixed order.
"""

from __future__ import annotations

import ast
import itertools
import sys
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

CHUNK_CHARACTERS = 1500
MAX_CODE_CHARACTERS = 4000
_SITE = f"https://docs.python.org/{sys.version_info.major}.{sys.version_info.minor}"
# Modules are read as files beside this one, and never imported: some act on import.
_LIBRARY = Path(ast.__file__).parent

Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Example:
    """A piece of code, and one paragraph on what it does."""

    code: str
    summary: str


@dataclass(frozen=True)
class Page:
    """One page of documentation.

    Attributes:
        source: what it was crawled from; several pages may share it.
        url: its address, unique among the pages.
        title: its heading.
        text: all of it.
        chunks: the text in pieces of about CHUNK_CHARACTERS.
        examples: the code that it shows; may be empty.
    """

    source: str
    url: str
    title: str
    text: str
    chunks: tuple[str, ...]
    examples: tuple[Example, ...]


def pages() -> Iterator[Page]:
    """Every page once, chapters and modules in turn, always in the same order."""
    pairs = itertools.zip_longest(map(_chapter, _chapter_names()), map(_module, _module_names()))
    for page in itertools.chain.from_iterable(pairs):
        if page is not None and page.chunks:
            yield page


def chunked(text: str) -> tuple[str, ...]:
    """The text in pieces of about CHUNK_CHARACTERS that end with a paragraph where they can."""
    chunks: list[str] = []
    for paragraph in _paragraphs(text):
        if chunks and len(chunks[-1]) + len(paragraph) < CHUNK_CHARACTERS:
            chunks[-1] += "\n\n" + paragraph
        else:
            chunks.append(paragraph)
    return tuple(chunks)


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        for start in range(0, len(paragraph), CHUNK_CHARACTERS):
            if piece := paragraph[start : start + CHUNK_CHARACTERS].strip("\n"):
                yield piece


@cache
def _chapters() -> dict[str, str]:
    topics: dict[str, str] = import_module("pydoc_data.topics").topics
    return topics


def _chapter_names() -> list[str]:
    return sorted(_chapters())


@cache
def _chapter(name: str) -> Page:
    text = _clean(_chapters()[name])
    title = next((line for line in text.splitlines() if line.strip()), name)
    url = f"{_SITE}/reference/{name}.html"
    return Page("python-reference", url, title.strip('"'), text, chunked(text), ())


def _module_names() -> list[str]:
    names = sorted(name for name in sys.stdlib_module_names if not name.startswith("_"))
    return [name for name in names if (_LIBRARY / f"{name}.py").is_file()]


@cache
def _module(name: str) -> Page:
    source = _clean((_LIBRARY / f"{name}.py").read_text(encoding="utf-8", errors="replace"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on the style of other people's code
        tree = ast.parse(source)
    nodes = [node for node in ast.walk(tree) if isinstance(node, Documented)]
    documented = [node for node in nodes if ast.get_docstring(node)]
    parts = [ast.get_docstring(tree) or f"Module {name}", *map(_entry, documented)]
    text = _clean("\n\n".join(parts))
    examples = tuple(_examples(source.splitlines(), documented))
    url = f"{_SITE}/library/{name}.html"
    return Page(f"python-library-{name}", url, f"{name} module", text, chunked(text), examples)


def _entry(node: Documented) -> str:
    kind = "class" if isinstance(node, ast.ClassDef) else "function"
    return f"{kind} {node.name}\n{textwrap.indent(ast.get_docstring(node) or '', '    ')}"


def _examples(lines: list[str], nodes: list[Documented]) -> Iterator[Example]:
    for node in nodes:
        code = textwrap.dedent("\n".join(lines[node.lineno - 1 : node.end_lineno]))
        if len(code) <= MAX_CODE_CHARACTERS:
            first = (ast.get_docstring(node) or "").split("\n\n")[0]
            yield Example(code, _clean(f"{node.name}: {' '.join(first.split())}"))


def _clean(text: str) -> str:
    """Without what PostgreSQL's text cannot hold: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
