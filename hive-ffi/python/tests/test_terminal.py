"""Terminals, here and elsewhere."""

from __future__ import annotations

import asyncio

import pytest
from conftest import Place

from satellite_hive import Conflict, Terminal, TerminalControl, TerminalLink, TerminalOutput


async def ready(terminal: Terminal) -> None:
    """Gives the shell a prompt that is nowhere in what is typed, and waits for it."""
    await terminal.write("PS1='rea''dy> '\n")
    await terminal.read_until("ready> ", timeout=20)


async def test_a_terminal_is_driven(place: Place) -> None:
    async with place.hive.terminal(place.satellite, shell="/bin/sh", cols=100, rows=30) as terminal:
        await ready(terminal)
        await terminal.write("stty size; echo $((6*7))\n")
        assert b"30 100\r\n42\r\n" in await terminal.read_until("42\r\nready> ", timeout=20)
        await terminal.resize(90, 20)
        await terminal.write("stty size\n")
        assert b"20 90" in await terminal.read_until("90\r\nready> ", timeout=20)
        await terminal.write("exit 7\n")
        rest = b"".join([chunk async for chunk in terminal])
        assert b"exit 7" in rest
    assert terminal.ended and (terminal.ended.reason, terminal.ended.exit_code) == ("exited", 7)


async def test_who_stops_waiting_loses_nothing(place: Place) -> None:
    async with place.hive.terminal(place.satellite, shell="/bin/sh") as terminal:
        await ready(terminal)
        with pytest.raises(TimeoutError):
            await terminal.read_until("never said", timeout=0.01)
        await terminal.write("seq 1 2000; echo done-$((1+1))\n")
        chunks: list[bytes] = []
        while b"done-2" not in b"".join(chunks):
            try:
                chunks.append(await asyncio.wait_for(terminal.__anext__(), 0.001))
            except asyncio.TimeoutError:
                continue
        lines = b"".join(chunks).split(b"\r\n")
        assert [int(line) for line in lines if line.isdigit()] == list(range(1, 2001))
        await place.hive.session_terminate(terminal.session.id)


async def test_more_is_typed_and_said_than_may_be_under_way(place: Place) -> None:
    async with place.hive.terminal(place.satellite, shell="/bin/sh") as terminal:
        await ready(terminal)
        await terminal.write("stty raw -echo; echo raw-$((1+1)); head -c 300000 | tr '\\0' x; echo done-$((1+1))\n")
        await terminal.read_until("raw-2", timeout=20)
        typing = asyncio.create_task(terminal.write(bytes(300_000)))
        said = await terminal.read_until("done-2", timeout=60)
        await typing
        assert said.count(b"x") == 300_000
        await place.hive.session_terminate(terminal.session.id)


async def test_a_terminal_outlives_its_viewer_and_its_link(place: Place) -> None:
    async with place.hive.terminal(place.satellite, shell="/bin/sh") as terminal:
        await ready(terminal)
        await terminal.write("word=kept\n")
        session = terminal.session.id
    async with place.hive.attach(session) as terminal:
        await place.hive.satellite_disconnect(place.satellite)
        links = []
        async for event in terminal.events():
            if isinstance(event, TerminalLink):
                links.append(event.online)
                if event.online:
                    break
        assert links == [False, True]
        await terminal.write("echo ${word}!\n")
        await terminal.read_until("kept!", timeout=20)
        await place.hive.session_terminate(session)
        while (await terminal._next()) is not None:
            pass
    assert terminal.ended and terminal.ended.reason == "killed"
    ended = await place.hive.session(session)
    assert ended and ended.status == "ended"


async def test_one_types_and_the_other_reads_along(place: Place) -> None:
    async with place.hive.terminal(place.satellite, shell="/bin/sh") as writer:
        await ready(writer)
        async with place.hive.attach(writer.session.id, mode="read_only") as reader:
            with pytest.raises(Conflict):
                await reader.write("whoami\n")
            await writer.write("echo seen-$((2*2))\n")
            await reader.read_until("seen-4", timeout=20)
        async with place.hive.attach(writer.session.id, mode="take") as other:
            async for event in writer.events():
                if isinstance(event, TerminalControl) and not event.is_mine:
                    break
            await other.write("exit\n")
            assert [event async for event in other.events() if isinstance(event, TerminalOutput)]
            assert other.ended
