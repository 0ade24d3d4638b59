"""Exceptions: one class per error code of a hive."""

from __future__ import annotations

import json
from typing import Any, Awaitable, Callable, Optional, TypeVar

from ._native import hive_ffi as native

T = TypeVar("T")


class HiveError(Exception):
    """Why something could not be done. An error of a newer version is this class itself, with that version's code."""

    code: str = "UNKNOWN"
    """The error code, the same in every interface of a hive."""

    def __init__(self, message: str, details: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        """Data for programs: the field that breaks a rule, the command that continues …"""


class AuthRequired(HiveError):
    """The call needs credentials and brought none."""

    code = "AUTH_REQUIRED"


class AuthInvalid(HiveError):
    """The credentials are wrong, expired or revoked."""

    code = "AUTH_INVALID"


class Forbidden(HiveError):
    """The caller may see the thing but not do this to it."""

    code = "FORBIDDEN"


class NotFound(HiveError):
    """There is no such thing, or the caller may not know of it."""

    code = "NOT_FOUND"


class SatelliteNotFound(NotFound):
    """There is no such satellite, or the caller may not know of it."""

    code = "SATELLITE_NOT_FOUND"


class SessionNotFound(NotFound):
    """There is no such terminal, or the caller may not know of it."""

    code = "SESSION_NOT_FOUND"


class InvalidInput(HiveError):
    """A field of the request breaks a rule."""

    code = "INVALID_INPUT"


class Conflict(HiveError):
    """The request contradicts what is there."""

    code = "CONFLICT"


class SatelliteOffline(HiveError):
    """The satellite has no link now. Nothing was stored."""

    code = "SATELLITE_OFFLINE"


class SatelliteInactive(HiveError):
    """The satellite is not active."""

    code = "SATELLITE_INACTIVE"


class LinkRequired(HiveError):
    """The call needs a live link, and this satellite polls."""

    code = "LINK_REQUIRED"


class SessionLimit(HiveError):
    """Too many terminals on this satellite."""

    code = "SESSION_LIMIT"


class RateLimited(HiveError):
    """Too many calls; try again later."""

    code = "RATE_LIMITED"


class CommandTimeout(HiveError):
    """The command did not end in its time. It is durable: ask for it by the id in ``details``."""

    code = "COMMAND_TIMEOUT"


class CommandBlocked(HiveError):
    """The satellite's own policy refuses the command."""

    code = "COMMAND_BLOCKED"


class Unsupported(HiveError):
    """The satellite does not know this kind of command, or cannot do it."""

    code = "UNSUPPORTED"


class PayloadTooLarge(HiveError):
    """The request is larger than allowed."""

    code = "PAYLOAD_TOO_LARGE"


class Unavailable(HiveError):
    """The hive or its storage cannot be reached."""

    code = "UNAVAILABLE"


class Internal(HiveError):
    """A fault of the hive, or of this library."""

    code = "INTERNAL_ERROR"


BY_CODE: dict[str, type[HiveError]] = {
    error.code: error
    for error in (
        AuthRequired,
        AuthInvalid,
        Forbidden,
        NotFound,
        SatelliteNotFound,
        SessionNotFound,
        InvalidInput,
        Conflict,
        SatelliteOffline,
        SatelliteInactive,
        LinkRequired,
        SessionLimit,
        RateLimited,
        CommandTimeout,
        CommandBlocked,
        Unsupported,
        PayloadTooLarge,
        Unavailable,
        Internal,
    )
}


def error_of(code: str, message: str, details: Optional[str] = None) -> HiveError:
    """The exception for a code."""
    kind = BY_CODE.get(code, HiveError)
    error = kind(message, None if details is None else json.loads(details))
    error.code = code
    return error


def translated(error: Any) -> HiveError:
    """The exception for an error of the native library."""
    parts = native.error_parts(error)
    return error_of(parts.code, parts.message, parts.details)


async def awaited(call: Awaitable[T]) -> T:
    """Waits for a call of the native library."""
    try:
        return await call
    except native.HiveError as error:
        raise translated(error) from None


def called(call: Callable[[], T]) -> T:
    """Makes a call of the native library that does not wait."""
    try:
        return call()
    except native.HiveError as error:
        raise translated(error) from None
