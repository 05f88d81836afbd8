"""A road to PostgreSQL through `docker exec` alone, for when no port and no password is at hand.

A Unix socket here is joined, connection by connection, with a small program inside the container
that talks to PostgreSQL's own socket. Slower than a network, but the same protocol.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.hosts.engine import Engine
from archon_ops.hosts.inside import Exec

_ACCEPT_SECONDS = 0.5
_IDLE_SECONDS = 24 * 3600.0
_TRIAL_SECONDS = 10.0
_BLOCK = 1 << 16

# Over its own socket PostgreSQL asks most images' users for no password.
_SOCKETS = ("/var/run/postgresql", "/tmp")  # noqa: S108 - where images keep it

_PERL = r"""
use Socket; use IO::Select;
my $port = shift; my $s;
for my $folder (@ARGV) {
  socket($s, PF_UNIX, SOCK_STREAM, 0) or exit 1;
  last if connect($s, sockaddr_un("$folder/.s.PGSQL.$port"));
  close $s; undef $s }
exit 1 unless $s;
my $in = \*STDIN; my $all = IO::Select->new($in, $s);
while (my @ready = $all->can_read) { for my $h (@ready) {
  my $n = sysread($h, my $data, 65536); exit 0 unless $n;
  my $to = $h == $in ? $s : \*STDOUT;
  for (my $at = 0; $at < $n;) { $at += syswrite($to, $data, $n - $at, $at) // exit 0 } } }
"""


def relay_argv(engine: Engine, container: str, port: int) -> tuple[str, ...]:
    """A program inside that joins its standard input and output with PostgreSQL.

    Raises:
        PreconditionError: the container has none of those that could.
    """
    for trial, argv in (
        (
            ("perl", "-MSocket", "-MIO::Select", "-e", "1"),
            ("perl", "-e", _PERL, str(port), *_SOCKETS),
        ),
        (("socat", "-V"), ("socat", "-", f"UNIX:{_SOCKETS[0]}/.s.PGSQL.{port}")),
        (("busybox", "nc", "--help"), ("busybox", "nc", "127.0.0.1", str(port))),
    ):
        with contextlib.suppress(OpsError):
            if engine.run(container, trial, timeout=_TRIAL_SECONDS).returncode in (0, 1):
                return argv
    raise PreconditionError(
        f"no way to connect to PostgreSQL in container {container}: no published port, no address "
        "with a password, and none of socat, perl or busybox inside",
        "set the source's password, or publish port 5432 of the container",
    )


@contextlib.contextmanager
def relay(engine: Engine, container: str, port: int) -> Iterator[dict[str, str]]:
    """Libpq keywords (host, port) that lead into the container for the length of the block."""
    argv = relay_argv(engine, container, port)
    with tempfile.TemporaryDirectory(prefix="archon-pg-") as folder:
        path = Path(folder) / ".s.PGSQL.5432"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(16)
            listener.settimeout(_ACCEPT_SECONDS)
            over = threading.Event()
            thread = threading.Thread(
                target=_serve, args=(engine, container, argv, listener, over), daemon=True
            )
            thread.start()
            try:
                yield {"host": folder, "port": "5432"}
            finally:
                over.set()
                thread.join(_TRIAL_SECONDS)


def _serve(
    engine: Engine,
    container: str,
    argv: tuple[str, ...],
    listener: socket.socket,
    over: threading.Event,
) -> None:
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            client, _ = listener.accept()
            threading.Thread(
                target=_join, args=(engine, container, argv, client), daemon=True
            ).start()


def _join(engine: Engine, container: str, argv: tuple[str, ...], client: socket.socket) -> None:
    """Carry bytes both ways until one side ends; the other then sees its connection closed."""
    with (
        client,
        contextlib.suppress(OSError, OpsError),
        engine.spawn(container, argv, stdin=True) as inside,
    ):
        back = threading.Thread(target=_back, args=(inside, client), daemon=True)
        back.start()
        while data := client.recv(_BLOCK):
            inside.raw.sendall(data)
        with contextlib.suppress(OSError):
            inside.raw.shutdown(socket.SHUT_WR)
        back.join(_TRIAL_SECONDS)


def _back(inside: Exec, client: socket.socket) -> None:
    with contextlib.suppress(OSError, OpsError):
        for block in inside.blocks(_IDLE_SECONDS):
            client.sendall(block)
        client.shutdown(socket.SHUT_RDWR)
