"""Work that needs the database, apart from how its statements are run.

The calls that workers make most are answered on an event loop, where nothing may block; commands, tests and Django run
the same work in a thread. So that each call is written once, it is a generator: it yields a Query and is sent the rows.

    @stepwise
    def closed(*, project_id: int) -> Steps[int]:
        ((count,),) = yield Query(COUNT_CLOSED, {"project": project_id})
        return count

    closed(project_id=7)         # runs it with Django's connection
    closed.steps(project_id=7)   # the generator, for the event loop, or for `yield from` in other steps
"""

import functools
from collections.abc import Callable, Generator
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar

from tracker import db

T = TypeVar("T")
P = ParamSpec("P")

Rows = list[tuple[Any, ...]]


class Query(NamedTuple):
    """A statement and its parameters.

    `again`: if the database ends it because of a deadlock, it may be run once more. `group`: how calls that wait at the
    same moment can go in one statement; None if they can't.
    """

    statement: str
    values: db.Values
    again: bool = False
    group: "Group | None" = None


class Group(NamedTuple):
    """How queries of one kind go in one statement.

    `statement` takes an array for each of their parameters, and another one, `position`, that it answers in the first
    column of each row. Queries are sorted by `order` beforehand, so that all such statements lock rows in one order.
    """

    statement: str
    order: Callable[[db.Values], Any]


class Supply(NamedTuple):
    """What can be waited for.

    `statement` takes the arrays `keys` and `amounts`, and answers for each key of which there is something: the key,
    how much of it anybody can have (at most the amount), and how much more of it only some can have.
    """

    statement: str


class Wait(NamedTuple):
    """A step that waits, for at most `seconds`, until there is something of one of the keys.

    `amount` is how much is wanted. What only some can have counts after `particular` seconds, and nothing counts for
    `rest` seconds. The step gets a row when it is worth a try, and none when the time is over; at once where nothing
    can wait, as in a thread. With a `signal`, it is also worth a try when this query, which is run every second,
    returns a row.
    """

    supply: Supply
    keys: frozenset[int]
    amount: int
    seconds: float
    particular: float = 0.0
    rest: float = 0.0
    signal: Query | None = None


Steps = Generator[Query | Wait, Rows, T]


class Stepwise(Generic[P, T]):
    """A function made of steps; see the module."""

    def __init__(self, function: Callable[P, Steps[T]]) -> None:
        self.steps = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(self.steps(*args, **kwargs))


def stepwise(function: Callable[P, Steps[T]]) -> Stepwise[P, T]:
    """Make a generator of queries callable as an ordinary function."""
    return Stepwise(function)


def run(steps: Steps[T]) -> T:
    """Run the steps with Django's connection, in this thread."""
    try:
        step = next(steps)
        while True:
            try:
                rows = _rows(step)
            except Exception as error:
                step = steps.throw(error)
            else:
                step = steps.send(rows)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


def _rows(step: Query | Wait) -> Rows:
    if isinstance(step, Wait):
        return []
    return db.rows_again(step.statement, step.values) if step.again else db.rows(step.statement, step.values)
