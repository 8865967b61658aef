"""Running coroutines in tests."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def on_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns, on a loop of its own.

    In a thread of its own, too: playwright leaves a loop running in the one where the browser's tests have been.
    """

    async def bounded() -> T:
        return await asyncio.wait_for(coroutine, 60)

    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, bounded()).result()


async def outcome(begin: Callable[..., None], *arguments: Any) -> Any:
    """What `begin` hands to its last argument, a callback that takes a value and an error; raises the error."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(value: Any, error: Exception | None) -> None:
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    begin(*arguments, done)
    return await future
