"""Every route asks for a right, every role opens its own and no more, and a token ends when it should."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from intaglio.gateway.access import RIGHTS, Right, Role
from intaglio.gateway.server import Gateway
from tests.cli.conftest import run
from tests.conftest import ROOT
from tests.gateway.world import DAY, Dc, Reply, World

OPEN = {"/v1/health/live", "/v1/health/ready", "/api/v1/openapi.json"}
PAGE = (ROOT / "docs" / "access.md").read_text()


def documented_rights() -> dict[str, Right]:
    """Route: right, as docs/access.md has it."""
    table = {right: re.search(rf"^\| `{right}` \| (`/.*) \|$", PAGE, re.MULTILINE) for right in Right}
    return {route: right for right, row in table.items() if row for route in re.findall(r"`([^`]+)`", row[1])}


def add(world: World, name: str, role: str, *more: str) -> str:
    made = run("token", "add", name, "--role", role, *more, "--store", world.settings.folder)
    assert made.status == 0, made.err
    return made.out.strip()


def get(dc: Dc, path: str, token: str) -> Reply:
    return dc.ask("GET", path, None, {"Authorization": f"Bearer {token}"})


def routes(gateway: Gateway) -> set[str]:
    api = gateway.app._api  # every route, so that a new one without a right fails here
    return {route.path for route in api.routes if isinstance(route, APIRoute)}  # type: ignore[attr-defined]


def test_every_route_is_documented_with_its_right(dc: Dc) -> None:
    assert routes(dc.gateway) - OPEN == set(documented_rights())


def test_roles_are_documented_with_their_rights() -> None:
    for role, rights in RIGHTS.items():
        row = re.search(rf"^\| `{role}` \| ((?:`[a-z]+`(?:, )?)+) \|", PAGE, re.MULTILINE)
        assert row is not None, role
        assert set(re.findall(r"`([a-z]+)`", row[1])) == rights


@pytest.mark.parametrize("role", list(Role))
def test_a_role_opens_its_own_and_no_more(dc: Dc, role: Role) -> None:
    token = add(dc.world, "somebody", role)
    for path, right in documented_rights().items():
        if path.endswith("/stream"):
            path += "?limit=none&after=-1"  # refused for its query once the token was let through
        where = path.replace("{session}", "00" * 16).replace("{name}", "none")
        reply = get(dc, where, token)
        if right in RIGHTS[role]:
            assert reply.status in (200, 404, 422), where
        else:
            assert (reply.status, reply.json) == (403, {"detail": f"a token for {role} does not open {right}"}), where
            assert reply.headers["www-authenticate"] == f'Bearer error="insufficient_scope", scope="{right}"'
        assert dc.ask("GET", where).status == 401, where


def test_a_revoked_token_opens_nothing_from_that_moment_on(dc: Dc) -> None:
    token = add(dc.world, "alice", "reader")
    assert get(dc, "/api/v1/records", token).status == 200
    assert run("token", "revoke", "alice", "--store", dc.world.settings.folder).status == 0
    reply = get(dc, "/api/v1/records", token)
    assert (reply.status, reply.json) == (401, {"detail": "need a bearer token"})
    again = run("token", "revoke", "alice", "--store", dc.world.settings.folder)
    assert (again.status, "no token of that name is in force" in again.err) == (2, True)
    taken = run("token", "add", "alice", "--role", "reader", "--store", dc.world.settings.folder)
    assert (taken.status, "there was a token of that name" in taken.err, taken.out) == (2, True, "")


def test_an_expired_token_opens_nothing(dc: Dc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intaglio.cli.token.time.time", lambda: float(dc.world.clock.now))
    token = add(dc.world, "alice", "reader", "--expires", "1d")
    dc.world.clock.now += DAY - 1
    assert get(dc, "/api/v1/records", token).status == 200
    dc.world.clock.now += 1
    assert get(dc, "/api/v1/records", token).status == 401
    (shown,) = run("token", "list", "--json", "--store", dc.world.settings.folder).json
    assert (shown["name"], shown["role"], shown["state"]) == ("alice", "reader", "expired")


def test_a_role_of_another_version_opens_nothing(dc: Dc) -> None:
    token = add(dc.world, "alice", "reader")
    with closing(sqlite3.connect(dc.world.settings.database)) as connection:
        connection.execute("UPDATE named_tokens SET role = 'emperor'")
        connection.commit()
    assert get(dc, "/api/v1/records", token).status == 401


def test_a_token_is_read_from_its_header_alone(dc: Dc) -> None:
    token = add(dc.world, "alice", "operator")
    for headers in (
        {"Authorization": f"Basic {token}"},
        {"Authorization": token},
        {"Authorization": f"Bearer {token}x"},
        {"Authorization": "Bearer "},
        {"Cookie": f"token={token}"},
        {"Authorization": "Bearer \xe4"},
    ):
        assert dc.ask("GET", "/api/v1/status", None, headers).status == 401, headers
    assert dc.ask("GET", f"/api/v1/status?access_token={token}").status == 401
    assert dc.ask("GET", "/api/v1/status", None, {"Authorization": f"bearer {token}"}).status == 200


def test_a_token_is_kept_as_a_hash_and_said_once(world: World) -> None:
    with world.gateway():
        token = add(world, "alice", "reader")
        shown = run("token", "list", "--store", world.settings.folder)
    assert token not in shown.out + shown.err
    for path in Path(world.settings.folder).rglob("*"):
        if path.is_file():
            assert token.encode() not in path.read_bytes(), path


def test_what_is_no_name_or_role_is_refused(world: World) -> None:
    with world.gateway():
        for arguments, problem in (
            (("a b", "--role", "reader"), "a name has 1 to 64"),
            (("alice", "--role", "root"), "is none of operator, auditor, reader, metrics"),
            (("alice", "--role", "reader", "--expires", "soon"), "need a duration"),
        ):
            ran = run("token", "add", *arguments, "--store", world.settings.folder)
            assert (ran.status, problem in ran.err, ran.out) == (2, True, ""), ran.err
