"""The same without async."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from satellite_hive import JobEvent, SatelliteNotFound, SatelliteUpdated, TerminalEnded
from satellite_hive.sync import Hive


def test_a_script_needs_no_event_loop() -> None:
    threads = threading.active_count()
    told: list[JobEvent] = []
    with Hive.connect(os.environ["HIVE_URL"], os.environ["HIVE_API_KEY"]) as hive:
        name = hive.satellites(online=True)[0].name
        assert hive.exec(name, "echo hello", timeout=20).text == "hello\n"
        assert hive.fan_out(name, ["true"], progress=told.append).ok and told
        with hive.terminal(name, shell="/bin/sh") as terminal:
            terminal.write("echo $((6*7)); exit\n")
            assert b"42" in b"".join(terminal)
            assert isinstance(terminal.ended, TerminalEnded)
        with hive.events() as events:
            hive.satellite_update(name, tags=["sync"])
            assert any(isinstance(event, SatelliteUpdated) for event in events)
        with pytest.raises(SatelliteNotFound):
            hive.exec("no-such-satellite", "true")
    assert threading.active_count() == threads


def test_a_hive_of_ones_own_needs_no_event_loop() -> None:
    with Hive.open() as hive, hive.serve("127.0.0.1:0") as server:
        hive.user_create("ann", admin=True)
        key = hive.user_api_key_create("ann", "script").api_key
        with Hive.connect(server.url, key) as elsewhere:
            assert elsewhere.me().user.username == "ann"


FORGETFUL = """
from satellite_hive.sync import Hive
hive = Hive.open()
server = hive.serve("127.0.0.1:0")
events = hive.events()
elsewhere = Hive.connect(server.url, "hive_key_of_nobody")
print(hive.teams())
"""


def test_a_script_that_closes_nothing_ends() -> None:
    done = subprocess.run([sys.executable, "-c", FORGETFUL], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
