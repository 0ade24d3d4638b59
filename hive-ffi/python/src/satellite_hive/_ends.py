"""The end of the interpreter, and of an event loop, while calls are open."""

from __future__ import annotations

import atexit
from typing import Any

from ._native import hive_ffi as native

# A thread of the library that calls into an interpreter after its end crashes the process.
atexit.register(native.shut_down)


def _continue(handle: int, code: int) -> None:
    """Wakes the task that awaits a call. The generated function, which it replaces, fails if the loop is closed already."""
    waiting: Any = native._UniffiContinuationHandleMap
    loop, future = waiting.remove(handle)
    try:
        loop.call_soon_threadsafe(native._uniffi_set_future_result, future, code)
    except RuntimeError:
        pass  # The loop was closed, and with it the task.


_CONTINUE: Any = native._UNIFFI_RUST_FUTURE_CONTINUATION_CALLBACK(_continue)
setattr(native, "_uniffi_continuation_callback", _CONTINUE)
