"""Every failure is an exception, one class a code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import SECOND, Fleet, Place

import satellite_hive
from satellite_hive import Hive, HiveError
from satellite_hive import _errors
from satellite_hive._native import hive_ffi as native


def variants() -> list[Any]:
    variants = [kind for kind in vars(native.HiveError).values() if isinstance(kind, type)]
    return [kind for kind in variants if issubclass(kind, native.HiveError)]


def made(kind: Any, message: str, details: Any) -> Any:
    """An error of the library below; one of a newer version has its code with it."""
    code = {"code": "OF_TOMORROW"} if kind is vars(native.HiveError)["Unknown"] else {}
    return kind(message=message, details=details, **code)


def test_each_code_has_a_class() -> None:
    codes = {native.error_parts(made(kind, "m", None)).code for kind in variants()}
    assert codes == set(_errors.BY_CODE) | {"OF_TOMORROW"}
    assert all(getattr(satellite_hive, kind.__name__) is kind for kind in _errors.BY_CODE.values())


def test_message_and_details_arrive() -> None:
    for kind in variants():
        error = _errors.translated(made(kind, "why", json.dumps({"field": "name"})))
        assert (str(error), error.message, error.details) == ("why", "why", {"field": "name"})
        assert error.code == native.error_parts(made(kind, "", None)).code


async def test_a_satellite_that_is_not_there_is_not_found(place: Place) -> None:
    with pytest.raises(satellite_hive.SatelliteNotFound) as caught:
        await place.hive.exec("no-such-satellite", "true")
    assert caught.value.code == "SATELLITE_NOT_FOUND"
    assert caught.value.details == {"satellite": "no-such-satellite"}


async def test_a_satellite_that_is_offline_is_told(fleet: Fleet) -> None:
    with pytest.raises(satellite_hive.SatelliteOffline) as caught:
        await fleet.hive.exec(SECOND, "true")
    assert SECOND in caught.value.message


async def test_a_command_that_does_not_end_is_ended(place: Place) -> None:
    with pytest.raises(satellite_hive.CommandTimeout) as caught:
        await place.hive.exec(place.satellite, "echo begun; sleep 60", timeout=1)
    info = await place.hive.command(caught.value.details["command_id"])
    assert info and (info.status, info.stdout) == ("timed_out", b"begun\n")


async def test_what_makes_no_sense_names_its_field(place: Place) -> None:
    with pytest.raises(satellite_hive.InvalidInput) as caught:
        await place.hive.satellite_update(place.satellite, name="x")
    assert caught.value.details["field"] == "name"
    with pytest.raises(TypeError, match="no such option"):
        await place.hive.exec(place.satellite, "true", timeuot=3)  # type: ignore[call-arg]


async def test_a_stranger_is_refused(fleet: Fleet) -> None:
    async with Hive.connect(fleet.server.url, "hive_key_of_nobody") as stranger:
        with pytest.raises(satellite_hive.AuthInvalid):
            await stranger.satellites()
    with pytest.raises(satellite_hive.AuthInvalid):
        await Hive.login(fleet.server.url, "ann", "not the password")


async def test_a_hive_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(satellite_hive.Unavailable):
        await Hive.connect("http://127.0.0.1:1", "hive_key_of_nobody").satellites()


async def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(satellite_hive.InvalidInput):
        await Hive.connect("not a url", "key")
