"""What a URL of a place offsite means."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from archon_ops.errors import UsageError

_OPTIONS = {
    "s3": {"endpoint", "region", "path_style"},
    "gs": {"endpoint"},
    "az": {"endpoint", "account"},
}
_HINT = (
    "a folder, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, or "
    "rclone:remote:path, which reaches most others"
)


@dataclass(frozen=True)
class Place:
    """A URL, taken apart.

    Attributes:
        kind: "folder", "s3", "gs" (Google), "az" (Azure) or "rclone".
        bucket: the bucket, Azure's container; of rclone the remote's name.
        path: a folder, or the prefix of all names; without a slash at either end in a bucket.
        options: what stood behind the question mark.
    """

    kind: str
    bucket: str
    path: str
    options: dict[str, str]

    @property
    def shown(self) -> str:
        """The place for people; there is nothing secret in it."""
        if self.kind == "folder":
            return self.path
        if self.kind == "rclone":
            return f"rclone:{self.bucket}:{self.path}"
        return f"{self.kind}://{self.bucket}{f'/{self.path}' if self.path else ''}"


def parse_place(url: str, root: Path) -> Place:
    """Take a URL apart.

    Args:
        url: what the user gave.
        root: where relative folders begin.

    Raises:
        UsageError: it is none that we know, or holds credentials.
    """
    if not url.strip() or not url.isprintable():
        raise UsageError("the URL of a place offsite is empty or not printable", _HINT)
    scheme, colon, rest = url.partition(":")
    if colon and scheme == "rclone":
        return _rclone(rest)
    if not colon or "://" not in url:
        return Place("folder", "", str(root / Path(url).expanduser()), {})
    if scheme == "file":
        return Place("folder", "", str(Path(os.sep, rest.lstrip("/"))), {})
    if scheme in _OPTIONS:
        return _bucket(url, scheme)
    raise UsageError(f"{scheme}:// is no place that copies can go to", _HINT)


def _rclone(rest: str) -> Place:
    remote, colon, path = rest.partition(":")
    # A dash would be a flag, a comma begins a parameter such as a password.
    if not colon or not remote or remote.startswith("-") or set(remote) & set(",/='\""):
        raise UsageError(
            "rclone: wants the name of a configured remote and a path", "rclone:remote:path"
        )
    return Place("rclone", remote, path.rstrip("/"), {})


def _bucket(url: str, kind: str) -> Place:
    parts = urlsplit(url)
    if "@" in parts.netloc or ":" in parts.netloc:
        raise UsageError(
            f"a URL {kind}:// holds no credentials and no port",
            "credentials come from the environment or the settings, a port with ?endpoint=",
        )
    if not parts.netloc or parts.fragment:
        raise UsageError(f"the URL {kind}:// names no bucket", _HINT)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := set(options) - _OPTIONS[kind]:
        known = ", ".join(sorted(_OPTIONS[kind]))
        raise UsageError(f"?{sorted(unknown)[0]}= is not known for {kind}://", f"known: {known}")
    return Place(kind, parts.netloc, parts.path.strip("/"), options)
