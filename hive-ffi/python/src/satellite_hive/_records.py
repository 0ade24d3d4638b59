"""What goes in and comes out, as plain values.

The classes have the names and the fields of the records of the library below, so that they are made from them by name.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal, Optional, Union


@dataclass(frozen=True)
class ErrorBody:
    """Why something failed that did not raise an exception: the reason is part of a result."""

    code: str
    message: str


@dataclass(frozen=True)
class Satellite:
    """One satellite. Everything that it says of itself is hostile text: escape it wherever it is shown."""

    id: str
    name: str
    status: str
    """``inactive``, ``active``, ``maintenance`` or ``error``."""
    online: bool
    tags: list[str]
    team_id: Optional[str]
    """The team it serves; the whole hive where there is none."""
    region: Optional[str]
    hostname: str
    os: str
    os_version: str
    arch: str
    cpu_cores: int
    memory_total_mb: int
    agent_version: Optional[str]
    last_seen: Optional[datetime]
    created_at: datetime


@dataclass(frozen=True)
class CommandResult:
    """What a command did on one satellite."""

    satellite_id: str
    satellite_name: str
    command_id: Optional[str]
    status: str
    """``succeeded``, ``failed``, ``timed_out``, ``cancelled``, ``expired``, ``outcome_unknown`` or ``not_run``."""
    exit_code: Optional[int]
    """128 + the number where a signal ended it."""
    stdout: bytes
    stderr: bytes
    duration: timedelta
    truncated: bool
    """Whether output beyond the cap was dropped."""
    error: Optional[ErrorBody]
    """Why it failed, where it was not the program's own exit."""

    @property
    def ok(self) -> bool:
        """Whether the program ended with 0."""
        return self.status == "succeeded"

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 are replaced."""
        return self.stdout.decode(errors="replace")


@dataclass(frozen=True)
class CommandInfo:
    """A stored command."""

    id: str
    satellite_id: str
    kind: str
    """``exec`` or ``power``."""
    summary: str
    status: str
    """``queued``, ``delivered``, ``started``, or how it ended."""
    is_over: bool
    exit_code: Optional[int]
    stdout: bytes
    stderr: bytes
    duration: Optional[timedelta]
    truncated: bool
    error: Optional[ErrorBody]
    created_by: str
    created_at: datetime
    expires_at: datetime
    finished_at: Optional[datetime]


@dataclass(frozen=True)
class Job:
    """One command on many satellites, owned by the hive."""

    id: str
    status: str
    """``running``, ``cancelling``, ``succeeded``, ``failed`` or ``cancelled``."""
    is_over: bool
    summary: str
    targets: list[str]
    counts: dict[str, int]
    """How many satellites have which status."""
    concurrency: int
    created_by: str
    created_at: datetime
    deadline_at: datetime
    cancelled_at: Optional[datetime]
    finished_at: Optional[datetime]


@dataclass(frozen=True)
class JobTarget:
    """One satellite of a job. Its output is asked for by its command."""

    satellite_id: str
    satellite_name: str
    command_id: Optional[str]
    status: str
    exit_code: Optional[int]
    duration: Optional[timedelta]
    stdout_bytes: int
    stderr_bytes: int
    truncated: bool
    error: Optional[ErrorBody]
    finished_at: Optional[datetime]


@dataclass(frozen=True)
class FanOut:
    """A job that has ended, with what it did everywhere."""

    job: Job
    results: list[CommandResult]
    """By the satellites' names."""

    @property
    def ok(self) -> bool:
        """Whether the program ended with 0 everywhere."""
        return self.job.status == "succeeded"


@dataclass(frozen=True)
class Size:
    """The size of a terminal."""

    cols: int
    rows: int


@dataclass(frozen=True)
class Session:
    """One terminal."""

    id: str
    satellite_id: str
    satellite_name: str
    status: str
    """``starting``, ``open`` or ``ended``."""
    online: bool
    size: Size
    shell: Optional[str]
    created_by: str
    created_at: datetime
    ended_at: Optional[datetime]
    end_reason: Optional[str]
    """``exited``, ``killed``, ``timeout``, ``error`` or ``lost``."""
    exit_code: Optional[int]
    viewers: int


@dataclass(frozen=True)
class AuditEntry:
    """One audit record."""

    seq: int
    id: str
    timestamp: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    actor_ip: Optional[str]
    action: str
    target_kind: str
    target_id: str
    team_id: Optional[str]
    details: Any
    result: str
    """``intent``, ``success`` or ``failure``."""
    error: Optional[str]
    previous_hash: str
    hash: str


@dataclass(frozen=True)
class AuditVerification:
    """What a verification found."""

    valid: bool
    records: int
    head_hash: str
    public_key: Optional[str]
    faults: list[dict[str, Any]]


@dataclass(frozen=True)
class User:
    """A person who may log in."""

    id: str
    username: str
    role: str
    """``global_admin`` or ``global_user``."""
    created_at: datetime
    disabled_at: Optional[datetime]
    """Since when neither their logins nor their keys are taken."""


@dataclass(frozen=True, repr=False)
class NewUser:
    """A user as they were just added. Their password is told here and nowhere else."""

    user: User
    password: str


@dataclass(frozen=True)
class Me:
    """Who the caller is."""

    user: User
    api_key_id: Optional[str]


@dataclass(frozen=True)
class Team:
    """A team."""

    id: str
    slug: str
    created_at: datetime


@dataclass(frozen=True)
class TeamMember:
    """Somebody in a team."""

    user_id: str
    username: str
    role: str
    """``viewer``, ``operator`` or ``admin``."""


@dataclass(frozen=True)
class ApiKey:
    """An API key, without its secret."""

    id: str
    name: str
    user_id: str
    created_at: datetime
    expires_at: Optional[datetime]
    revoked_at: Optional[datetime]


@dataclass(frozen=True, repr=False)
class NewApiKey:
    """An API key as it was just made. Its secret is told here and nowhere else."""

    api_key: str
    info: ApiKey


@dataclass(frozen=True, repr=False)
class NewRegistrationToken:
    """A registration token as it was just made: good for the registration of one satellite."""

    token: str
    id: str
    expires_at: datetime


@dataclass(frozen=True)
class RegistrationToken:
    """A registration token, without its secret."""

    id: str
    team_id: Optional[str]
    description: Optional[str]
    created_by: str
    created_at: datetime
    expires_at: datetime
    used_at: Optional[datetime]
    revoked_at: Optional[datetime]
    tags: list[str]
    """The tags of the new satellite."""
    allowed_tags: list[str]
    """Patterns of tags that the new satellite may claim; ``*`` stands for any characters."""
    for_satellite: Optional[str]
    """The id of the satellite that it may take over."""


@dataclass(frozen=True)
class SatelliteOnline:
    """The satellite has a link."""

    seq: int
    id: str
    name: str


@dataclass(frozen=True)
class SatelliteGone:
    """The satellite's link is gone."""

    seq: int
    id: str
    last_seen: Optional[datetime]


@dataclass(frozen=True)
class SatelliteUpdated:
    """The satellite's record changed."""

    seq: int
    id: str
    changes: dict[str, Any]
    """The new values by field."""


@dataclass(frozen=True)
class SatelliteKeyReplaced:
    """The satellite has another key, because a registration took over its name. The holder of the former key is locked out."""

    seq: int
    id: str
    name: str


@dataclass(frozen=True)
class SatelliteConflict:
    """A second process with the identity of the satellite was refused beside it: most likely a copy of its machine."""

    seq: int
    id: str
    name: str


@dataclass(frozen=True)
class SatelliteRemoved:
    """The satellite was removed."""

    seq: int
    id: str


SatelliteEvent = Union[
    SatelliteOnline, SatelliteGone, SatelliteUpdated, SatelliteKeyReplaced, SatelliteConflict, SatelliteRemoved
]
"""Something that happened to a satellite. It may arrive twice: ``seq`` only grows."""


@dataclass(frozen=True)
class JobProgress:
    """How far a job is now. Steps in between may be left out."""

    counts: dict[str, int]


@dataclass(frozen=True)
class JobTargetEnded:
    """A satellite is done, or the command was not run there."""

    satellite_id: str
    satellite_name: str
    command_id: Optional[str]
    status: str
    exit_code: Optional[int]


@dataclass(frozen=True)
class JobEnded:
    """The job has ended. The last step."""

    job: Job


JobEvent = Union[JobProgress, JobTargetEnded, JobEnded]
"""One step of a job."""


@dataclass(frozen=True)
class ExecAccepted:
    """The command is durable."""

    satellite_id: str
    command_id: str


@dataclass(frozen=True)
class ExecOutput:
    """A piece of a command's output."""

    satellite_id: str
    channel: Literal["stdout", "stderr"]
    offset: int
    data: bytes


@dataclass(frozen=True)
class ExecLink:
    """The satellite's link was lost, or is back. The command is with the satellite and goes on there."""

    satellite_id: str
    online: bool
    seconds_left: Optional[int]


@dataclass(frozen=True)
class ExecExit:
    """The satellite is done. The output went before."""

    result: CommandResult


ExecEvent = Union[ExecAccepted, ExecOutput, ExecLink, ExecExit]
"""One step of a running command."""


@dataclass(frozen=True)
class TerminalOutput:
    """The next bytes of output: every byte once, in order, but for what a gap or a reset leaves out."""

    data: bytes


@dataclass(frozen=True)
class TerminalGap:
    """Output that nobody has any more."""

    bytes: int


@dataclass(frozen=True)
class TerminalReset:
    """Output was left out: the screen is to be reset, and then these escape sequences written to it."""

    modes: str


@dataclass(frozen=True)
class TerminalDisconnected:
    """The connection to the hive is broken. The session continues, and the viewer reattaches by itself."""

    cause: str
    retry_in: timedelta


@dataclass(frozen=True)
class TerminalReconnected:
    """The connection is restored."""

    lost_input: int
    """Bytes of input that were lost, because another viewer has the keyboard now."""


@dataclass(frozen=True)
class TerminalControl:
    """Who has the keyboard has changed."""

    is_mine: bool
    holder: Optional[str]


@dataclass(frozen=True)
class TerminalControlRequested:
    """Another viewer asks this one for the keyboard."""

    by: int
    name: str


@dataclass(frozen=True)
class TerminalResized:
    """The terminal has another size."""

    size: Size


@dataclass(frozen=True)
class TerminalLink:
    """The satellite's link has gone or come back. The terminal lives on."""

    online: bool


@dataclass(frozen=True)
class TerminalEnded:
    """The program has ended; nothing follows."""

    reason: str
    exit_code: Optional[int]
    error: Optional[ErrorBody]


@dataclass(frozen=True)
class TerminalRefused:
    """The hive does not let this viewer in any more. The program may live on; nothing follows."""

    error: ErrorBody


TerminalEvent = Union[
    TerminalOutput,
    TerminalGap,
    TerminalReset,
    TerminalDisconnected,
    TerminalReconnected,
    TerminalControl,
    TerminalControlRequested,
    TerminalResized,
    TerminalLink,
    TerminalEnded,
    TerminalRefused,
]
"""Something that happens in a terminal."""


_VARIANTS: dict[str, type] = {
    "SatelliteEvent.ONLINE": SatelliteOnline,
    "SatelliteEvent.OFFLINE": SatelliteGone,
    "SatelliteEvent.UPDATED": SatelliteUpdated,
    "SatelliteEvent.KEY_REPLACED": SatelliteKeyReplaced,
    "SatelliteEvent.CONFLICT": SatelliteConflict,
    "SatelliteEvent.REMOVED": SatelliteRemoved,
    "JobEvent.PROGRESS": JobProgress,
    "JobEvent.TARGET": JobTargetEnded,
    "JobEvent.ENDED": JobEnded,
    "ExecEvent.ACCEPTED": ExecAccepted,
    "ExecEvent.OUTPUT": ExecOutput,
    "ExecEvent.LINK": ExecLink,
    "ExecEvent.EXIT": ExecExit,
    "TerminalEvent.OUTPUT": TerminalOutput,
    "TerminalEvent.GAP": TerminalGap,
    "TerminalEvent.RESET": TerminalReset,
    "TerminalEvent.DISCONNECTED": TerminalDisconnected,
    "TerminalEvent.RECONNECTED": TerminalReconnected,
    "TerminalEvent.CONTROL": TerminalControl,
    "TerminalEvent.CONTROL_REQUESTED": TerminalControlRequested,
    "TerminalEvent.RESIZED": TerminalResized,
    "TerminalEvent.LINK": TerminalLink,
    "TerminalEvent.ENDED": TerminalEnded,
    "TerminalEvent.REFUSED": TerminalRefused,
}

_RECORDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        ErrorBody,
        Satellite,
        CommandResult,
        CommandInfo,
        Job,
        JobTarget,
        FanOut,
        Size,
        Session,
        AuditEntry,
        AuditVerification,
        User,
        Me,
        Team,
        TeamMember,
        ApiKey,
        NewApiKey,
        NewRegistrationToken,
        NewUser,
        RegistrationToken,
    )
}

_KINDS = {**_RECORDS, **_VARIANTS}

def ours(value: Any) -> Any:
    """A value of the library below as one of this module."""
    if isinstance(value, list):
        return [ours(item) for item in value]
    kind = _KINDS.get(type(value).__name__)
    if kind is None:
        return value
    return kind(**{field.name: _field(kind, field.name, getattr(value, field.name)) for field in fields(kind)})


def _field(kind: type, name: str, value: Any) -> Any:
    if kind is ExecOutput and name == "channel":
        return value.name.lower()
    return ours(value)
