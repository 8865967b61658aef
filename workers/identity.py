"""Who calls: a worker's id and secret, as the headers X-Worker-ID and X-Secret bring them."""

import hmac
from typing import NamedTuple, Protocol

from tracker import db
from tracker.api.errors import NotIdentified
from tracker.api.fields import INT64
from workers.models import Worker
from workers.services import digest

# Compared against when there is no such worker, so that the answer takes as long as for a wrong secret.
_NO_DIGEST = bytes(32)

_ID_DIGITS = 19


class UnknownWorker(NotIdentified):
    """There is no worker with this X-Worker-ID and X-Secret."""


class Caller(Protocol):
    """Whoever calls a function of the database that looks itself whether this is so: a Worker, or Credentials."""

    @property
    def pk(self) -> int: ...

    @property
    def secret_digest(self) -> bytes | memoryview: ...


class Credentials(NamedTuple):
    """Who a caller says it is."""

    pk: int
    secret_digest: bytes


def credentials(number: str | None, secret: str | None) -> Credentials | None:
    """What the two headers say; None if there is neither. Raises NotIdentified."""
    if number is None and secret is None:
        return None
    if number is None or secret is None:
        raise NotIdentified("Send both headers, X-Worker-ID and X-Secret.")
    if not (number.isascii() and number.isdigit() and len(number) <= _ID_DIGITS and 0 < int(number) <= INT64[1]):
        raise NotIdentified("X-Worker-ID: must be the whole number that /worker/create answered as `id`.")
    return Credentials(int(number), digest(secret))


def identified(caller: Credentials) -> Worker:
    """The worker that the caller says it is. Raises UnknownWorker."""
    row = db.one(FIND_WORKER, {"worker": caller.pk})
    worker = Worker(*row) if row else None
    stored = bytes(worker.secret_digest) if worker else _NO_DIGEST
    if not hmac.compare_digest(caller.secret_digest, stored) or worker is None:
        raise UnknownWorker
    return worker


FIND_WORKER = "SELECT id, alias, secret_digest, paused, created FROM workers_worker WHERE id = %(worker)s"
