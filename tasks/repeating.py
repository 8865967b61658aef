"""Calls that are safe to repeat: with a header Idempotency-Key, a repeated call gets the first one's answer.

A handler is a generator of queries, and its answer follows from their rows. So it is the rows that are kept, by
queue_once, in the transaction that made them. A repeated call runs the handler again, hands it the rows that are kept,
and goes on where they end: nowhere in most cases, since most calls are one statement.

What makes this right for calls of several statements, such as a lease from any project:

- Rows of statements that change something are kept by the same transaction, and with them the rows of all that the
  handler has read before. So whatever has happened is known to a repeated call, and how the handler came to it.
- A handler decides by nothing but rows, so it asks for the same statements again, in the same order.
- A statement is run only by who knows all rows that are kept so far. When two sessions do the same call, one finds that
  the other was quicker; then it begins again and takes over what the other one has got. Both answer the same.
- An error of the database ends the call: the handler never sees it, and a repeated call goes on behind what is kept.

While a call waits for a task, tries that find nothing are not kept; that it has waited to the end is. An answer that is
cut short, since its client has hung up or the process stops, is not kept. If another session does the same call, the
first to get an answer keeps it, and the other one sees that within a second or two.
"""

import functools
import time
from typing import Any, NamedTuple

import orjson

from tasks.queue.exchanging import EXCHANGE, EXCHANGE_EXTENDING
from tasks.queue.functions.lease import COLUMNS
from tasks.queue.functions.once import KEY_SECONDS
from tasks.queue.heartbeating import CANCELLED
from tasks.queue.leasing import LEASE, NOT_YET, PROJECTS_WITH_WORK
from tasks.queue.releasing import RELEASE, RELEASE_MANY
from tasks.queue.submitting import FIND_BY_HASH, SUBMIT, SUBMIT_MANY
from tracker import db
from tracker.api.envelope import Reply
from tracker.api.errors import ApiError, BadInput
from tracker.steps import Query, Rows, Steps, Supply, Wait
from workers.calls import IDEMPOTENCY_KEY, Call, Handler
from workers.identity import UnknownWorker

LONGEST_KEY = 64
# How many keys one call of `forget_keys` deletes.
BATCH = 5_000
# A call that waits may begin with a key that is about to be too old, and go on a little later.
_SPARE_SECONDS = 60
REPLAYED = "Idempotency-Replayed"

# What is kept when a call has waited for a task to the end.
_OVER = "null"
# A call that waits for another one under its key waits in the database after so long.
_PATIENCE_SECONDS = 1.0
# A timer of the event loop may be so many seconds early.
_EARLY = 0.05


class KeyReused(ApiError):
    """This Idempotency-Key was used for another request within the last ten minutes; use a new key for each request."""

    status = 422


class Changing(NamedTuple):
    """A statement that changes something: its columns and their types, and when its rows are kept, in SQL.

    Refusals aren't: the worker is to try again, or to mend its request.
    """

    columns: str
    kept: str


CHANGING = {
    SUBMIT: Changing("outcome text, delay float8, id bigint", "bool_or(outcome IN ('stored', 'duplicate'))"),
    SUBMIT_MANY: Changing("outcome text, delay float8, ids bigint[]", "bool_or(outcome = 'stored')"),
    RELEASE: Changing("outcome text, missing int", "bool_or(outcome IN ('released', 'not_held'))"),
    RELEASE_MANY: Changing("outcome text, missing int[]", "bool_or(outcome = 'released')"),
    # With no task, it is only a try.
    LEASE: Changing(COLUMNS, "count(*) > 1"),
    EXCHANGE: Changing(f"{COLUMNS}, missing int[]", "bool_or(missing IS NOT NULL)"),
    EXCHANGE_EXTENDING: Changing(
        f"{COLUMNS}, missing int[], expires float8[], cancelled bool[]", "bool_or(missing IS NOT NULL)"
    ),
}

# Statements that only read, and by whose rows a handler decides how to go on.
READING = frozenset([FIND_BY_HASH, PROJECTS_WITH_WORK, NOT_YET, CANCELLED])

# Measured by a lease for the next one, in the process that runs it: no use when its rows are handed out again.
_MEASURED = frozenset(["visited", "allowed", "counted"])


def repeatable(handler: Handler) -> Handler:
    """Let a call be repeated under its Idempotency-Key. One without is none the wiser."""

    @functools.wraps(handler)
    def handle(call: Call, **arguments: Any) -> Steps[Reply]:
        if call.idempotency_key is None:
            return handler(call, **arguments)
        return _handle(handler, call, arguments)

    return handle


def _handle(handler: Handler, call: Call, arguments: dict[str, Any]) -> Steps[Reply]:
    key = checked(call.idempotency_key or "")
    kept: list[str] = []
    while True:
        try:
            return (yield from _Repeatable(call, key, kept).run(handler(call, **arguments)))
        except _Overtaken as overtaken:
            kept = overtaken.answers


def checked(key: str) -> str:
    """The key, if it may be one. Raises BadInput."""
    if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise BadInput(
            f"{IDEMPOTENCY_KEY}: must be 1 to {LONGEST_KEY} printable ASCII characters; "
            "send a random one with each new request, such as a UUID, and the same one when you repeat it."
        )
    return key


def forget_keys() -> int:
    """Delete keys that are too old to repeat a call; a periodic job. Returns their number."""
    return db.affected(FORGET_KEYS, {"seconds": KEY_SECONDS + _SPARE_SECONDS, "limit": BATCH})


class _Overtaken(Exception):
    """Another session does the same call, and has kept these answers meanwhile."""

    def __init__(self, answers: list[str]) -> None:
        super().__init__()
        self.answers = answers


class _Repeatable:
    """A call that is being done, or repeated. `kept` are the answers that are known to be kept."""

    def __init__(self, call: Call, key: str, kept: list[str]) -> None:
        self._call, self._key, self._kept = call, key, kept
        # How many of them the handler has got.
        self._place = 0
        # Answers since then, which are kept with the next one that is worth it, or at the end.
        self._passing: list[str] = []
        self._has_asked = bool(kept)
        self._is_repeat = True
        self._is_cut = False

    def run(self, steps: Steps[Reply]) -> Steps[Reply]:
        """Run the handler's steps."""
        rows: Rows = []
        error: Exception | None
        try:
            step = next(steps)
            while True:
                error = None
                if isinstance(step, Wait):
                    rows = yield from self._wait(step)
                elif step.statement in CHANGING:
                    rows = yield from self._change(step)
                elif step.statement in READING:
                    rows = yield from self._read(step)
                else:
                    # About the caller, and not about what it asks for.
                    try:
                        rows = yield step
                    except Exception as raised:
                        error = raised
                step = steps.send(rows) if error is None else steps.throw(error)
        except StopIteration as end:
            reply: Reply = end.value
        except ApiError as refusal:
            refusal.headers = self._marked(refusal.headers)
            raise
        if self._passing and not self._is_cut:
            # It has an end, also where the handler would go on waiting.
            self._passing.append(_OVER)
            yield from self._ask(None)
        reply.headers = self._marked(reply.headers)
        return reply

    def _marked(self, headers: dict[str, str]) -> dict[str, str]:
        return {**headers, REPLAYED: "true"} if self._is_repeat and self._place else headers

    def _change(self, query: Query) -> Steps[Rows]:
        if self._place < len(self._kept):
            return self._next(query.statement)
        (answer, is_kept) = yield from self._ask(query)
        if answer is None:
            return self._next(query.statement)
        if is_kept:
            self._kept = [*self._kept, *self._passing, answer]
            self._place, self._passing = len(self._kept), []
        else:
            self._passing.append(answer)
        return _rows(answer, query.statement)

    def _read(self, query: Query) -> Steps[Rows]:
        if not self._has_asked:
            # Before it reads anew what has been read already.
            yield from self._ask(None)
        if self._place < len(self._kept):
            return self._next(query.statement)
        self._is_repeat = False
        rows = yield query
        self._passing.append(orjson.dumps(rows).decode())
        return rows

    def _wait(self, wait: Wait) -> Steps[Rows]:
        if self._place < len(self._kept):
            # What comes next is what it has waited for.
            if self._kept[self._place] != _OVER:
                return [(True,)]
            self._place += 1
            return []
        if not self._call.waits:
            self._passing.append(_OVER)
            return []
        until = time.monotonic() + wait.seconds - _EARLY
        known = {"worker": self._call.caller.pk, "key": self._key, "known": len(self._kept), "seconds": KEY_SECONDS}
        rows = yield wait._replace(signal=Query(IS_KEPT, known))
        if rows:
            self._passing.clear()
            self._has_asked = False
        elif time.monotonic() >= until:
            self._passing.append(_OVER)
        else:
            self._is_cut = True
        return rows

    def _next(self, statement: str) -> Rows:
        """The next rows that are kept."""
        answer = self._kept[self._place]
        self._place += 1
        return _rows(answer, statement, forget=_MEASURED)

    def _ask(self, query: Query | None) -> Steps[tuple[str | None, bool]]:
        """Run the statement, if any, and keep what is worth it. Returns its answer, and whether that is kept.

        The answer is None if the call turns out to be a repeated one, or if nothing was run. Raises _Overtaken,
        UnknownWorker and KeyReused.
        """
        self._has_asked = True
        caller = self._call.caller
        values = {
            "worker": caller.pk,
            "digest": caller.secret_digest,
            "key": self._key,
            "request": self._call.fingerprint(),
            "known": len(self._kept),
            "before": db.array(self._passing),
            "call": None if query is None else db.Written(_TEXTS[query.statement], query.values),
        }
        is_patient = not self._call.waits
        while True:
            asked = Query(ONCE, {**values, "patient": is_patient}, again=query is None or query.again)
            ((outcome, answers),) = yield asked
            if outcome != "under_way":
                break
            # The event loop has few connections: a worker must not occupy all of them with calls that wait for one.
            is_patient = not (yield Wait(UNDER_WAY, frozenset([caller.pk]), 1, _PATIENCE_SECONDS))
        match outcome:
            case "unknown_worker":
                raise UnknownWorker
            case "other_request":
                raise KeyReused
            case "known" if self._place or self._passing:
                raise _Overtaken(answers or [])
            case "known":
                self._kept = answers
                return None, True
        self._is_repeat = self._is_repeat and query is None
        return (answers[0] if answers else None), outcome == "kept"


def _rows(answer: str, statement: str, *, forget: frozenset[str] = frozenset()) -> Rows:
    """The rows of a statement as the driver returns them; None for columns in `forget`."""
    parsed = orjson.loads(answer)
    if statement in READING:
        return [tuple(row) for row in parsed]
    columns = _COLUMNS[statement]
    return [tuple([None if name in forget else convert(row.get(name)) for name, convert in columns]) for row in parsed]


def _float(value: Any) -> Any:
    """JSON has one kind of numbers, and 1.0 is written like 1."""
    return None if value is None else float(value)


def _floats(values: Any) -> Any:
    return None if values is None else [_float(value) for value in values]


def _same(value: Any) -> Any:
    return value


_CONVERTED = {"float8": _float, "float8[]": _floats}

_COLUMNS = {
    statement: [
        (name, _CONVERTED.get(kind, _same)) for name, kind in (column.split() for column in changing.columns.split(","))
    ]
    for statement, changing in CHANGING.items()
}

# Each statement, returning its rows as JSON and whether they are kept.
_TEXTS = {
    statement: f"SELECT json_agg(json_strip_nulls(row_to_json(one)))::text, {changing.kept} FROM ({statement}) AS one"  # noqa: S608
    for statement, changing in CHANGING.items()
}

ONCE = """
SELECT outcome, answers FROM queue_once(
    %(worker)s, %(digest)s, %(key)s, %(request)s, %(known)s, %(before)s::text[], %(call)s, %(patient)s
)
"""

# Whether another session has kept more answers of a call that waits.
IS_KEPT = """
SELECT true FROM tasks_repeatable
WHERE worker_id = %(worker)s AND key = %(key)s AND cardinality(answers) > %(known)s
  AND (%(known)s > 0 OR at > now() - make_interval(secs => %(seconds)s))
"""

# For calls whose key is locked: always there, so that each of them looks again with the room's next look.
UNDER_WAY = Supply("SELECT key, amount, 0 FROM unnest(%(keys)s::bigint[], %(amounts)s::int[]) AS waiting (key, amount)")

# Uses the index repeatable_by_time, and finds the rows again by their places.
FORGET_KEYS = """
DELETE FROM tasks_repeatable
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM tasks_repeatable
    WHERE at < now() - make_interval(secs => %(seconds)s)
    ORDER BY at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
))
"""
