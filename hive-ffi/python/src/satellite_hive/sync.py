"""The same without ``async``, for scripts and notebooks.

>>> with Hive.connect("http://127.0.0.1:3000", "hive_key_…") as hive:  # doctest: +SKIP
...     for result in hive.exec_many("all", "uptime"):
...         print(result.satellite_name, result.text)

Each :class:`Hive` has an event loop in a thread of its own, which ends when it is closed.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import weakref
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Awaitable,
    Callable,
    Coroutine,
    Generic,
    Iterator,
    Mapping,
    Optional,
    TypeVar,
    Union,
)

from . import _hive, _streams, _terminal
from ._options import CommandLine, CommandOptions
from ._native.records import ExecEvent, JobEvent, SatelliteEvent, Session, TerminalEnded, TerminalEvent, ViewMode

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec, Unpack

    P = ParamSpec("P")

T = TypeVar("T")
Async = TypeVar("Async", bound="_streams.Opened")
Self = TypeVar("Self", bound="_Sync[Any]")

__all__ = ["Hive", "Server", "Stream", "Terminal"]


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="satellite-hive", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs work on the loop, and cancels it if the caller is interrupted."""
        if self._loop.is_closed():
            work.close()
            raise RuntimeError("this Hive was closed")
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


class _Sync(Generic[Async]):
    """An asynchronous object, and the loop that it runs on."""

    def __init__(self, inner: Async, loop: _Loop) -> None:
        self._inner = inner
        self._loop = loop

    def __enter__(self: Self) -> Self:
        self._loop.run(self._inner.__aenter__())
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes it, here and on the hive."""
        self._loop.run(self._inner.aclose())


def _waiting(
    method: Callable[Concatenate[Async, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[_Sync[Async], P], T]:
    @functools.wraps(method)
    def call(self: _Sync[Async], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._loop.run(method(self._inner, *args, **kwargs))

    return call


class Stream(_Sync["_streams.Stream[T]"], Generic[T]):
    """A stream for one reader: ``for event in stream``."""

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return _next(self._loop, self._inner.__anext__)


class Terminal(_Sync[_terminal.Terminal]):
    """One viewer of a session; its methods are those of :class:`satellite_hive.Terminal`."""

    @property
    def session(self) -> Session:
        """The session as last reported, once the terminal is open."""
        return self._inner.session

    @property
    def ended(self) -> Optional[TerminalEnded]:
        """How the program ended, once it has."""
        return self._inner.ended

    write = _waiting(_terminal.Terminal.write)
    resize = _waiting(_terminal.Terminal.resize)
    take_control = _waiting(_terminal.Terminal.take_control)
    request_control = _waiting(_terminal.Terminal.request_control)
    release_control = _waiting(_terminal.Terminal.release_control)
    grant_control = _waiting(_terminal.Terminal.grant_control)
    read_until = _waiting(_terminal.Terminal.read_until)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return _next(self._loop, self._inner.__anext__)

    def events(self) -> Iterator[TerminalEvent]:
        """Everything that happens, to the program's end."""
        events = self._inner.events()
        while True:
            try:
                yield _next(self._loop, events.__anext__)
            except StopIteration:
                return


class Server(_Sync[_hive.Server]):
    """A server of a hive in this process."""

    @property
    def url(self) -> str:
        """The URL that it listens on."""
        return self._inner.url

    stop = _waiting(_hive.Server.stop)


class Hive(_Sync[_hive.Hive]):
    """A hive; its methods are those of :class:`satellite_hive.Hive`."""

    @classmethod
    def connect(cls, url: str, api_key: str) -> Hive:
        """Names a remote hive by its URL, and acts on it with an API key. Nothing is sent yet."""
        return cls(_hive.Hive.connect(url, api_key), _Loop())

    @classmethod
    def login(cls, url: str, username: str, password: str) -> Hive:
        """Logs in to a hive with a password, and acts on it as that user until the login ends."""
        return cls(_hive.Hive.login(url, username, password), _Loop())

    @classmethod
    def open(cls, path: Union[str, os.PathLike[str], None] = None) -> Hive:
        """A hive in this process with its data in a directory; without one, in memory."""
        return cls(_hive.Hive.open(path), _Loop())

    def __init__(self, inner: _hive.Hive, loop: _Loop) -> None:
        super().__init__(inner, loop)
        # A finalizer also runs at the end of the program, while its threads still run.
        weakref.finalize(self, loop.close)

    def close(self) -> None:
        """Closes it, and ends its thread."""
        try:
            super().close()
        finally:
            self._loop.close()

    def serve(self, address: str = "127.0.0.1:3000") -> Server:
        """Lets satellites and clients reach a hive in this process over HTTP. Port 0 takes a free port."""
        return Server(self._inner.serve(address), self._loop).__enter__()

    satellites = _waiting(_hive.Hive.satellites)
    satellite = _waiting(_hive.Hive.satellite)
    satellite_update = _waiting(_hive.Hive.satellite_update)
    satellite_remove = _waiting(_hive.Hive.satellite_remove)
    satellite_disconnect = _waiting(_hive.Hive.satellite_disconnect)

    def events(self) -> Stream[SatelliteEvent]:
        """What happens to satellites from now on."""
        return Stream(self._inner.events(), self._loop).__enter__()

    exec = _waiting(_hive.Hive.exec)
    exec_many = _waiting(_hive.Hive.exec_many)
    fan_out = _waiting(_hive.Hive.fan_out)
    submit = _waiting(_hive.Hive.submit)
    power = _waiting(_hive.Hive.power)
    command = _waiting(_hive.Hive.command)
    commands = _waiting(_hive.Hive.commands)
    command_output = _waiting(_hive.Hive.command_output)
    command_cancel = _waiting(_hive.Hive.command_cancel)

    def exec_stream(
        self,
        targets: _hive.Targets,
        command: CommandLine,
        *,
        concurrency: Optional[int] = None,
        **options: Unpack[CommandOptions],
    ) -> Stream[ExecEvent]:
        """Like :meth:`exec_many`, with the events as they happen."""
        events = self._inner.exec_stream(targets, command, concurrency=concurrency, **options)
        return Stream(events, self._loop).__enter__()

    job_submit = _waiting(_hive.Hive.job_submit)
    job = _waiting(_hive.Hive.job)
    jobs = _waiting(_hive.Hive.jobs)
    job_targets = _waiting(_hive.Hive.job_targets)
    job_cancel = _waiting(_hive.Hive.job_cancel)

    def job_watch(self, job_id: str) -> Stream[JobEvent]:
        """The events of a job until it has ended, beginning with what has happened already."""
        return Stream(self._inner.job_watch(job_id), self._loop).__enter__()

    def terminal(
        self,
        satellite: str,
        *,
        shell: Optional[str] = None,
        env: Optional[Mapping[str, str]] = None,
        cols: int = 80,
        rows: int = 24,
    ) -> Terminal:
        """Opens a session on a satellite, and attaches to it."""
        terminal = self._inner.terminal(satellite, shell=shell, env=env, cols=cols, rows=rows)
        return Terminal(terminal, self._loop).__enter__()

    def attach(
        self, session_id: str, *, mode: ViewMode = "control", cols: Optional[int] = None, rows: Optional[int] = None
    ) -> Terminal:
        """Attaches to a session."""
        return Terminal(self._inner.attach(session_id, mode=mode, cols=cols, rows=rows), self._loop).__enter__()

    sessions = _waiting(_hive.Hive.sessions)
    session = _waiting(_hive.Hive.session)
    session_input = _waiting(_hive.Hive.session_input)
    session_resize = _waiting(_hive.Hive.session_resize)
    session_terminate = _waiting(_hive.Hive.session_terminate)

    request = _waiting(_hive.Hive.request)

    audit = _waiting(_hive.Hive.audit)
    audit_log = _waiting(_hive.Hive.audit_log)
    audit_export = _waiting(_hive.Hive.audit_export)
    audit_verify = _waiting(_hive.Hive.audit_verify)

    def audit_lines(self) -> Stream[str]:
        """The whole log. Each item is a line of JSON; the last one is the signed manifest."""
        return Stream(self._inner.audit_lines(), self._loop).__enter__()

    me = _waiting(_hive.Hive.me)
    team_create = _waiting(_hive.Hive.team_create)
    teams = _waiting(_hive.Hive.teams)
    api_key_create = _waiting(_hive.Hive.api_key_create)
    api_keys = _waiting(_hive.Hive.api_keys)
    api_key_rotate = _waiting(_hive.Hive.api_key_rotate)
    api_key_revoke = _waiting(_hive.Hive.api_key_revoke)
    registration_token_create = _waiting(_hive.Hive.registration_token_create)
    registration_tokens = _waiting(_hive.Hive.registration_tokens)
    registration_token_revoke = _waiting(_hive.Hive.registration_token_revoke)
    user_create = _waiting(_hive.Hive.user_create)
    users = _waiting(_hive.Hive.users)
    user_update = _waiting(_hive.Hive.user_update)
    user_password_reset = _waiting(_hive.Hive.user_password_reset)
    password_change = _waiting(_hive.Hive.password_change)
    team_members = _waiting(_hive.Hive.team_members)
    team_member_put = _waiting(_hive.Hive.team_member_put)
    team_member_remove = _waiting(_hive.Hive.team_member_remove)
    user_api_key_create = _waiting(_hive.Hive.user_api_key_create)


def _next(loop: _Loop, following: Callable[[], Awaitable[T]]) -> T:
    async def step() -> tuple[bool, Any]:
        try:
            return True, await following()
        except StopAsyncIteration:
            return False, None

    there, item = loop.run(step())
    if not there:
        raise StopIteration
    taken: T = item
    return taken
