"""The hive, embedded or remote."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterable, Literal, Mapping, Optional, Sequence, Union

from ._convert import from_native
from ._errors import awaited, called
from ._native import hive_ffi as native
from ._options import CommandLine, CommandOptions, command_of, seconds
from ._native.records import (
    ApiKey,
    AuditEntry,
    AuditVerification,
    Channel,
    CommandInfo,
    CommandResult,
    ExecEvent,
    FanOut,
    Job,
    JobEvent,
    JobTarget,
    Me,
    NewApiKey,
    NewRegistrationToken,
    NewUser,
    PowerAction,
    RegistrationToken,
    Satellite,
    SatelliteEvent,
    Session,
    Team,
    TeamMember,
    User,
    ViewMode,
)
from ._streams import Opened, Stream
from ._terminal import Terminal

if TYPE_CHECKING:
    from typing_extensions import Unpack

Targets = Union[str, Iterable[str]]
"""Satellites: names, ids, ``tag:x`` or ``all``; one or several."""

Role = Literal["viewer", "operator", "admin"]

_EXPORT_BATCH = 1000
"""Lines of an exported log that are written at once."""


class Hive(Opened):
    """A hive: a remote one (:meth:`connect`, :meth:`login`), or one in this process (:meth:`open`).

    Both have the same calls. ``async with`` opens and closes it. Otherwise the first call opens it, and it ends with the
    object. Every error is a :class:`HiveError`. Cancelling a task that awaits a call cancels the call.
    """

    @classmethod
    def connect(cls, url: str, api_key: str) -> Hive:
        """Names a remote hive by its URL, and acts on it with an API key.

        Nothing is sent yet. The first call raises :class:`InvalidInput` for an invalid URL.
        """
        connected = called(lambda: native.Hive.connect(url, api_key))
        return cls(lambda: _ready(connected))

    @classmethod
    def login(cls, url: str, username: str, password: str) -> Hive:
        """Logs in to a remote hive with a password, and acts on it as that user until the login ends."""
        return cls(lambda: native.Hive.login(url, username, password))

    @classmethod
    def open(cls, path: Union[str, os.PathLike[str], None] = None) -> Hive:
        """A hive in this process with its data in a directory; without one, in memory and lost with the object."""
        opened = called(lambda: native.Hive.open(None if path is None else os.fspath(path)))
        return cls(lambda: _ready(opened))

    async def _end(self, opened: Any) -> None:
        await awaited(opened.close())

    def serve(self, address: str = "127.0.0.1:3000") -> Server:
        """Lets satellites and clients reach a hive in this process over HTTP. Port 0 takes a free port.

        The end of the server closes the hive: its satellites were told to reconnect, and it does not accept them again.
        """

        async def opening() -> Any:
            return await (await self._open()).serve(address)

        return Server(opening)

    # Satellites.

    async def satellites(
        self,
        *,
        online: Optional[bool] = None,
        status: Optional[str] = None,
        tags: Iterable[str] = (),
        search: Optional[str] = None,
        team_id: Optional[str] = None,
        group: Optional[str] = None,
        sort: Optional[str] = None,
    ) -> list[Satellite]:
        """The satellites that the caller may see and that meet all given conditions: by name, or in the order of ``sort``,
        such as ``-last_seen``."""
        matching = native.SatelliteFilter(
            online=online,
            status=status,
            tags=list(tags),
            search=search,
            team_id=team_id,
            group=group,
            sort=sort,
        )
        satellites: list[Satellite] = await self._call(lambda hive: hive.satellite_list(matching))
        return satellites

    async def satellite(self, satellite: str) -> Satellite:
        """The satellite with this name or id."""
        found: Satellite = await self._call(lambda hive: hive.satellite_get(satellite))
        return found

    async def satellite_update(
        self,
        satellite: str,
        *,
        name: Optional[str] = None,
        tags: Optional[Iterable[str]] = None,
        status: Optional[str] = None,
        region: Optional[str] = None,
        team_id: Union[str, None, Literal[False]] = None,
    ) -> Satellite:
        """Changes a satellite. ``None`` changes nothing; ``team_id=False`` is the whole hive."""
        scopes: Any = native.SatelliteScope
        scope = None if team_id is None else scopes.GLOBAL() if team_id is False else scopes.TEAM(team_id)
        labels = None if tags is None else list(tags)
        update = native.SatelliteUpdate(name=name, tags=labels, status=status, region=region, scope=scope)
        changed: Satellite = await self._call(lambda hive: hive.satellite_update(satellite, update))
        return changed

    async def satellite_remove(self, satellite: str) -> None:
        """Removes a satellite. Its key is invalid, its link ends, and its open commands are cancelled or of unknown outcome."""
        await self._call(lambda hive: hive.satellite_remove(satellite))

    async def satellite_disconnect(self, satellite: str) -> None:
        """Ends a satellite's link. The satellite reconnects unless it was removed."""
        await self._call(lambda hive: hive.satellite_disconnect(satellite))

    def events(self) -> Stream[SatelliteEvent]:
        """What happens to satellites from now on. Raises :class:`Unavailable` if it breaks off."""
        return self._stream(lambda hive: hive.satellite_events())

    # Commands.

    async def exec(self, satellite: str, command: CommandLine, **options: Unpack[CommandOptions]) -> CommandResult:
        """Runs a command on one satellite, by its name or id, and waits for its end.

        A program that fails is a result. A satellite that is offline is :class:`SatelliteOffline`, and nothing is stored.
        """
        request = command_of(command, options)
        result: CommandResult = await self._call(lambda hive: hive.exec(satellite, request))
        return result

    async def exec_many(
        self,
        targets: Targets,
        command: CommandLine,
        *,
        concurrency: Optional[int] = None,
        **options: Unpack[CommandOptions],
    ) -> list[CommandResult]:
        """Runs a command on many satellites and waits for all. The status is ``not_run`` where it could not be delivered."""
        names, request = _list(targets), command_of(command, options)
        results: list[CommandResult] = await self._call(lambda hive: hive.exec_many(names, request, concurrency))
        return results

    def exec_stream(
        self,
        targets: Targets,
        command: CommandLine,
        *,
        concurrency: Optional[int] = None,
        **options: Unpack[CommandOptions],
    ) -> Stream[ExecEvent]:
        """Like :meth:`exec_many`, with the events as they happen. Closing it leaves the commands running."""
        names, request = _list(targets), command_of(command, options)
        return self._stream(lambda hive: hive.exec_stream(names, request, concurrency))

    async def fan_out(
        self,
        targets: Targets,
        command: CommandLine,
        *,
        progress: Optional[Callable[[JobEvent], object]] = None,
        concurrency: Optional[int] = None,
        deadline: Optional[float] = None,
        **options: Unpack[CommandOptions],
    ) -> FanOut:
        """Runs a command on many satellites as a job, and returns all results.

        ``progress`` is called on the event loop with each :data:`JobEvent`. The job continues without its caller, and over
        restarts of the hive.
        """
        names, request = _list(targets), command_of(command, options)
        fan_out = native.FanOutOptions(concurrency=concurrency, deadline_seconds=seconds(deadline))
        observer = None if progress is None else _Progress(progress)
        result: FanOut = await self._call(lambda hive: hive.fan_out(names, request, fan_out, observer))
        return result

    async def submit(self, satellite: str, command: CommandLine, **options: Unpack[CommandOptions]) -> str:
        """Stores a command for a satellite, online or not, and returns its id at once."""
        request = command_of(command, options)
        command_id: str = await self._call(lambda hive: hive.submit(satellite, request))
        return command_id

    async def power(
        self, satellite: str, action: PowerAction, *, delay: float = 0, message: Optional[str] = None
    ) -> CommandResult:
        """Changes a machine's power state, and waits until the satellite reports that the change has started."""
        change, wait = native.PowerAction[action.upper()], round(delay)
        result: CommandResult = await self._call(lambda hive: hive.power(satellite, change, wait, message))
        return result

    async def command(self, command_id: str) -> Optional[CommandInfo]:
        """A command with its output so far; ``None`` if it does not exist, or the caller may not see it."""
        info: Optional[CommandInfo] = await self._call(lambda hive: hive.command_get(command_id))
        return info

    async def commands(
        self, satellite: str, *, limit: int = 100, page: int = 1, sort: Optional[str] = None
    ) -> list[CommandInfo]:
        """A satellite's commands, without their output: newest first, or in the order of ``sort``."""
        part = native.PageRequest(page=page, per_page=limit, sort=sort)
        commands: list[CommandInfo] = await self._call(lambda hive: hive.command_list(satellite, part))
        return commands

    async def command_output(
        self, command_id: str, channel: Channel = "stdout", *, start: int = 0
    ) -> bytes:
        """Output of a command from an offset on: at most 1 MiB, and nothing at the end of what there is so far."""
        which = native.Channel[channel.upper()]
        output: bytes = await self._call(lambda hive: hive.command_output(command_id, which, start))
        return output

    async def command_cancel(self, command_id: str) -> CommandInfo:
        """Cancels a command: a queued one at once, a running one when its process tree is gone."""
        info: CommandInfo = await self._call(lambda hive: hive.command_cancel(command_id))
        return info

    # Jobs.

    async def job_submit(
        self,
        targets: Targets,
        command: CommandLine,
        *,
        concurrency: Optional[int] = None,
        deadline: Optional[float] = None,
        **options: Unpack[CommandOptions],
    ) -> Job:
        """Stores a job and starts it."""
        names, request = _list(targets), command_of(command, options)
        fan_out = native.FanOutOptions(concurrency=concurrency, deadline_seconds=seconds(deadline))
        job: Job = await self._call(lambda hive: hive.job_submit(names, request, fan_out))
        return job

    async def job(self, job_id: str) -> Optional[Job]:
        """A job; ``None`` if it does not exist, or the caller may not see one of its satellites."""
        job: Optional[Job] = await self._call(lambda hive: hive.job_get(job_id))
        return job

    async def jobs(self, *, limit: int = 100, page: int = 1, sort: Optional[str] = None) -> list[Job]:
        """Jobs: newest first, or in the order of ``sort``, such as ``-finished_at``."""
        part = native.PageRequest(page=page, per_page=limit, sort=sort)
        jobs: list[Job] = await self._call(lambda hive: hive.job_list(part))
        return jobs

    async def job_targets(self, job_id: str) -> list[JobTarget]:
        """All satellites of a job by name. The output is that of their commands."""
        targets: list[JobTarget] = await self._call(lambda hive: hive.job_target_list(job_id))
        return targets

    async def job_cancel(self, job_id: str) -> Job:
        """Cancels a job: what waits ends at once, what runs when its process tree is gone. Does not wait for its end."""
        job: Job = await self._call(lambda hive: hive.job_cancel(job_id))
        return job

    def job_watch(self, job_id: str) -> Stream[JobEvent]:
        """What happens to a job until it has ended, beginning with what has happened."""
        return self._stream(lambda hive: hive.job_watch(job_id))

    # Terminals.

    def terminal(
        self,
        satellite: str,
        *,
        shell: Optional[str] = None,
        env: Optional[Mapping[str, str]] = None,
        cols: int = 80,
        rows: int = 24,
    ) -> Terminal:
        """Opens a session on a satellite, and attaches to it: ``async with hive.terminal("web-server-01") as terminal``."""
        size = native.Size(cols=cols, rows=rows)
        options = native.SessionOptions(shell=shell, env=dict(env or {}), size=size)

        async def opening() -> Any:
            hive = await self._open()
            session = await hive.session_create(satellite, options)
            return await hive.session_attach(session.id, native.ViewMode.CONTROL, size)

        return Terminal(opening)

    def attach(
        self, session_id: str, *, mode: ViewMode = "control", cols: Optional[int] = None, rows: Optional[int] = None
    ) -> Terminal:
        """Attaches to a session."""
        size = None if cols is None or rows is None else native.Size(cols=cols, rows=rows)
        how = native.ViewMode[mode.upper()]

        async def opening() -> Any:
            return await (await self._open()).session_attach(session_id, how, size)

        return Terminal(opening)

    async def sessions(self, satellite: Optional[str] = None, *, ended: bool = False) -> list[Session]:
        """Sessions, newest first; ended ones only with ``ended``."""
        sessions: list[Session] = await self._call(lambda hive: hive.session_list(satellite, ended))
        return sessions

    async def session(self, session_id: str) -> Optional[Session]:
        """A session, also one that has ended; ``None`` if it does not exist, or the caller may not see it."""
        session: Optional[Session] = await self._call(lambda hive: hive.session_get(session_id))
        return session

    async def session_input(self, session_id: str, data: Union[bytes, str]) -> None:
        """Sends input to a session whose keyboard nobody holds, and waits until the satellite has passed on every byte."""
        typed = data.encode() if isinstance(data, str) else data
        await self._call(lambda hive: hive.session_input(session_id, typed))

    async def session_resize(self, session_id: str, cols: int, rows: int) -> None:
        """Changes the size of a session."""
        await self._call(lambda hive: hive.session_resize(session_id, native.Size(cols=cols, rows=rows)))

    async def session_terminate(self, session_id: str) -> None:
        """Ends a session with its process tree."""
        await self._call(lambda hive: hive.session_terminate(session_id))

    # The audit log.

    async def audit(
        self,
        *,
        actor: Optional[str] = None,
        action: Optional[str] = None,
        satellite_id: Optional[str] = None,
        since: Optional[datetime] = None,
        until: Optional[datetime] = None,
        limit: int = 100,
        page: int = 1,
        sort: Optional[str] = None,
    ) -> list[AuditEntry]:
        """Audit records that meet all given conditions: newest first, or in the order of ``sort``."""
        matching = native.AuditFilter(actor=actor, action=action, satellite_id=satellite_id, since=since, until=until)
        part = native.PageRequest(page=page, per_page=limit, sort=sort)
        entries: list[AuditEntry] = await self._call(lambda hive: hive.audit_query(matching, part))
        return entries

    async def audit_log(self, action: str, target_kind: str, target_id: str, details: Any = None) -> AuditEntry:
        """Appends a record of the caller."""
        known = {} if details is None else details
        entry: AuditEntry = await self._call(lambda hive: hive.audit_log(action, target_kind, target_id, known))
        return entry

    async def request(self, method: str, path: str, json: Any = None) -> Any:
        """Calls any path of a remote hive's API, and returns the answer as it is, with its envelope.

        For what has no method of its own. ``GET /api/v1/openapi.json`` describes all paths; a query is part of the path.
        """
        return await self._call(lambda hive: hive.request(method, path, json))

    def audit_lines(self) -> Stream[str]:
        """The whole log. Each item is a line of JSON; the last one is the signed manifest."""
        return self._stream(lambda hive: hive.audit_export())

    async def audit_export(self, path: Union[str, os.PathLike[str]]) -> int:
        """Writes the whole log to a file that anybody can verify, and returns the number of records."""
        written, batch = 0, []
        async with self.audit_lines() as lines:
            with await asyncio.to_thread(Path(path).open, "w", encoding="utf-8") as file:
                async for line in lines:
                    batch.append(f"{line}\n")
                    if len(batch) == _EXPORT_BATCH:
                        written += len(batch)
                        await asyncio.to_thread(file.writelines, batch)
                        batch = []
                await asyncio.to_thread(file.writelines, batch)
        # The last line is the manifest.
        return written + len(batch) - 1

    async def audit_verify(self) -> AuditVerification:
        """Verifies the stored log from its first record to its last."""
        found: AuditVerification = await self._call(lambda hive: hive.audit_verify())
        return found

    # Users, teams and credentials.

    async def me(self) -> Me:
        """Who the caller is."""
        me: Me = await self._call(lambda hive: hive.me())
        return me

    async def team_create(self, slug: str) -> Team:
        """Makes a team."""
        team: Team = await self._call(lambda hive: hive.team_create(slug))
        return team

    async def teams(self) -> list[Team]:
        """The caller's teams; a global admin sees all."""
        teams: list[Team] = await self._call(lambda hive: hive.team_list())
        return teams

    async def api_key_create(
        self,
        name: str,
        *,
        expires_in_hours: Optional[int] = None,
        scopes: Optional[Sequence[str]] = None,
        satellites: Optional[Sequence[str]] = None,
        addresses: Optional[Sequence[str]] = None,
        rate_per_minute: Optional[int] = None,
    ) -> NewApiKey:
        """Makes an API key for the caller. Each option limits it: to permissions, to satellites as `tag:x`, to networks."""
        options = native.ApiKeyOptions(
            expires_in_hours=expires_in_hours,
            scopes=None if scopes is None else list(scopes),
            satellites=None if satellites is None else list(satellites),
            addresses=None if addresses is None else list(addresses),
            rate_per_minute=rate_per_minute,
        )
        key: NewApiKey = await self._call(lambda hive: hive.api_key_create(name, options))
        return key

    async def api_keys(self) -> list[ApiKey]:
        """The caller's API keys."""
        keys: list[ApiKey] = await self._call(lambda hive: hive.api_key_list())
        return keys

    async def api_key_rotate(self, key_id: str, *, overlap_seconds: int = 0) -> NewApiKey:
        """Gives one of the caller's API keys another secret. The former secret is valid for the overlap."""
        key: NewApiKey = await self._call(lambda hive: hive.api_key_rotate(key_id, overlap_seconds))
        return key

    async def api_key_revoke(self, key_id: str) -> None:
        """Revokes one of the caller's API keys, at once."""
        await self._call(lambda hive: hive.api_key_revoke(key_id))

    async def registration_token_create(
        self,
        *,
        team_id: Optional[str] = None,
        expires_in_hours: Optional[int] = None,
        description: Optional[str] = None,
        tags: Iterable[str] = (),
        allowed_tags: Iterable[str] = (),
        for_satellite: Optional[str] = None,
    ) -> NewRegistrationToken:
        """Makes a registration token, for the registration of one satellite of the whole hive or of a team.

        The satellite gets ``tags``, and may claim those that match a pattern of ``allowed_tags``. ``for_satellite`` names the
        satellite that it may take over, online or not. Without it, the token registers a new satellite, or takes over one
        that is offline.
        """
        options = native.RegistrationTokenOptions(
            team_id=team_id,
            expires_in_hours=expires_in_hours,
            description=description,
            tags=list(tags),
            allowed_tags=list(allowed_tags),
            for_satellite=for_satellite,
        )
        token: NewRegistrationToken = await self._call(lambda hive: hive.registration_token_create(options))
        return token

    async def registration_tokens(self) -> list[RegistrationToken]:
        """The registration tokens that the caller may manage, newest first."""
        tokens: list[RegistrationToken] = await self._call(lambda hive: hive.registration_token_list())
        return tokens

    async def registration_token_revoke(self, token_id: str) -> None:
        """Revokes a registration token that was not used yet."""
        await self._call(lambda hive: hive.registration_token_revoke(token_id))

    async def user_create(self, username: str, *, admin: bool = False) -> NewUser:
        """Adds a user."""
        user: NewUser = await self._call(lambda hive: hive.user_create(username, admin))
        return user

    async def users(self) -> list[User]:
        """Users, by name."""
        users: list[User] = await self._call(lambda hive: hive.user_list())
        return users

    async def user_update(self, user: str, *, admin: Optional[bool] = None, disabled: Optional[bool] = None) -> User:
        """Changes a user, named by their id or login name. A disabled user loses all logins; their keys are refused."""
        changed: User = await self._call(lambda hive: hive.user_update(user, admin, disabled))
        return changed

    async def user_password_reset(self, user: str) -> str:
        """Gives a user a random password. This is the only time that it is shown. All their logins end."""
        password: str = await self._call(lambda hive: hive.user_password_reset(user))
        return password

    async def password_change(self, current: str, new: str) -> None:
        """Changes the caller's password. All logins end, the caller's own too; API keys stay."""
        await self._call(lambda hive: hive.password_change(current, new))

    async def team_members(self, team: str) -> list[TeamMember]:
        """The members of a team, named by its id or slug."""
        members: list[TeamMember] = await self._call(lambda hive: hive.team_member_list(team))
        return members

    async def team_member_put(self, team: str, username: str, role: Role) -> TeamMember:
        """Makes a user a member of a team, or changes their role."""
        member: TeamMember = await self._call(lambda hive: hive.team_member_put(team, username, role))
        return member

    async def team_member_remove(self, team: str, user: str) -> None:
        """Removes a user from a team."""
        await self._call(lambda hive: hive.team_member_remove(team, user))

    async def user_api_key_create(self, username: str, name: str) -> NewApiKey:
        """Makes an API key for a user of a hive in this process."""
        key: NewApiKey = await self._call(lambda hive: hive.user_api_key_create(username, name))
        return key

    async def _call(self, call: Callable[[Any], Any]) -> Any:
        return from_native(await awaited(call(await self._open())))

    def _stream(self, opening: Callable[[Any], Any]) -> Stream[Any]:
        async def opened() -> Any:
            return await opening(await self._open())

        return Stream(opened)


class Server(Opened):
    """A server of a hive in this process. It ends with its object."""

    @property
    def url(self) -> str:
        """The URL that it listens on, once it is open."""
        if self._opened is None:
            raise RuntimeError("this Server does not listen")
        url: str = self._opened.url()
        return url

    async def stop(self) -> None:
        """Answers the open requests, tells the satellites to reconnect, and closes the hive."""
        await self.aclose()

    async def _end(self, opened: Any) -> None:
        await awaited(opened.stop())


class _Progress(native.JobProgress):  # type: ignore[misc, name-defined, unused-ignore]
    """Passes the events of a job from a thread of the library to the event loop."""

    def __init__(self, progress: Callable[[JobEvent], object]) -> None:
        self._progress = progress
        self._loop = asyncio.get_running_loop()

    def on_event(self, event: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(self._progress, from_native(event))
        except RuntimeError:
            # The loop is closed, and with it the caller.
            pass


async def audit_verify_file(
    path: Union[str, os.PathLike[str]], public_key: Optional[str] = None
) -> AuditVerification:
    """Verifies an exported log, without a hive. Without a public key, the key that the export names is trusted."""
    found: AuditVerification = from_native(await awaited(native.audit_verify_file(os.fspath(path), public_key)))
    return found


def tasks_under_way() -> int:
    """The number of calls and terminals that are open in this process. It helps to find a forgotten one."""
    count: int = native.tasks_under_way()
    return count


async def _ready(hive: Any) -> Any:
    await hive.ready()
    return hive


def _list(targets: Targets) -> list[str]:
    return [targets] if isinstance(targets, str) else list(targets)
