"""Text that is safe to show, wherever it came from."""

from __future__ import annotations

import unicodedata

# Cc: control characters. Cf: invisible ones, among them those that turn the direction of text.
# Cs: bytes of a file name that are not text. Zl, Zp: line ends that are no "\n".
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def clean(text: str) -> str:
    r"""One line of text in which nothing acts on a terminal: "\x1b[2J" becomes "\\x1b[2J".

    Names from files and databases may hold anything, also line ends and escape sequences.
    """
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _INVISIBLE else char
        for char in text
    )
