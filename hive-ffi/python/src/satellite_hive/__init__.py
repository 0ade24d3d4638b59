"""One control plane for a fleet of machines, from Python.

>>> async with Hive.connect("http://127.0.0.1:3000", "hive_key_…") as hive:  # doctest: +SKIP
...     print((await hive.exec("web", "uptime", timeout=5)).text)

:class:`Hive` is the whole interface, of a remote hive and of one in this process; :mod:`satellite_hive.sync` is the same
without ``async``. Every error is a :class:`HiveError`, with one class per code.
"""

# First: it is in force before anything is called.
from . import _ends as _ends
from ._errors import (
    AuthInvalid,
    AuthRequired,
    CommandBlocked,
    CommandTimeout,
    Conflict,
    Forbidden,
    HiveError,
    Internal,
    InvalidInput,
    LinkRequired,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    SatelliteInactive,
    SatelliteNotFound,
    SatelliteOffline,
    SessionLimit,
    SessionNotFound,
    Unavailable,
    Unsupported,
)
from ._hive import Hive, Server, audit_verify_file, tasks_under_way
from ._native import records
from ._native.records import *
from ._options import CommandLine, CommandOptions
from ._streams import Stream
from ._terminal import Terminal

__all__ = [
    "AuthInvalid",
    "AuthRequired",
    "CommandBlocked",
    "CommandLine",
    "CommandOptions",
    "CommandTimeout",
    "Conflict",
    "Forbidden",
    "Hive",
    "HiveError",
    "Internal",
    "InvalidInput",
    "LinkRequired",
    "NotFound",
    "PayloadTooLarge",
    "RateLimited",
    "SatelliteInactive",
    "SatelliteNotFound",
    "SatelliteOffline",
    "Server",
    "SessionLimit",
    "SessionNotFound",
    "Stream",
    "Terminal",
    "Unavailable",
    "Unsupported",
    "audit_verify_file",
    "tasks_under_way",
]
__all__ += records.__all__
