"""Events of satellites, and the tokens that cause them."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TypeVar

from conftest import NAME, satellite

from satellite_hive import Hive, SatelliteConflict, SatelliteEvent, SatelliteKeyReplaced, SatelliteOnline, Stream

T = TypeVar("T")


async def until(events: Stream[SatelliteEvent], kind: type[T]) -> T:
    """The next event of this kind."""

    async def following() -> T:
        async for event in events:
            if isinstance(event, kind):
                return event
        raise AssertionError("the events ended")

    return await asyncio.wait_for(following(), 30)


async def test_a_takeover_and_a_copy_are_reported(tmp_path: Path) -> None:
    first, copy, second = (tmp_path / name / "data" for name in ("first", "copy", "second"))
    for data_dir in (first, copy, second):
        data_dir.parent.mkdir()
    async with Hive.open() as hive, hive.serve("127.0.0.1:0") as server, hive.events() as events:
        token = (await hive.registration_token_create(tags=["web"])).token
        with satellite(server.url, token, NAME, first):
            online = await until(events, SatelliteOnline)
            assert (await hive.satellite(NAME)).tags == ["web"]

            shutil.copytree(first, copy)
            with satellite(server.url, token, NAME, copy):
                conflict = await until(events, SatelliteConflict)
                assert (conflict.id, conflict.name) == (online.id, NAME)

            token = (await hive.registration_token_create(for_satellite=NAME)).token
            with satellite(server.url, token, NAME, second):
                replaced = await until(events, SatelliteKeyReplaced)
                assert (replaced.id, replaced.name) == (online.id, NAME)
                assert replaced.seq > conflict.seq > online.seq


async def test_a_token_is_listed_with_its_tags() -> None:
    async with Hive.open() as hive:
        token = await hive.registration_token_create(tags=["web"], allowed_tags=["rack-*"], description="for tests")
        [listed] = await hive.registration_tokens()
        assert (listed.id, listed.description) == (token.id, "for tests")
        assert (listed.tags, listed.allowed_tags, listed.for_satellite) == (["web"], ["rack-*"], None)
