"""What Google's and Azure's stores refuse, in words that say what to put right.

What obstore says holds addresses, and an address may hold a signature: only codes are repeated.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    UnauthenticatedError,
)

from archon_ops.errors import OpsError, PreconditionError

_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
KEYS = (
    "gs: GOOGLE_APPLICATION_CREDENTIALS names the key file; az: AZURE_STORAGE_ACCOUNT_NAME and "
    "AZURE_STORAGE_ACCOUNT_KEY"
)
_BUCKET = "make it, or correct the URL"
_KNOWN = {
    "NoSuchBucket": ("there is no such bucket", _BUCKET),
    "ContainerNotFound": ("there is no such container", _BUCKET),
    "InvalidBucketName": ("that cannot be the name of a bucket", _BUCKET),
    "AuthenticationFailed": (
        "the key is wrong, or this machine's clock",
        KEYS,
    ),
    "AccessDenied": ("access is denied", KEYS),
    "AuthorizationFailure": ("access is denied", KEYS),
    "AuthorizationPermissionMismatch": ("access is denied", KEYS),
    "InvalidAuthenticationInfo": ("the credentials are not valid", KEYS),
}
_BUSY = {"429", "500", "502", "503", "504"}


@contextlib.contextmanager
def explained_objects(doing: str, where: str) -> Iterator[None]:
    """Turn what obstore raises inside the block into an error for people.

    Args:
        doing: what was tried, as in "cannot <doing> WHERE".
        where: the place, without credentials.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise _missing(f"cannot {doing} {where}", str(error)) from None
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise _refused(f"cannot {doing} {where}", str(error), "access is denied") from None
    except InvalidPathError:
        raise PreconditionError(
            f"cannot {doing} {where}: that cannot be the name of an object", "correct the URL"
        ) from None
    except BaseError as error:
        raise _failed(f"cannot {doing} {where}", str(error)) from None


def _missing(what: str, said: str) -> PreconditionError:
    if (code := _CODE.search(said)) and code[1] in _KNOWN:
        return PreconditionError(f"{what}: {_KNOWN[code[1]][0]}", _KNOWN[code[1]][1])
    return PreconditionError(f"{what}: there is no such bucket or object", "correct the URL")


def _refused(what: str, said: str, otherwise: str) -> PreconditionError:
    code = _CODE.search(said)
    reason, hint = _KNOWN.get(code[1] if code else "", (otherwise, KEYS))
    return PreconditionError(f"{what}: {reason}", hint)


def _failed(what: str, said: str) -> OpsError:
    code, status = _CODE.search(said), _STATUS.search(said)
    if code and code[1] in _KNOWN:
        return _refused(what, said, "")
    if "token request" in said:
        return PreconditionError(f"{what}: no credentials, or they are not accepted", KEYS)
    if status and status[1] in _BUSY:
        return OpsError(
            f"{what}: the server is overloaded or ill ({code[1] if code else status[1]})",
            "run it again later",
        )
    if status:
        return OpsError(f"{what}: the server answers {code[1] if code else status[1]}")
    return OpsError(
        f"{what}: the server cannot be reached, or the connection broke",
        "look at the network and at the endpoint of the place",
    )
