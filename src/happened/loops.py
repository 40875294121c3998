"""Layer 4. Event loops: where the ``async def`` handlers of a domain run."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from happened.errors import ConfigurationError, HappenedError
from happened.tracing import leave

__all__ = ["call_in_thread", "run"]

_T = TypeVar("_T")

_caller: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar("happened.loop", default=None)


async def call_in_thread(function: Callable[[Any], _T], argument: Any) -> _T:
    """Call a function in a thread; the coroutines that it runs with `run` run in this loop.

    Args:
        function: what is called.
        argument: with what.

    Returns:
        What the function returned.

    Example:
        >>> import asyncio
        >>> from happened.loops import call_in_thread
        >>> asyncio.run(call_in_thread(len, "abc"))
        3
    """
    token = _caller.set(asyncio.get_running_loop())
    try:
        return await asyncio.to_thread(function, argument)
    finally:
        leave(_caller, token)


def run(awaitable: Awaitable[Any], name: str) -> Any:
    """Run the coroutine of a handler to its end, or await what else it returned.

    It runs in the loop that `call_in_thread` was awaited in, or else in one of its own.

    Args:
        awaitable: what calling the handler returned.
        name: the name of the handler, for the error.

    Returns:
        What the handler returned.

    Raises:
        ConfigurationError: a loop is running in this thread, and would stand still.
        HappenedError: it was cancelled.

    Example:
        >>> from happened.loops import run
        >>> async def greet():
        ...     return "hello"
        >>> run(greet(), "greet")
        'hello'
    """
    loop = _caller.get()
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        _give_up(awaitable)
        raise ConfigurationError(
            f"{name} is async, and an event loop is running here already; use "
            "`await domain.aprocess(...)`, or `await asyncio.to_thread(...)` for any other call"
        )
    coroutine = awaitable if inspect.iscoroutine(awaitable) else _awaiting(awaitable)
    try:
        if loop is None or not loop.is_running():
            return asyncio.run(coroutine)
        return _run_in(loop, coroutine)
    except (asyncio.CancelledError, CancelledError) as error:
        # The caller's own task goes on: it is the handler's task, which nobody else knows, that
        # was cancelled.
        raise HappenedError(f"{name} was cancelled") from error


async def _awaiting(awaitable: Awaitable[Any]) -> Any:
    """A coroutine, which alone can be run, that does nothing but await."""
    return await awaitable


def _give_up(awaitable: Awaitable[Any]) -> None:
    """Let nothing of it run, or run on, and nobody be told that it was never awaited."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()
    elif isinstance(awaitable, asyncio.Future):
        awaitable.cancel()


def _run_in(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a loop that runs in another thread."""
    ended: Future[Any] = Future()
    context = copy_context()

    def start() -> None:
        task = loop.create_task(coroutine, context=context)
        task.add_done_callback(finish)

    def finish(task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            ended.cancel()
        elif (error := task.exception()) is not None:
            ended.set_exception(error)
        else:
            ended.set_result(task.result())

    loop.call_soon_threadsafe(start)
    return ended.result()
