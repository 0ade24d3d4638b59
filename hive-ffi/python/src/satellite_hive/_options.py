"""A command and its options."""

from __future__ import annotations

import math
from typing import Mapping, Optional, Sequence, TypedDict, Union

from ._native import hive_ffi as native
from ._native.records import Priority

CommandLine = Union[str, Sequence[str]]
"""A line for the satellite's shell, or a program and its arguments, which run without a shell."""


class CommandOptions(TypedDict, total=False):
    """How to run a command. Every option may be left out."""

    timeout: float
    """Seconds until it is killed; 60 unless given."""
    env: Mapping[str, str]
    """Added to its environment. Values may be secrets."""
    cwd: str
    """Its working directory; the home of the agent's user unless given."""
    stdin: Union[bytes, str]
    """Its standard input, at most 512 KiB."""
    expires_in: float
    """Seconds that it may wait for its satellite; 300 unless given."""
    idempotent: bool
    """Whether running it twice does no harm."""
    priority: Priority
    """Its place in the queue of a busy satellite; ``immediate`` if the caller waits and ``normal`` otherwise, unless given."""
    idempotency_key: str
    """A command with the same key within 24 hours runs once."""


def command_of(line: CommandLine, options: CommandOptions) -> native.Command:
    """The command for the native library."""
    unknown = set(options) - set(CommandOptions.__annotations__)
    if unknown:
        raise TypeError(f"no such option of a command: {', '.join(sorted(unknown))}")
    program, args = (line, None) if isinstance(line, str) else (line[0], list(line[1:]))
    stdin, priority = options.get("stdin"), options.get("priority")
    return native.Command(
        command=program,
        args=args,
        env=dict(options.get("env", {})),
        cwd=options.get("cwd"),
        stdin=stdin.encode() if isinstance(stdin, str) else stdin,
        timeout_seconds=seconds(options.get("timeout")),
        expires_in_seconds=seconds(options.get("expires_in")),
        idempotent=options.get("idempotent", False),
        priority=None if priority is None else native.Priority[priority.upper()],
        idempotency_key=options.get("idempotency_key"),
    )


def seconds(time: Optional[float]) -> Optional[int]:
    """Whole seconds, at least one."""
    return None if time is None else max(1, math.ceil(time))
