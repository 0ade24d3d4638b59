"""Terminals that do not die."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Awaitable, Callable, Optional, Union

from ._convert import from_native
from ._errors import awaited, called, error_of
from ._native import hive_ffi as native
from ._native.records import Session, TerminalEnded, TerminalEvent, TerminalOutput, TerminalRefused
from ._streams import Opened


class Terminal(Opened):
    """A terminal on a satellite, as one viewer sees it.

    ``async for`` gives its output in chunks of bytes, :meth:`events` everything that happens. A way to the hive that breaks is
    found again by itself, and nothing is lost or typed twice. Closing it leaves; the program lives on.
    """

    def __init__(self, opening: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(opening)
        self._held = b""
        self.ended: Optional[TerminalEnded] = None
        """How the program ended, once it has."""

    @property
    def session(self) -> Session:
        """The terminal as it was last heard of, once it is open."""
        if self._opened is None:
            raise RuntimeError("this Terminal is not open")
        session: Session = from_native(self._opened.session())
        return session

    async def write(self, data: Union[bytes, str]) -> None:
        """Types. Waits until all of it is taken over, not until the program has read it."""
        await awaited((await self._open()).write(data.encode() if isinstance(data, str) else bytes(data)))

    async def resize(self, cols: int, rows: int) -> None:
        """Says that the viewer's screen has another size."""
        await awaited((await self._open()).resize(native.Size(cols=cols, rows=rows)))

    async def take_control(self) -> None:
        """Takes the keyboard from whoever has it."""
        await awaited((await self._open()).take_control())

    async def request_control(self) -> None:
        """Asks who has the keyboard for it."""
        await awaited((await self._open()).request_control())

    async def release_control(self) -> None:
        """Lets the keyboard go."""
        await awaited((await self._open()).release_control())

    async def grant_control(self, to: int) -> None:
        """Gives the keyboard to who asked for it, by the number in :class:`TerminalControlRequested`."""
        await awaited((await self._open()).grant_control(to))

    async def events(self) -> AsyncIterator[TerminalEvent]:
        """Everything that happens, to the program's end."""
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
        """Returns the output up to this text, and the text. What follows it is for the next reader.

        Raises ``EOFError`` where the program ends before, and ``TimeoutError`` where the time is over; then what was read
        is for the next reader.
        """
        wanted = text.encode() if isinstance(text, str) else text
        try:
            return await asyncio.wait_for(self._read_until(wanted), timeout)
        except asyncio.TimeoutError:
            raise TimeoutError(f"the program did not say {wanted!r} in time") from None

    async def _read_until(self, wanted: bytes) -> bytes:
        looked_at = 0
        while (at := self._held.find(wanted, looked_at)) < 0:
            looked_at = max(0, len(self._held) - len(wanted) + 1)
            held, self._held = self._held, b""
            try:
                chunk = await self._chunk()
            except BaseException:
                self._held = held
                raise
            self._held = held + (chunk or b"")
            if chunk is None:
                raise EOFError(f"the program ended before it said {wanted!r}")
        end = at + len(wanted)
        read, self._held = self._held[:end], self._held[end:]
        return read

    async def _chunk(self) -> Optional[bytes]:
        if self._held:
            held, self._held = self._held, b""
            return held
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
