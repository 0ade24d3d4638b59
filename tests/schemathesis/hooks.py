"""Gives the calls of Schemathesis objects to act on.

`HIVE_WORLD` names a file with the URL of the hive, credentials and the id of one object of each kind. An id of the right form in a
request stands for that object, because an invented one would only be answered 404. Some stay as they are, so that this answer is checked too.
An operation that removes or locks its object gets one of its own, which the admin makes for the call. Values that break a rule are sent as
they were made.
"""

import itertools
import json
import os
import re
import threading
from collections.abc import Callable
from typing import Any

import requests
import schemathesis
from schemathesis.core.failures import ServerError
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.transport import Response
from schemathesis.openapi.checks import RejectedPositiveData

with open(os.environ["HIVE_WORLD"], encoding="utf-8") as file:
    WORLD = json.load(file)

# An id, as in hive-core/wire/src/id.rs.
ID = re.compile(r"([a-z]+)_[0-7][0-9a-hjkmnp-tv-z]{25}")
# One id in so many stays as it is.
INVENTED = 8

TEAM = WORLD["ids"]["team"]
FOR_ONE_CALL = "for-one-call-"

_numbers = itertools.count(1)
_local = threading.local()


def stands_for(value: str) -> str:
    """The object of the world that an id stands for; any other text as it is."""
    found = ID.fullmatch(value)
    if found is None or found[1] not in WORLD["ids"] or sum(value.encode()) % INVENTED == 0:
        return value
    return WORLD["ids"][found[1]]


def with_ids(value: Any) -> Any:
    """The same value with the ids of objects that exist."""
    if isinstance(value, dict):
        return {name: with_ids(field) for name, field in value.items()}
    if isinstance(value, list):
        return [with_ids(item) for item in value]
    return stands_for(value) if type(value) is str else value


def call(method: str, path: str, body: Any = None, bearer: str | None = None) -> Any:
    """Calls the hive as its admin, or with a token."""
    if not hasattr(_local, "session"):
        _local.session = requests.Session()
    headers = {"authorization": f"Bearer {bearer}"} if bearer else {"x-api-key": WORLD["admin_key"]}
    answer = _local.session.request(method, WORLD["url"] + path, json=body, headers=headers, timeout=30)
    assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json()


def create(path: str, body: Any) -> Any:
    return call("POST", path, body)["data"]


def name() -> str:
    return f"{FOR_ONE_CALL}{next(_numbers):06}"


def token() -> Any:
    return create("/api/v1/registration-tokens", {"scope": "team", "team_id": TEAM})


def satellite() -> str:
    body = {"name": name(), "capabilities": [], "tags": ["web"], "system_info": {}}
    return call("POST", "/api/satellites/register", body, token()["token"])["satellite"]["id"]


def group() -> str:
    return create("/api/v1/groups", {"name": name(), "team_id": TEAM, "query": "web"})["id"]


def user() -> str:
    return create("/api/v1/users", {"username": name()})["user"]["id"]


def member() -> str:
    created = create("/api/v1/users", {"username": name()})["user"]
    call("PUT", f"/api/v1/teams/{TEAM}/members", {"username": created["username"], "role": "operator"})
    return created["id"]


def api_key() -> str:
    return create("/api/v1/api-keys", {"name": name()})["info"]["id"]


# The parameter that names what an operation removes or locks, and how one is made.
OF_ITS_OWN: dict[str, tuple[str, Callable[[], str]]] = {
    "satellite_remove": ("id", satellite),
    "satellite_update": ("id", satellite),
    "satellite_disconnect": ("id", satellite),
    "group_update": ("id", group),
    "group_remove": ("id", group),
    "session_end": ("id", lambda: create("/api/v1/sessions", {"satellite_id": WORLD["ids"]["sat"]})["id"]),
    "api_key_revoke": ("id", api_key),
    "api_key_rotate": ("id", api_key),
    "team_member_remove": ("user", member),
    "user_update": ("id", user),
    "user_password_reset": ("id", user),
    "registration_token_revoke": ("id", lambda: token()["id"]),
    "team_token_revoke": ("token_id", lambda: token()["id"]),
    "global_token_revoke": ("token_id", lambda: create("/api/v1/registration-tokens", {"scope": "global"})["id"]),
}


# Rules that no JSON schema states, by the part of the message that names them. A request that breaks one and fits its schema is no failure.
BEYOND_SCHEMAS = [
    # The grammar of tag queries is not regular.
    r"query: at character \d+: ",
    r"query: a query that only excludes",
    # These compare the body with what is stored, or with the path.
    r"for_satellite: the satellite is not of this team",
    r"tags: a satellite that is there keeps the labels it has",
    r"targets: no satellite for ",
    r"members: satellite \S+ is not of the team of the group",
    r"current: is not the current password",
    r"scopes: you have no \S+ to give",
    # These compare two fields of the body.
    r"team_id: a (global token has no team|team's token needs the team)",
    r"expires_in_hours: must be 1 to 24",
    r"page: not together with cursor",
    # These compare the body with the address of the call or of a link.
    r"addresses: none of the networks has ",
    # A group is named by its name or its id.
    r"group: group name ",
    r"unknown field `(args|env|cwd|stdin|timeout_seconds|expires_in_seconds|idempotent|priority)`",
    # JSON Schema counts 71.0 as an integer. The server takes integers as they are stored and shown.
    r": invalid type: floating point `-?\d+\.0`, expected [iu]\d+",
    # Which characters are letters: not every dialect of regular expressions has classes of Unicode.
    r": 1 to 64 letters, digits or ",
    # JSON Schema has no format for networks in CIDR notation.
    r"addresses: .* is no network",
    # A cursor is a text of the hive's.
    r"cursor: ",
    # Entropy, and a list of common words.
    r"new: is easily guessed",
]
_beyond_schemas = re.compile("|".join(BEYOND_SCHEMAS))


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Response) -> bool:
    """Drops what is no failure of the server."""
    if isinstance(failure, RejectedPositiveData):
        # A link that Schemathesis has inferred passes on a field of an answer that is null.
        is_null = None in case.path_parameters.values() or "None" in case.path_parameters.values()
        return not is_null and not refused_by(response, _beyond_schemas)
    if isinstance(failure, ServerError):
        # The satellites that are made for one call have no link, and the answer about them is documented.
        return not re.search(rf"satellite {FOR_ONE_CALL}\d+ is offline", response.text)
    return True


def refused_by(response: Response, rules: re.Pattern[str]) -> bool:
    """Whether an answer names the field and the rule of its refusal, and the rule is one of these."""
    if response.status_code != 400:
        return False
    answer = response.json()
    error = answer["error"]
    message = error["message"] if isinstance(error, dict) else answer["message"]
    return rules.search(message) is not None


def is_example(case: Any, operation: str) -> bool:
    """Whether a call sends the example of the body, which has passwords that nobody has."""
    definition = case.operation.definition.raw
    if definition["operationId"] != operation:
        return False
    return case.body == definition["requestBody"]["content"]["application/json"]["example"]


@schemathesis.hook
def after_call(context: Any, case: Any, response: Response) -> None:
    """Keeps the caller's password."""
    if case.operation.definition.raw["operationId"] == "auth_password_change" and response.status_code == 200:
        WORLD["password"] = case.body["new"]


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Replaces ids and credentials, and makes what the call is to remove."""
    operation = case.operation.definition.raw["operationId"]
    if case.meta is None:
        return
    if operation == "satellite_register" and case.headers.get("Authorization") == f"Bearer {WORLD['satellite_key']}":
        # A token registers one satellite. The checks that send no credential, or a wrong one, go on without.
        case.headers["Authorization"] = f"Bearer {token()['token']}"
    if not case.meta.is_negative_at(ParameterLocation.PATH):
        for parameter, value in dict(case.path_parameters).items():
            case.path_parameters[parameter] = with_ids(value)
        if operation in OF_ITS_OWN and case.path_parameters:
            # Also in place of an id that an answer had: it may be that of the caller's own key.
            parameter, make = OF_ITS_OWN[operation]
            case.path_parameters[parameter] = make()
    if isinstance(case.body, (dict, list)):
        case.body = with_ids(case.body)
    if is_example(case, "auth_login"):
        case.body = dict(WORLD["login"])
    if is_example(case, "auth_password_change"):
        case.body["current"] = WORLD["password"]
    if case.query:
        case.query = with_ids(case.query)
