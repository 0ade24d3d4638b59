"""Commands, jobs and satellites, here and elsewhere."""

from __future__ import annotations

import asyncio
import threading

from conftest import NAME, SECOND, Fleet, Place

from satellite_hive import (
    ExecAccepted,
    ExecExit,
    ExecOutput,
    JobEnded,
    JobEvent,
    JobTargetEnded,
    SatelliteUpdated,
)


async def test_a_line_runs_in_the_shell(place: Place) -> None:
    result = await place.hive.exec(place.satellite, "echo out; echo err >&2; exit 3", timeout=20)
    assert (result.status, result.exit_code, result.ok) == ("failed", 3, False)
    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")


async def test_a_program_gets_its_arguments_input_and_environment_as_they_are(place: Place) -> None:
    bytes_of_all_kinds = bytes(range(256))
    program = ["sh", "-c", 'printf %s "$1$GREETING"; cat', "sh", "$HOME "]
    result = await place.hive.exec(place.satellite, program, env={"GREETING": "hello"}, stdin=bytes_of_all_kinds)
    assert result.stdout == b"$HOME hello" + bytes_of_all_kinds


async def test_all_that_are_online_answer(place: Place) -> None:
    results = await place.hive.exec_many("all", "true")
    assert place.satellite in [result.satellite_name for result in results if result.ok]


async def test_a_fan_out_tells_how_it_goes_on(place: Place) -> None:
    told: list[JobEvent] = []
    threads = set()

    def progress(event: JobEvent) -> None:
        told.append(event)
        threads.add(threading.get_ident())

    done = await place.hive.fan_out(place.satellite, "echo hello", progress=progress)
    assert [(result.ok, result.text) for result in done.results] == [(True, "hello\n")]
    assert done.ok and done.job.counts == {"succeeded": 1}
    assert [event.status for event in told if isinstance(event, JobTargetEnded)] == ["succeeded"]
    assert told[-1] == JobEnded(done.job)
    assert threads == {threading.get_ident()}, "the event loop's thread alone is called"


async def test_a_satellite_that_is_offline_is_part_of_the_answer(fleet: Fleet) -> None:
    done = await fleet.hive.fan_out(["tag:web"], "true")
    assert [(result.satellite_name, result.status) for result in done.results] == [
        (NAME, "succeeded"),
        (SECOND, "not_run"),
    ]
    [offline] = [result.error for result in done.results if result.error]
    assert offline.code == "SATELLITE_OFFLINE"
    targets = await fleet.hive.job_targets(done.job.id)
    assert [target.satellite_name for target in targets] == [NAME, SECOND]


async def test_output_is_told_while_a_command_runs(place: Place) -> None:
    async with place.hive.exec_stream(place.satellite, "echo one; read line; echo two", stdin="go\n") as events:
        kinds = [event async for event in events]
    assert isinstance(kinds[0], ExecAccepted)
    assert b"".join(event.data for event in kinds if isinstance(event, ExecOutput)) == b"one\ntwo\n"
    assert isinstance(kinds[-1], ExecExit) and kinds[-1].result.exit_code == 0


async def test_a_stored_command_is_asked_for_later(place: Place) -> None:
    command = await place.hive.submit(place.satellite, "echo later", expires_in=60)
    while not (info := await place.hive.command(command)) or not info.is_over:
        await asyncio.sleep(0.05)
    assert (info.status, info.stdout) == ("succeeded", b"later\n")
    assert await place.hive.command_output(command, start=2) == b"ter\n"
    assert command in [stored.id for stored in await place.hive.commands(place.satellite)]


async def test_a_job_that_is_cancelled_ends(place: Place) -> None:
    job = await place.hive.job_submit(place.satellite, "sleep 60")
    async with place.hive.job_watch(job.id) as events:
        await place.hive.job_cancel(job.id)
        steps = [event async for event in events]
    assert isinstance(steps[-1], JobEnded) and steps[-1].job.status == "cancelled"


async def test_a_change_is_told(place: Place) -> None:
    async with place.hive.events() as events:
        for tags in (["web", "new"], ["web"]):
            changed = await place.hive.satellite_update(place.satellite, tags=tags)
            assert sorted(changed.tags) == sorted(tags)
        async for event in events:
            if isinstance(event, SatelliteUpdated) and "tags" in event.changes:
                break
    assert event.id == changed.id


async def test_satellites_are_found_by_what_they_are(fleet: Fleet) -> None:
    assert [satellite.name for satellite in await fleet.hive.satellites()] == [NAME, SECOND]
    assert [satellite.name for satellite in await fleet.hive.satellites(online=False, tags=["web"])] == [SECOND]
    found = await fleet.hive.satellite(NAME)
    assert found.online and found.os == "linux" and found.created_at.tzinfo
    assert await fleet.hive.satellite(found.id) == found
