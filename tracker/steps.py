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


Steps = Generator[Query, Rows, T]


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
        query = next(steps)
        while True:
            try:
                rows = db.rows_again(query.statement, query.values) if query.again else db.rows(*query[:2])
            except Exception as error:
                query = steps.throw(error)
            else:
                query = steps.send(rows)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
