"""The handshakes as tables: every step they have, every step they don't, and death after each error."""

from collections.abc import Callable
from itertools import product

import pytest

from intaglio.errors import IntaglioError, LocalProtocolError, Malformed, Unavailable
from intaglio.session.data_centre import DATA_CENTRE_TABLE, OpenHello
from intaglio.session.enclave import ENCLAVE_TABLE, EnclaveHandshake
from intaglio.session.machine import Event, Machine, State
from intaglio.types import ReportData
from tests.session.world import QUOTE, World


def _world_accept(world: World, hello: bytes) -> bytes:
    return world.accept(world.open(hello)).accept


def _enclave_in(state: State, world: World) -> tuple[EnclaveHandshake, bytes]:
    """An enclave's handshake in this state, and the Accept that it would take."""
    handshake = world.handshake()
    accept = b""
    if state is State.DEAD:
        with pytest.raises(Malformed):
            handshake.offer(b"")
    if state in (State.OFFERED, State.OPENED, State.ESTABLISHED):
        handshake.offer(world.made.data)
    if state in (State.OPENED, State.ESTABLISHED):
        accept = _world_accept(world, handshake.hello(world.quote, {}))
    if state is State.ESTABLISHED:
        handshake.accept(accept)
    assert handshake.state is state
    return handshake, accept


ENCLAVE_STATES = (State.NEW, State.OFFERED, State.OPENED, State.ESTABLISHED, State.DEAD)
ENCLAVE_EVENTS = (Event.OFFER, Event.HELLO, Event.ACCEPT)


def _enclave_step(handshake: EnclaveHandshake, event: Event, world: World, accept: bytes) -> None:
    steps: dict[Event, Callable[[], object]] = {
        Event.OFFER: lambda: handshake.offer(world.made.data),
        Event.HELLO: lambda: handshake.hello(world.quote, {}),
        Event.ACCEPT: lambda: handshake.accept(accept),
    }
    steps[event]()


@pytest.mark.parametrize(("state", "event"), list(product(ENCLAVE_STATES, ENCLAVE_EVENTS)), ids=str)
def test_enclave(state: State, event: Event) -> None:
    world = World()
    handshake, accept = _enclave_in(state, world)
    target = ENCLAVE_TABLE.get((state, event))
    if target is None:
        with pytest.raises(LocalProtocolError):
            _enclave_step(handshake, event, world, accept)
        target = State.DEAD
    else:
        _enclave_step(handshake, event, world, accept)
    assert handshake.state is target


def _opened_in(state: State, world: World) -> OpenHello:
    opened = world.open(world.greet()[1])
    if state is State.ESTABLISHED:
        world.accept(opened)
    if state is State.REFUSED:
        opened.refuse(b"")
    if state is State.DEAD:
        opened._hello = None  # type: ignore[assignment]
        with pytest.raises(AttributeError):
            world.accept(opened)
    assert opened.state is state
    return opened


@pytest.mark.parametrize(
    ("state", "event"),
    list(product((State.OPENED, State.ESTABLISHED, State.REFUSED, State.DEAD), (Event.ACCEPT, Event.REFUSE))),
    ids=str,
)
def test_data_centre(state: State, event: Event) -> None:
    world = World()
    opened = _opened_in(state, world)
    steps: dict[Event, Callable[[], object]] = {
        Event.ACCEPT: lambda: world.accept(opened),
        Event.REFUSE: lambda: opened.refuse(b""),
    }
    target = DATA_CENTRE_TABLE.get((state, event))
    if target is None:
        with pytest.raises(LocalProtocolError):
            steps[event]()
        target = State.DEAD
    else:
        steps[event]()
    assert opened.state is target


@pytest.mark.parametrize("table", [ENCLAVE_TABLE, DATA_CENTRE_TABLE])
def test_a_table_leads_to_no_state_of_its_own_death(table: dict[tuple[State, Event], State]) -> None:
    assert State.DEAD not in {state for state, _ in table} | set(table.values())
    for state, event in product(State, Event):
        machine = Machine(table)
        machine.state = state
        if (state, event) in table:
            with machine.step(event):
                assert machine.state is State.DEAD, "until the work is done"
            assert machine.state is table[state, event]
        else:
            with pytest.raises(LocalProtocolError), machine.step(event):
                pytest.fail("the body of a step that does not exist must not run")
            assert machine.state is State.DEAD


@pytest.mark.parametrize("error", [Unavailable("no quote"), RuntimeError("anything"), KeyboardInterrupt()])
def test_a_failing_quote_kills_the_handshake(error: BaseException) -> None:
    def quote(report_data: ReportData) -> bytes:
        raise error

    world = World()
    handshake = world.handshake()
    handshake.offer(world.made.data)
    with pytest.raises(type(error)):
        handshake.hello(quote, {})
    assert handshake.state is State.DEAD
    with pytest.raises(LocalProtocolError):
        handshake.hello(lambda _: QUOTE, {})
    with pytest.raises(LocalProtocolError):
        _ = handshake.sender


def test_after_any_error_every_step_is_refused() -> None:
    world = World()
    handshake, _ = world.greet()
    with pytest.raises(IntaglioError):
        handshake.accept(b"\x80")
    for event in ENCLAVE_EVENTS * 2:
        with pytest.raises(LocalProtocolError):
            _enclave_step(handshake, event, world, b"")
    assert handshake.sender.epoch == 0, "epoch 0 may still be used"
