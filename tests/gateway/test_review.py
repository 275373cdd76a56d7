"""A policy that changes between two runs: sessions that it no longer allows end, the others go on."""

import json
import sqlite3

from tests.gateway.world import DAY, HOUR, HUNDRED, IMAGE, NOON, POLICY, World, told


def _policy(world: World, **changes: str) -> None:
    text = POLICY.format(measurement=IMAGE.mr_enclave().hex())
    for old, new in changes.items():
        assert f"{old} = " in text
        text = "\n".join(f"{old} = {new}" if line.startswith(f"{old} = ") else line for line in text.splitlines())
    world.settings.policy.write_text(text)


def _statuses(world: World) -> list[str]:
    with world.reader() as reader:
        return [record.status for record in reader.records()]


def test_a_session_that_the_new_policy_does_not_name_ends(world: World) -> None:
    with world.gateway() as dc:
        guest, channel = dc.session()
        assert dc.frames(channel.farewell, channel.up.protect([HUNDRED])).json == told(stored=2)
    _policy(world, mr_enclave='["' + "ab" * 32 + '"]')
    world.clock.now = NOON + HOUR
    with world.gateway() as dc:
        assert dc.hello(guest.hello).json["reasons"] == ["SESSION_ENDED"]
        assert dc.frames(channel.up.protect([HUNDRED])).json == told(stored=1)
    assert _statuses(world) == ["ACCEPTED", "LATE"]
    with sqlite3.connect(world.settings.database) as connection:
        kind, session, detail = connection.execute("SELECT kind, session, detail FROM events").fetchone()
    connection.close()
    assert (kind, session) == ("session ended by policy", guest.handshake.session)
    assert json.loads(detail) == {"reasons": ["WRONG_MEASUREMENT"]}


def test_a_session_that_the_new_policy_still_allows_goes_on(world: World) -> None:
    with world.gateway() as dc:
        guest, channel = dc.session()
        accept = dc.hello(guest.hello).body
    _policy(world, name='"the-meter"', platforms='"any"')
    world.clock.now = NOON + HOUR
    with world.gateway() as dc:
        assert dc.hello(guest.hello).body == accept
        assert dc.frames(channel.farewell, channel.up.protect([HUNDRED])).json == told(stored=2)
    assert _statuses(world) == ["ACCEPTED"]


def test_a_shorter_life_holds_for_sessions_that_live(world: World) -> None:
    with world.gateway() as dc:
        _, channel = dc.session()
        assert channel.result.expires == NOON + DAY
    _policy(world, max_session_age='"2h"')
    world.clock.now = NOON + HOUR
    with world.gateway() as dc:
        assert dc.frames(channel.farewell, channel.up.protect([HUNDRED])).json == told(stored=2)
        world.clock.now = NOON + 2 * HOUR + 1
        assert dc.frames(channel.up.protect([HUNDRED])).json == told(stored=1)
    assert _statuses(world) == ["ACCEPTED", "LATE"]


def test_the_same_policy_judges_nobody_again(world: World) -> None:
    with world.gateway() as dc:
        _, channel = dc.session()
    # A comment is not another policy: its hash is over the rules.
    world.settings.policy.write_text("# reviewed\n" + world.settings.policy.read_text())
    with world.gateway() as dc:
        assert dc.frames(channel.farewell).json == told(stored=1)
    with sqlite3.connect(world.settings.database) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)
    connection.close()


def test_evidence_that_was_altered_in_the_database_ends_its_session_and_no_start(world: World) -> None:
    with world.gateway() as dc:
        guest, _ = dc.session()
    with sqlite3.connect(world.settings.database) as connection:
        connection.execute("UPDATE collateral SET bytes = x'00'")
    connection.close()
    _policy(world, name='"the-meter"')
    with world.gateway() as dc:
        assert dc.hello(guest.hello).json["reasons"] == ["SESSION_ENDED"]
