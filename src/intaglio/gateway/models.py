"""What the JSON API answers: the documented shape of `query`'s values. Byte strings are lower-case hexadecimal, values
base64."""

import base64
from collections.abc import Sequence

from pydantic import BaseModel, Field, JsonValue

from intaglio.collateral.freshness import Forecast
from intaglio.gateway import query
from intaglio.gateway.render import readable
from intaglio.types import UnixTime

__all__ = [
    "Collateral",
    "Health",
    "Quarantine",
    "Record",
    "Records",
    "Refused",
    "RefusedWithBytes",
    "Session",
    "SessionWithVerdict",
    "Sessions",
    "Status",
    "Tally",
]


_COLLATERAL = 100
"""Of what is held: a fleet of SNP machines has thousands of certificates, and what ends first is what matters."""


class Health(BaseModel):
    status: str


class Record(BaseModel):
    """One value and where it came from."""

    id: int
    session: str
    workload: str
    tee: str
    simulated: bool = Field(description="rests on a simulator's evidence, not on hardware")
    epoch: int
    sequence: int
    position: int = Field(description="place in its frame")
    name: str
    content_type: str
    value: JsonValue = Field(description="decoded, for CBOR and text; null otherwise")
    value_base64: str
    arrived_at: int
    status: str = Field(description="ACCEPTED, LATE, or RECALLED")
    recalled: int | None = Field(description="the newest open recall of its session")

    @classmethod
    def of(cls, record: query.StoredRecord) -> "Record":
        return cls(
            id=record.id,
            session=record.session.hex(),
            workload=record.workload,
            tee=record.tee,
            simulated=record.simulated,
            epoch=record.epoch,
            sequence=record.sequence,
            position=record.position,
            name=record.name,
            content_type=record.content_type,
            value=readable(record.content_type, record.value),
            value_base64=base64.b64encode(record.value).decode(),
            arrived_at=record.arrived_at,
            status=record.status,
            recalled=record.recalled,
        )


class Records(BaseModel):
    records: list[Record]
    next: int | None = Field(description="pass as `after` for the next page; null at the end")


class Session(BaseModel):
    """A session and its counts."""

    session: str
    workload: str
    tee: str
    simulated: bool
    accepted_at: int
    expires_at: int
    ended_at: int | None
    keys_destroyed: bool
    frames: int
    records: int
    late: int
    replays: int
    missing: int = Field(description="numbers below the highest that have not arrived")
    highest: int
    last_at: int | None
    protocol: str = Field(description="intaglio, or sigma: 128-bit keys and no checkpoints")
    offer: str | None = Field(description="null where the protocol has none")
    evidence: str
    policy: str
    recalled: int | None = Field(description="the newest open recall that marks it")

    @classmethod
    def of(cls, session: query.StoredSession) -> "Session":
        return cls(**_session_fields(session))  # type: ignore[arg-type]


class SessionWithVerdict(Session):
    verdict: dict[str, JsonValue]

    @classmethod
    def with_verdict(cls, session: query.StoredSession) -> "SessionWithVerdict":
        return cls(**_session_fields(session), verdict=session.verdict)  # type: ignore[arg-type]


def _session_fields(session: query.StoredSession) -> dict[str, object]:
    plain = (
        "workload", "tee", "simulated", "accepted_at", "expires_at", "ended_at", "keys_destroyed", "frames", "records",
        "late", "replays", "missing", "highest", "last_at", "protocol", "recalled",
    )  # fmt: skip
    hexadecimal = ("session", "evidence", "policy")
    return {
        **{name: getattr(session, name) for name in plain},
        **{name: getattr(session, name).hex() for name in hexadecimal},
        "offer": session.offer.hex() if session.offer is not None else None,
    }


class Sessions(BaseModel):
    sessions: list[Session]
    next: int | None


class Refused(BaseModel):
    """Something that was refused."""

    id: str
    what: str = Field(description="hello, frame or body")
    reasons: list[str]
    detail: dict[str, JsonValue]
    session: str | None
    remote: str | None
    count: int
    first_at: int
    last_at: int

    @classmethod
    def of(cls, entry: query.QuarantineEntry) -> "Refused":
        return cls(**_refused_fields(entry))  # type: ignore[arg-type]


class RefusedWithBytes(Refused):
    bytes_base64: str = Field(description="the beginning of what came")

    @classmethod
    def with_bytes(cls, entry: query.QuarantineEntry) -> "RefusedWithBytes":
        encoded = base64.b64encode(entry.data).decode()
        return cls(**_refused_fields(entry), bytes_base64=encoded)  # type: ignore[arg-type]


def _refused_fields(entry: query.QuarantineEntry) -> dict[str, object]:
    return {
        "id": entry.name,
        "what": entry.what,
        "reasons": list(entry.reasons),
        "detail": dict(entry.detail),
        "session": entry.session.hex() if entry.session else None,
        "remote": entry.remote,
        "count": entry.count,
        "first_at": entry.first_at,
        "last_at": entry.last_at,
    }


class Quarantine(BaseModel):
    entries: list[Refused]
    next: int | None


class Tally(BaseModel):
    """Counted, not kept."""

    reason: str
    session: str | None
    count: int
    first_at: int
    last_at: int


class Collateral(BaseModel):
    """`days` until it expires, negative once it has; `expires_first`: which part of it. Unverified, as its service
    said."""

    request: dict[str, object]
    source: str
    fetched_at: int
    next_update: int
    expires_first: str
    days: float
    tcb_evaluation_number: int | None

    @classmethod
    def of(cls, forecast: Forecast, at: UnixTime) -> "Collateral":
        entry, facts = forecast.entry, forecast.facts
        return cls(
            request=dict(entry.request.to_json()),
            source=entry.source,
            fetched_at=entry.fetched_at,
            next_update=facts.next_update,
            expires_first=facts.ends_first,
            days=forecast.days(at),
            tcb_evaluation_number=facts.evaluation_number,
        )


class Status(BaseModel):
    sessions: int
    live_sessions: int
    records: int
    late: int
    frames: int
    replays: int
    quarantined: dict[str, int]
    simulated: bool
    tallies: list[Tally]
    collateral: list[Collateral]
    """The first hundred to expire of what is held."""

    @classmethod
    def of(
        cls, status: query.Status, tallies: list[query.Tally], collateral: Sequence[Forecast], at: UnixTime
    ) -> "Status":
        return cls(
            sessions=status.sessions,
            live_sessions=status.live_sessions,
            records=status.records,
            late=status.late,
            frames=status.frames,
            replays=status.replays,
            quarantined=dict(status.quarantined),
            simulated=status.simulated,
            tallies=[
                Tally(
                    reason=each.reason,
                    session=each.session.hex() if each.session else None,
                    count=each.count,
                    first_at=each.first_at,
                    last_at=each.last_at,
                )
                for each in tallies
            ],
            collateral=[Collateral.of(each, at) for each in collateral[:_COLLATERAL]],
        )
