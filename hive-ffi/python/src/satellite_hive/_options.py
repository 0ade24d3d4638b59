"""What can be said of a command, and how it is handed down."""

from __future__ import annotations

import math
from typing import Mapping, Optional, Sequence, TypedDict, Union

from ._native import hive_ffi as native
from ._native.records import Priority

CommandLine = Union[str, Sequence[str]]
"""A line for the satellite's shell, or a program and its arguments, which run without a shell."""


class CommandOptions(TypedDict, total=False):
    """How a command is run; each may be left out."""

    timeout: float
    """When it is ended by force, in seconds; after 60 unless given."""
    env: Mapping[str, str]
    """Added to its environment. Values may be secrets."""
    cwd: str
    """Where it runs; the agent user's home unless given."""
    stdin: Union[bytes, str]
    """Its standard input, at most 512 KiB."""
    expires_in: float
    """How long it may wait for its satellite, in seconds; 300 unless given."""
    idempotent: bool
    """The caller's word that running it twice does no harm."""
    priority: Priority
    """What goes first on a busy satellite; ``immediate`` where the caller waits and ``normal`` otherwise, unless given."""
    idempotency_key: str
    """The same key and command within 24 hours run once."""


def command_of(line: CommandLine, options: CommandOptions) -> native.Command:
    """The command for the library below."""
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
    """Whole seconds, and one at least."""
    return None if time is None else max(1, math.ceil(time))
