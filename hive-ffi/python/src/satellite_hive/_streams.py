"""Objects that are opened by their first use, and streams that are read with ``async for``."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, AsyncIterator, Awaitable, Callable, Generator, Generic, Optional, TypeVar

from ._convert import from_native
from ._errors import Conflict, awaited, called

T = TypeVar("T")
Self = TypeVar("Self", bound="Opened")


class Opened:
    """An object that is opened once: by ``await``, by ``async with``, or by its first use."""

    def __init__(self, opening: Callable[[], Awaitable[Any]]) -> None:
        self._opening: Optional[Callable[[], Awaitable[Any]]] = opening
        self._opened: Any = None
        self._lock: Optional[asyncio.Lock] = None

    async def _open(self) -> Any:
        if self._opened is not None:
            return self._opened
        if self._lock is None:
            self._lock = asyncio.Lock()
        async with self._lock:
            if self._opened is None:
                opened = None if self._opening is None else await awaited(self._opening())
                if self._opening is None:
                    if opened is not None:
                        await self._end(opened)
                    raise Conflict(f"this {type(self).__name__} was closed")
                self._opened = opened
        return self._opened

    async def _self(self: Self) -> Self:
        await self._open()
        return self

    def __await__(self: Self) -> Generator[Any, None, Self]:
        return self._self().__await__()

    async def __aenter__(self: Self) -> Self:
        return await self._self()

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes it, here and on the hive."""
        # Both are dropped: the closure of `_opening` also keeps the hive alive.
        opened, self._opened, self._opening = self._opened, None, None
        if opened is not None:
            await self._end(opened)

    async def _end(self, opened: Any) -> None:
        raise NotImplementedError


class Stream(Opened, Generic[T]):
    """A stream for one reader: ``async for event in stream``.

    It starts with its first use; ``async with`` starts it before the next statement. A reader that stops waiting for the next
    item, as with a timeout, loses none.
    """

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        opened = await self._open()
        while await opened.wait():
            item = called(opened.take)
            if item is not None:
                taken: T = from_native(item)
                return taken
        raise StopAsyncIteration

    async def _end(self, opened: Any) -> None:
        opened.close()
