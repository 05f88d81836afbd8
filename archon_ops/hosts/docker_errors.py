"""What an engine's refusals mean to an operator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from docker.errors import APIError, DockerException, NotFound
from requests.exceptions import RequestException

from archon_ops.errors import OpsError, PreconditionError

START_HINT = "start the engine (systemctl start docker), or set DOCKER_HOST to where it listens"


@contextlib.contextmanager
def told(doing: str) -> Iterator[None]:
    """Turn the SDK's errors into ours."""
    try:
        yield
    except NotFound as error:
        raise PreconditionError(f"{doing}: {reason(error)}", "docker ps -a") from error
    except APIError as error:
        raise OpsError(f"{doing}: {reason(error)}", "docker ps -a") from error
    except (DockerException, RequestException, OSError) as error:
        raise PreconditionError(
            f"{doing}: the Docker engine does not answer: {reason(error)}", START_HINT
        ) from error


def reason(error: Exception) -> str:
    """What the SDK says of it, on one line."""
    text = getattr(error, "explanation", None) or str(error)
    return " ".join(str(text).split())[:300]
