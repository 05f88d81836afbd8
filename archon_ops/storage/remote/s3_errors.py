"""What S3, and what speaks it, refuses: said plainly, and without anything secret."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)

from archon_ops.errors import OpsError, PreconditionError

_KEYS = "look at the credentials: AWS_ACCESS_KEY_ID, AWS_PROFILE, or those of the place's settings"
_RIGHTS = "its policy must allow PutObject, GetObject and ListBucket, and GetObjectVersion"
# What the user can put right: the code S3 answers with, what it means, and what to do.
_KNOWN = {
    "NoSuchBucket": ("there is no such bucket", "make the bucket, or correct the URL"),
    "NoSuchKey": ("there is no such object", "inv offsite.list"),
    "NoSuchVersion": ("that version of the object is gone", "inv offsite.verify all"),
    "404": ("there is no such bucket or object", "correct the URL"),
    "AccessDenied": ("access is denied", _RIGHTS),
    "403": ("access is denied", _RIGHTS),
    "InvalidAccessKeyId": ("the access key is not known there", _KEYS),
    "SignatureDoesNotMatch": ("the secret key is not the right one", _KEYS),
    "ExpiredToken": ("the credentials have expired", _KEYS),
    "InvalidToken": ("the session token is not valid", _KEYS),
    "RequestTimeTooSkewed": (
        "the clock of this machine differs too much from the server's",
        "set the clock: timedatectl set-ntp true",
    ),
    "PermanentRedirect": ("the bucket is in another region", "name it: s3://…?region=REGION"),
    "AuthorizationHeaderMalformed": ("the region is wrong", "name it: s3://…?region=REGION"),
    "IllegalLocationConstraintException": ("the region is wrong", "s3://…?region=REGION"),
    "InvalidBucketName": ("that cannot be the name of a bucket", "correct the URL"),
    "ObjectLockConfigurationNotFoundError": (
        "the bucket has no object lock",
        "make a bucket with object lock, or leave lock_days out",
    ),
}
_BUSY = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "503", "500", "502"}
# The last one: somebody else has just completed the upload that both had begun with.
TAKEN = {"PreconditionFailed", "412", "NoSuchUpload"}
ABSENT = {"NoSuchKey", "NoSuchVersion", "404"}


@contextlib.contextmanager
def explained_s3(doing: str, where: str) -> Iterator[None]:
    """Turn what botocore raises inside the block into an error for people.

    Args:
        doing: what was tried, as in "cannot <doing> WHERE".
        where: the place, without credentials.
    """
    try:
        yield
    except ClientError as error:
        raise _refused(f"cannot {doing} {where}", error) from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise PreconditionError(f"cannot {doing} {where}: no credentials", _KEYS) from error
    except ParamValidationError as error:
        raise PreconditionError(
            f"cannot {doing} {where}: that cannot be the name of a bucket or object",
            "correct the URL",
        ) from error
    except (EndpointConnectionError, ConnectTimeoutError) as error:
        raise OpsError(
            f"cannot {doing} {where}: the server cannot be reached",
            "look at the network and at the endpoint of the place",
        ) from error
    except BotoCoreError as error:
        raise OpsError(
            f"cannot {doing} {where}: the connection failed ({type(error).__name__})",
            "run it again: what has arrived is not sent twice",
        ) from error


def code_of(error: ClientError) -> str:
    """The code that S3 answered with."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _refused(what: str, error: ClientError) -> OpsError:
    code = code_of(error)
    if code in _KNOWN:
        reason, hint = _KNOWN[code]
        return PreconditionError(f"{what}: {reason}", hint)
    if code in _BUSY:
        tries = error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) + 1
        return OpsError(
            f"{what}: the server is overloaded or ill ({code}), {tries} tries",
            "run it again later: what has arrived is not sent twice",
        )
    said = str(error.response.get("Error", {}).get("Message", ""))
    return OpsError(f"{what}: {code}{f': {said[:200]}' if said else ''}")
