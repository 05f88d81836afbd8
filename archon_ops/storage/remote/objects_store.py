"""The store that a gs:// or az:// URL means; credentials from its settings or the environment."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore

from archon_ops.errors import PreconditionError
from archon_ops.settings import OffsiteSettings
from archon_ops.storage.remote.objects_errors import KEYS
from archon_ops.storage.remote.place import Place

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, ObjectStore, RetryConfig

# A request here is a part of 8 MB and more, there and answered; a slow line needs its time.
_REQUEST = timedelta(seconds=600)
_CONNECT = timedelta(seconds=10)


def store_of(place: Place, given: OffsiteSettings) -> ObjectStore:
    """The store, not yet asked anything.

    Raises:
        PreconditionError: what is set does not fit together.
    """
    endpoint = place.options.get("endpoint") or given.endpoint
    client: ClientConfig = {
        "timeout": max(_REQUEST, timedelta(seconds=given.timeout)),
        "connect_timeout": _CONNECT,
        "allow_http": endpoint.startswith("http://"),
    }
    retry: RetryConfig = {"max_retries": given.tries - 1, "retry_timeout": _REQUEST}
    try:
        if place.kind == "gs":
            google: GCSConfig = {"base_url": endpoint} if endpoint else {}
            return GCSStore(place.bucket, config=google, client_options=client, retry_config=retry)
        azure: AzureConfig = {"endpoint": endpoint} if endpoint else {}
        if account := place.options.get("account") or given.access_key.get_secret_value():
            azure["account_name"] = account
        if key := given.secret_key.get_secret_value():
            azure["account_key"] = key
        return AzureStore(place.bucket, config=azure, client_options=client, retry_config=retry)
    except (BaseError, ValueError):  # what it says may hold a piece of a key
        raise PreconditionError(
            f"cannot reach {place.shown}: no credentials, or they cannot be read", KEYS
        ) from None
