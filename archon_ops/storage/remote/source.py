"""Bytes on their way to a place offsite: a file that lies there, or one that is being written."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from archon_ops.errors import OpsError
from archon_ops.storage.atomic import Temporary
from archon_ops.storage.explain import explained
from archon_ops.storage.files import BLOCK, open_regular

Digest = tuple[str, int]


class Source(Protocol):
    """Bytes that can be read at any place, more than once.

    Attributes:
        about: their number, near enough to plan by.
    """

    about: int

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on; fewer than `length` only at the end."""

    def digest(self) -> Digest:
        """SHA-256 in hexadecimal and number of all bytes; waits until both are known."""


class FileSource:
    """A regular file; it may be deleted meanwhile, what was opened is read to its end.

    Args:
        path: the file.

    Raises:
        PreconditionError: it cannot be opened, or is no regular file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with explained("read", path):
            self._fd = open_regular(path)
            self.about = os.fstat(self._fd).st_size
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="digest")
        self._digest = self._pool.submit(self._sum)

    def __enter__(self) -> FileSource:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)
        os.close(self._fd)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on; fewer than `length` only at the end."""
        with explained("read", self._path):
            return os.pread(self._fd, length, offset)

    def digest(self) -> Digest:
        """SHA-256 and number of all bytes."""
        return self._digest.result()

    def _sum(self) -> Digest:
        """Beside the sending, because both take about as long."""
        hashed, done = hashlib.sha256(), 0
        while not self._stop.is_set() and (block := self.read(done, BLOCK)):
            hashed.update(block)
            done += len(block)
        return hashed.hexdigest(), done


class BytesSource:
    """Bytes that are at hand."""

    def __init__(self, data: bytes) -> None:
        self.about = len(data)
        self._data = data

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on; fewer than `length` only at the end."""
        return self._data[offset : offset + length]

    def digest(self) -> Digest:
        """SHA-256 and number of all bytes."""
        return hashlib.sha256(self._data).hexdigest(), len(self._data)


class Spool:
    """A temporary file that is read while it is still written, so that nothing waits for all of it.

    Args:
        file: where the bytes rest.
        about: their number, near enough.
    """

    def __init__(self, file: Temporary, about: int) -> None:
        self.about = about
        self._file = file
        self._fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        self._hashed = hashlib.sha256()
        self._done = 0
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None
        self._change = threading.Condition()

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on, waited for; fewer than `length` only at the end."""
        with self._change:
            self._change.wait_for(lambda: self._ended or self._done >= offset + length)
            self._raise()
        with explained("read", self._file.path):
            return os.pread(self._fd, length, offset)

    def digest(self) -> Digest:
        """SHA-256 and number of all bytes."""
        with self._change:
            self._change.wait_for(lambda: self._ended)
            self._raise()
            return self._hashed.hexdigest(), self._done

    def complete(self) -> bool:
        """Whether all bytes are there."""
        return self._ended and self._error is None and not self._stopped

    def _write(self, block: bytes) -> None:
        if self._stopped:
            raise OpsError("the writing was stopped")
        self._file.write(block)
        self._hashed.update(block)
        with self._change:
            self._done += len(block)
            self._change.notify_all()

    def _end(self, error: BaseException | None) -> None:
        with self._change:
            self._ended, self._error = True, error
            self._change.notify_all()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    @contextlib.contextmanager
    def filling(self, fill: Callable[[Callable[[bytes], None]], None]) -> Iterator[None]:
        """Let `fill` write in the background for the length of the block.

        Args:
            fill: is given the function that takes blocks.
        """

        def work() -> None:
            try:
                fill(self._write)
            except BaseException as error:  # noqa: BLE001 - whoever reads is told
                self._end(error)
            else:
                self._end(None)

        thread = threading.Thread(target=work, name="spool", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped = not self._ended
            thread.join()
            os.close(self._fd)
