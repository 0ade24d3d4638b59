"""One viewer of a session."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Awaitable, Callable, Optional, Union

from ._convert import from_native
from ._errors import awaited, called, error_of
from ._native import hive_ffi as native
from ._native.records import Session, TerminalEnded, TerminalEvent, TerminalOutput, TerminalRefused
from ._streams import Opened


class Terminal(Opened):
    """One viewer of a session.

    ``async for`` yields the output in chunks of bytes, :meth:`events` all events. If the connection to the hive breaks, the
    viewer reattaches by itself, and no input or output is lost or repeated. Closing it detaches; the program continues.
    """

    def __init__(self, opening: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(opening)
        self._unread = b""
        self.ended: Optional[TerminalEnded] = None
        """How the program ended, once it has."""

    @property
    def session(self) -> Session:
        """The session as last reported, once the terminal is open."""
        if self._opened is None:
            raise RuntimeError("this Terminal is not open")
        session: Session = from_native(self._opened.session())
        return session

    async def write(self, data: Union[bytes, str]) -> None:
        """Sends input. Waits until all of it is accepted, not until the program has read it."""
        await awaited((await self._open()).write(data.encode() if isinstance(data, str) else bytes(data)))

    async def resize(self, cols: int, rows: int) -> None:
        """Reports another size of the viewer's screen."""
        await awaited((await self._open()).resize(native.Size(cols=cols, rows=rows)))

    async def take_control(self) -> None:
        """Takes the keyboard from its holder."""
        await awaited((await self._open()).take_control())

    async def request_control(self) -> None:
        """Asks the holder of the keyboard for it."""
        await awaited((await self._open()).request_control())

    async def release_control(self) -> None:
        """Releases the keyboard."""
        await awaited((await self._open()).release_control())

    async def grant_control(self, to: int) -> None:
        """Gives the keyboard to a viewer that asked for it, by the number in :class:`TerminalControlRequested`."""
        await awaited((await self._open()).grant_control(to))

    async def events(self) -> AsyncIterator[TerminalEvent]:
        """All events, to the end of the program."""
        while (event := await self._next()) is not None:
            yield event

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def read_until(self, text: Union[bytes, str], *, timeout: Optional[float] = None) -> bytes:
        """Returns the output up to and including this text. The rest is left for the next read.

        Raises ``EOFError`` if the program ends before, and ``TimeoutError`` after the timeout. Then all output is left for
        the next read.
        """
        pattern = text.encode() if isinstance(text, str) else text
        try:
            return await asyncio.wait_for(self._read_until(pattern), timeout)
        except asyncio.TimeoutError:
            raise TimeoutError(f"the program did not print {pattern!r} in time") from None

    async def _read_until(self, pattern: bytes) -> bytes:
        searched = 0
        while (at := self._unread.find(pattern, searched)) < 0:
            searched = max(0, len(self._unread) - len(pattern) + 1)
            unread, self._unread = self._unread, b""
            try:
                chunk = await self._chunk()
            except BaseException:
                self._unread = unread
                raise
            self._unread = unread + (chunk or b"")
            if chunk is None:
                raise EOFError(f"the program ended before it printed {pattern!r}")
        end = at + len(pattern)
        read, self._unread = self._unread[:end], self._unread[end:]
        return read

    async def _chunk(self) -> Optional[bytes]:
        if self._unread:
            unread, self._unread = self._unread, b""
            return unread
        while (event := await self._next()) is not None:
            if isinstance(event, TerminalOutput):
                return event.data
        return None

    async def _next(self) -> Optional[TerminalEvent]:
        opened = await self._open()
        while await opened.wait():
            taken = called(opened.take)
            if taken is None:
                continue
            event: TerminalEvent = from_native(taken)
            if isinstance(event, TerminalRefused):
                raise error_of(event.error.code, event.error.message)
            if isinstance(event, TerminalEnded):
                self.ended = event
            return event
        return None

    async def _end(self, opened: Any) -> None:
        await opened.close()
