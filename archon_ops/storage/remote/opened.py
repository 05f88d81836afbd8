"""The place that a URL and its settings mean, ready for use."""

from __future__ import annotations

from pathlib import Path

from archon_ops.settings import OffsiteSettings
from archon_ops.storage.remote.base import Remote
from archon_ops.storage.remote.folder import Folder
from archon_ops.storage.remote.place import Place
from archon_ops.storage.remote.rclone import Rclone


def opened(place: Place, given: OffsiteSettings, run_id: str) -> Remote:
    """The place, not yet asked anything; libraries are loaded only for the kind that is used.

    Args:
        place: its URL, taken apart.
        given: its settings.
        run_id: who writes there.
    """
    if place.kind == "s3":
        from archon_ops.storage.remote.s3 import S3, client_of

        client = client_of(place, given)
        return S3(client, place, given.lock_days, given.lock_mode.upper())
    if place.kind in ("gs", "az"):
        from archon_ops.storage.remote.objects import Objects
        from archon_ops.storage.remote.objects_store import store_of

        return Objects(store_of(place, given), place.path, place.shown, run_id)
    if place.kind == "rclone":
        return Rclone(place.bucket, place.path, given.timeout, run_id)
    return Folder(Path(place.path), run_id)
