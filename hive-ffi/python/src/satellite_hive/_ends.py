"""Ends that come while calls are under way: of the interpreter, and of an event loop."""

from __future__ import annotations

import atexit
from typing import Any

from ._native import hive_ffi as native

# A thread of the library that calls an interpreter which is about to end takes the process down.
atexit.register(native.shut_down)


def _continue(handle: int, code: int) -> None:
    """Wakes whoever awaits a call, in place of the generated function, which minds where their loop is closed already."""
    waiting: Any = native._UniffiContinuationHandleMap
    loop, future = waiting.remove(handle)
    try:
        loop.call_soon_threadsafe(native._uniffi_set_future_result, future, code)
    except RuntimeError:
        pass  # Closed since: nobody waits any more.


_CONTINUE: Any = native._UNIFFI_RUST_FUTURE_CONTINUATION_CALLBACK(_continue)
setattr(native, "_uniffi_continuation_callback", _CONTINUE)
