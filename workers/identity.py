"""A worker's credentials: its id and secret, from the headers X-Worker-ID and X-Secret."""

import hmac
from functools import lru_cache
from typing import NamedTuple, Protocol

from tracker.api.errors import NotIdentified
from tracker.api.fields import INT64
from tracker.steps import Query, Steps, stepwise
from workers.models import Worker
from workers.services import digest

# Compared against when there is no such worker, so that the response takes as long as for a wrong secret.
_NO_DIGEST = bytes(32)

_ID_DIGITS = 19
_LONGEST_SECRET = 100


class UnknownWorker(NotIdentified):
    """There is no worker with this X-Worker-ID and X-Secret."""


class Caller(Protocol):
    """The caller of a database function that checks the credentials itself: a Worker, or Credentials."""

    @property
    def pk(self) -> int: ...

    @property
    def secret_digest(self) -> bytes | memoryview: ...


class Credentials(NamedTuple):
    """The id and the digest of the secret that a caller sent, unchecked."""

    pk: int
    secret_digest: bytes


def credentials(number: str | None, secret: str | None) -> Credentials | None:
    """The credentials in the two headers; None if both are missing. Raises NotIdentified."""
    if number is None and secret is None:
        return None
    if number is None or secret is None:
        raise NotIdentified("Send both headers, X-Worker-ID and X-Secret.")
    if not (number.isascii() and number.isdigit() and len(number) <= _ID_DIGITS and 0 < int(number) <= INT64[1]):
        raise NotIdentified("X-Worker-ID: must be the whole number that /worker/create returned as `id`.")
    # A longer one is wrong, and would fill the memory if it were remembered.
    hashed = _digest(secret) if len(secret) <= _LONGEST_SECRET else digest(secret)
    return Credentials(int(number), hashed)


_digest = lru_cache(maxsize=4096)(digest)


@stepwise
def identified(caller: Credentials) -> Steps[Worker]:
    """The worker with these credentials. Raises UnknownWorker."""
    rows = yield Query(FIND_WORKER, {"worker": caller.pk})
    worker = Worker(*rows[0]) if rows else None
    stored = bytes(worker.secret_digest) if worker else _NO_DIGEST
    if not hmac.compare_digest(caller.secret_digest, stored) or worker is None:
        raise UnknownWorker
    return worker


FIND_WORKER = "SELECT id, alias, secret_digest, paused, created FROM workers_worker WHERE id = %(worker)s"
