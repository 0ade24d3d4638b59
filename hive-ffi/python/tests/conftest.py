"""A fleet to test with: a hive in this process, which serves a real satellite, and one elsewhere.

HIVE_BIN_DIR holds the built `satellite-agent`; HIVE_URL and HIVE_API_KEY name the hive elsewhere, which has a satellite that is
online. `cargo xtask test` sets them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from satellite_hive import Hive, SatelliteOnline, Server

NAME = "web-server-01"
SECOND = "web-server-02"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for all tests: that of the hive they share."""
    for item in items:
        if pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@contextlib.contextmanager
def satellite(url: str, token: str, name: str, data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real satellite, as a process."""
    agent = Path(os.environ["HIVE_BIN_DIR"]) / "satellite-agent"
    arguments = ["--server", url, "--registration-token", token, "--name", name, "--data-dir", str(data_dir)]
    arguments += ["--local-api", "off"]
    # What the profile of this machine's user does when a shell starts is nothing that a test may depend on.
    env = {**os.environ, "HOME": str(data_dir.parent)}
    with (data_dir.parent / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([agent, *arguments], env=env, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@dataclass
class Fleet:
    """A hive in this process, where it is served, and a key for it."""

    hive: Hive
    server: Server
    api_key: str


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """Two satellites: one of them is online, the other was."""
    home = tmp_path_factory.mktemp("fleet")
    async with Hive.open(home / "hive") as hive, hive.serve("127.0.0.1:0") as server:

        @contextlib.asynccontextmanager
        async def joined(name: str) -> AsyncIterator[None]:
            token = (await hive.registration_token_create()).token
            async with hive.events() as events:
                with satellite(server.url, token, name, home / name):
                    async for event in events:
                        if isinstance(event, SatelliteOnline):
                            break
                    await hive.satellite_update(name, tags=["web"])
                    yield

        await hive.user_create("ann", admin=True)
        api_key = (await hive.user_api_key_create("ann", "tests")).api_key
        async with joined(SECOND):
            pass
        async with joined(NAME):
            yield Fleet(hive, server, api_key)


@dataclass
class Place:
    """A hive, and a satellite of it that is online."""

    hive: Hive
    satellite: str


@pytest_asyncio.fixture(loop_scope="session", params=["here", "elsewhere"])
async def place(request: pytest.FixtureRequest, fleet: Fleet) -> AsyncIterator[Place]:
    """The same tests hold in this process and over HTTP."""
    if request.param == "here":
        yield Place(fleet.hive, NAME)
        return
    async with Hive.connect(os.environ["HIVE_URL"], os.environ["HIVE_API_KEY"]) as hive:
        yield Place(hive, (await hive.satellites(online=True))[0].name)
