"""Event logs of confidential VMs, for `intaglio inspect`: nothing in one is anybody's word until it is replayed."""

from intaglio.cli.formats.facts import Facts, Format
from intaglio.verify.event_log import replay
from intaglio.wire.boot_events import proof_of, read_fact
from intaglio.wire.ccel import Event, EventLog, EventType

__all__ = ["EVENT_LOG", "EVENT_LOG_JSON", "read_log"]

_NAMES = {int(kind): kind.name for kind in EventType}
_NOTE = "a log proves nothing by itself: `intaglio verify QUOTE --event-log` replays it against a genuine quote"


def read_log(data: bytes) -> EventLog:
    """Either form. Raises `Malformed`."""
    return EventLog.parse_json(data) if _is_json_log(data) else EventLog.parse(data)


def event_log_facts(data: bytes) -> Facts:
    log = read_log(data)
    registers = {f"rtmr{number}": value for number, value in enumerate(replay(log.events)) if any(value)}
    return {"events": [_event(each) for each in log.events], "replay": registers, "note": _NOTE}


def _event(event: Event) -> str:
    fact = read_fact(event)
    where = "MRTD" if event.rtmr is None else f"RTMR{event.rtmr}"
    kind = _NAMES.get(event.kind, f"{event.kind:#010x}")
    proof = proof_of(event, fact).value if event.extends else "not measured"
    return f"{where} {event.digest.hex()[:16]}.. {kind}: {fact} ({proof})"


def _is_binary_log(data: bytes) -> bool:
    return data[4:8] == b"\3\0\0\0" and data[32:48] == b"Spec ID Event03\0"


def _is_json_log(data: bytes) -> bool:
    return data.lstrip()[:1] == b"[" and b'"imr"' in data


EVENT_LOG = Format("event log (CCEL)", _is_binary_log, event_log_facts)
EVENT_LOG_JSON = Format("event log (JSON)", _is_json_log, event_log_facts)
