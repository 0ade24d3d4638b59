"""The audit log, and who there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import NAME, Fleet, Place

from satellite_hive import AuthInvalid, Conflict, Hive, SatelliteNotFound, audit_verify_file


async def test_the_trail_is_asked_and_proved(place: Place, tmp_path: Path) -> None:
    await place.hive.exec(place.satellite, "echo traced")
    [outcome, intent] = await place.hive.audit(action="satellite.exec", limit=2)
    assert (intent.result, outcome.result) == ("intent", "success")
    assert outcome.seq > intent.seq and isinstance(intent.details, dict)
    assert (await place.hive.audit_verify()).valid

    audit_log = tmp_path / "audit.jsonl"
    records = await place.hive.audit_export(audit_log)
    found = await audit_verify_file(audit_log)
    assert found.valid and found.records == records and found.public_key
    audit_log.write_text(audit_log.read_text().replace("satellite.exec", "satellite.exit"))
    changed = await audit_verify_file(audit_log, found.public_key)
    assert not changed.valid and changed.faults[0]["fault"] == "changed"


async def test_who_calls_is_known(fleet: Fleet) -> None:
    async with Hive.connect(fleet.server.url, fleet.api_key) as hive:
        me = await hive.me()
        assert (me.user.username, me.user.role) == ("ann", "global_admin")
        key = await hive.api_key_create("another", expires_in_hours=1)
        assert key.api_key not in repr(key)
        assert (await hive.api_key_rotate(key.info.id)).api_key != key.api_key
        await hive.api_key_revoke(key.info.id)
        assert [known.name for known in await hive.api_keys() if not known.revoked_at] == ["tests"]


async def test_any_path_of_the_api_is_called(fleet: Fleet) -> None:
    async with Hive.connect(fleet.server.url, fleet.api_key) as hive:
        [satellite] = (await hive.request("GET", f"/api/v1/satellites?search={NAME}"))["data"]
        assert satellite["name"] == NAME
        changed = await hive.request("PUT", f"/api/v1/satellites/{satellite['id']}", {"tags": ["web"]})
        assert changed["data"]["tags"] == ["web"]
        with pytest.raises(SatelliteNotFound):
            await hive.request("GET", "/api/v1/satellites/sat_00000000000000000000000000")
    with pytest.raises(Conflict):
        await fleet.hive.request("GET", "/api/v1/satellites")


async def test_a_token_of_a_team_is_listed_and_revoked(fleet: Fleet) -> None:
    team = await fleet.hive.team_create("ops")
    assert team in await fleet.hive.teams()
    token = await fleet.hive.registration_token_create(team_id=team.id, description="for tests")
    assert token.token not in repr(token)
    await fleet.hive.registration_token_revoke(token.id)
    [listed] = [known for known in await fleet.hive.registration_tokens() if known.id == token.id]
    assert listed.team_id == team.id and listed.revoked_at


async def test_a_password_logs_in(fleet: Fleet) -> None:
    bea = await fleet.hive.user_create("bea", admin=True)
    assert bea.password not in repr(bea) and bea.user.role == "global_admin"
    async with Hive.login(fleet.server.url, "bea", bea.password) as hive:
        assert (await hive.satellite(NAME)).online


async def test_users_and_members_are_managed(fleet: Fleet) -> None:
    async with Hive.connect(fleet.server.url, fleet.api_key) as hive:
        dan = await hive.user_create("dan")
        await hive.team_create("web")
        member = await hive.team_member_put("web", "dan", "operator")
        assert await hive.team_members("web") == [member] and member.user_id == dan.user.id
        async with Hive.login(fleet.server.url, "dan", await hive.user_password_reset("dan")) as his:
            assert [team.slug for team in await his.teams()] == ["web"]
            await hive.user_update("dan", disabled=True)
            with pytest.raises(AuthInvalid):
                await his.teams()
        await hive.team_member_remove("web", "dan")
        [listed] = [user for user in await hive.users() if user.username == "dan"]
        assert listed.disabled_at and not await hive.team_members("web")


async def test_what_needs_a_hive_here_is_refused_elsewhere(fleet: Fleet) -> None:
    async with Hive.connect(fleet.server.url, fleet.api_key) as hive:
        with pytest.raises(Conflict):
            await hive.serve("127.0.0.1:0")
        with pytest.raises(Conflict):
            await hive.user_api_key_create("ann", "another")
