"""What a host that was away for long brings: it is late, and not lost."""

from tests.gateway.test_frames import reasons
from tests.gateway.world import DAY, HOUR, HUNDRED, NOON, World, told


def test_an_ended_session_is_told_so_as_long_as_its_late_frames_are_taken(world: World) -> None:
    """A host that starts again delivers the hello first. At OFFER_KEY_DESTROYED it would put aside what is still
    taken: the session's keys outlive the offer's by the life of the session."""
    with world.gateway() as dc:
        guest, channel = dc.session()
        assert channel.result.expires == NOON + DAY
        world.clock.now = NOON + HOUR + 7 * DAY + 1
        dc.gateway.turn()
        assert dc.hello(guest.hello).json["reasons"] == ["SESSION_ENDED"]
        assert dc.frames(channel.farewell, channel.up.protect([HUNDRED])).json == told(stored=2)
    with world.reader() as reader:
        assert [record.status for record in reader.records()] == ["LATE"]


def test_a_repetition_is_a_duplicate_even_when_the_keys_are_gone(world: World) -> None:
    """The 2xx was lost, and the host came back after the spool window: what is stored is no refusal."""
    with world.gateway() as dc:
        _, channel = dc.session()
        frames = [channel.farewell, channel.up.protect([HUNDRED])]
        assert dc.frames(*frames).json == told(stored=2)
        world.clock.now = NOON + 9 * DAY
        dc.gateway.turn()
        reply = dc.frames(*frames)
        assert (reply.status, reply.json) == (200, told(duplicate=2))
        edited = frames[1][:-1] + bytes((frames[1][-1] ^ 1,))
        beyond = frames[1][:32] + b"\xff" * 8 + frames[1][40:]
        assert dc.frames(edited, channel.up.protect([HUNDRED]), beyond).json == told(refused=[0, 1, 2])
        assert reasons(dc) == {"SESSION_ENDED": 3}
