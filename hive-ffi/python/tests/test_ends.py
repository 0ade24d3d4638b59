"""What is not awaited any more ends, and nothing blocks the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from typing import Any, Callable
from urllib.parse import urlsplit

import pytest
from conftest import NAME, Fleet, Place

from satellite_hive import Conflict, Hive, tasks_under_way
from satellite_hive._native import hive_ffi


async def until(claim: Callable[[], bool]) -> None:
    """Waits for a condition; the test's own end is the limit."""
    while not claim():
        await asyncio.sleep(0.01)


def sockets() -> list[int]:
    """Descriptors of the open sockets of this process."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:"):
                found.append(int(descriptor))
    return found


def connections(url: str) -> int:
    """How many connections this process has to a server."""
    count = 0
    for descriptor in sockets():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
            count += copy.getpeername()[1:2] == (urlsplit(url).port,)
    return count


async def test_a_cancelled_task_gives_up_its_call(fleet: Fleet) -> None:
    async with Hive.connect(fleet.server.url, fleet.api_key) as hive:
        await hive.me()
        tasks, open_sockets = tasks_under_way(), len(sockets())
        call = asyncio.create_task(hive.exec(NAME, "sleep 60"))
        await until(lambda: tasks_under_way() > tasks)
        commands = await fleet.hive.commands(NAME, limit=1)
        while commands[0].summary != "sleep 60":
            commands = await fleet.hive.commands(NAME, limit=1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: tasks_under_way() <= tasks)
        await until(lambda: len(sockets()) <= open_sockets)
        # What was durable goes on without its caller.
        assert (await fleet.hive.command_cancel(commands[0].id)).status == "cancelled"


async def test_the_event_loop_goes_on_while_calls_wait(place: Place) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    turning = asyncio.create_task(turn())
    await asyncio.gather(*(place.hive.exec(place.satellite, "sleep 1") for _ in range(4)))
    turning.cancel()
    assert turns > 20


async def test_a_closed_hive_leaves_no_connection() -> None:
    async with Hive.open() as own, own.serve("127.0.0.1:0") as server:
        await own.user_create("ann", admin=True)
        hive = Hive.connect(server.url, (await own.user_api_key_create("ann", "tests")).api_key)
        await hive.me()
        assert connections(server.url) > 0
        await hive.aclose()
        await until(lambda: connections(server.url) == 0)


async def test_a_closed_hive_says_so() -> None:
    hive = Hive.open()
    await hive.teams()
    await hive.aclose()
    with pytest.raises(Conflict):
        await hive.teams()


ALONE = """
import asyncio, gc, os, sys
from satellite_hive import Hive, tasks_under_way

def left():
    kinds = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
    return len(os.listdir("/proc/self/task")), sum(kind.startswith(("socket:", "anon_inode:")) for kind in kinds)

async def use(url, key, satellite):
    hive, own = Hive.connect(url, key), Hive.open()
    terminal, events = hive.terminal(satellite, shell="/bin/sh"), hive.events()
    await terminal
    await events
    await own.teams()
    call = asyncio.create_task(hive.exec(satellite, "sleep 5"))
    # The call, and the terminal's viewer.
    while tasks_under_way() < 2:
        await asyncio.sleep(0.01)
    during = left()
    call.cancel()
    # Nothing is closed: the objects are forgotten.
    return during

async def main():
    # What a process has from its first hive to its end: a pair of sockets for signals.
    await Hive.open().teams()
    gc.collect()
    while len(os.listdir("/proc/self/task")) > 1:
        await asyncio.sleep(0.01)
    before = left()
    during = await use(*sys.argv[1:])
    assert during > before, (before, during)
    gc.collect()
    while left() != before:
        await asyncio.sleep(0.01)
    assert tasks_under_way() == 0

asyncio.run(main())
"""


BUSY = """
import asyncio, sys, threading
from satellite_hive import Hive, sync, tasks_under_way

url, key, satellite = sys.argv[1:]
held = [Hive.connect(url, key), Hive.open()]
waiting = sync.Hive.connect(url, key)

async def main():
    hive, own = held
    held.extend([hive.events(), hive.terminal(satellite, shell="/bin/sh"), own.serve("127.0.0.1:0")])
    for opened in held[2:]:
        await opened
    asyncio.create_task(hive.exec(satellite, "sleep 5"))
    threading.Thread(target=lambda: waiting.exec(satellite, "sleep 5"), daemon=True).start()
    # Two calls, and the terminal's viewer.
    while tasks_under_way() < 3:
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


async def alone(program: str, fleet: Fleet) -> None:
    """Runs a program in a process of its own, and forgets its terminals."""
    run = [sys.executable, "-c", program, fleet.server.url, fleet.api_key, NAME]
    done = await asyncio.to_thread(subprocess.run, run, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for session in await fleet.hive.sessions(NAME):
        await fleet.hive.session_terminate(session.id)


async def test_what_is_forgotten_ends(fleet: Fleet) -> None:
    """In a process of its own, whose threads and sockets are counted."""
    await alone(ALONE, fleet)


def test_a_call_may_outlive_its_event_loop() -> None:
    """As where it is answered in the moment in which the loop is closed."""
    loop = asyncio.new_event_loop()
    waiting: Any = hive_ffi._UniffiContinuationHandleMap
    handle = waiting.insert((loop, loop.create_future()))
    loop.close()
    # What it raises would be a warning, and fail.
    hive_ffi._uniffi_continuation_callback(handle, 0)


async def test_a_program_ends_whatever_is_under_way(fleet: Fleet) -> None:
    """Several times: what must not happen depends on the moment."""
    for _ in range(5):
        await alone(BUSY, fleet)
