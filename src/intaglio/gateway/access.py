"""Who may read what over the API: roles, and the bearer tokens that carry them.

A token is 32 random bytes; the store has its SHA-256 only. It is looked up for every request, so one that was revoked
or has expired is refused at once, without a restart. A role opens what its work needs and nothing more.
"""

import hashlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Final

from fastapi import Depends, HTTPException
from fastapi.params import Depends as Dependency
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from intaglio.gateway.query import Reader
from intaglio.types import UnixTime

__all__ = ["RIGHTS", "Guards", "Right", "Role", "token_hash"]


class Right(StrEnum):
    """What a route asks for."""

    METRICS = "metrics"
    """Counts and times, nothing of a single session."""
    DATA = "data"
    """Records, and the sessions that they came in."""
    EVIDENCE = "evidence"
    """Verdicts with their evidence, and quarantine with the bytes of attacks."""


class Role(StrEnum):
    """Who a token is for."""

    OPERATOR = "operator"
    AUDITOR = "auditor"
    READER = "reader"
    METRICS = "metrics"


RIGHTS: Final[Mapping[Role, frozenset[Right]]] = {
    Role.OPERATOR: frozenset(Right),
    Role.AUDITOR: frozenset({Right.DATA, Right.EVIDENCE}),
    Role.READER: frozenset({Right.DATA}),
    Role.METRICS: frozenset({Right.METRICS}),
}
"""docs/access.md shows the same."""


def token_hash(token: str) -> bytes:
    """SHA-256, 32 bytes. A token has too many bits to be guessed from it, so it needs no salt and no slow hash."""
    return hashlib.sha256(token.encode()).digest()


class Guards:
    """Dependencies of routes, one for each right."""

    def __init__(self, readers: Callable[[], Reader], clock: Callable[[], UnixTime]) -> None:
        self._readers = readers
        self._clock = clock
        self._bearer = HTTPBearer(auto_error=False, description="intaglio token add")

    def __call__(self, right: Right) -> list[Dependency]:
        """For a route's `dependencies`: 401 without a token that is known and in force, 403 for one whose role has
        not this right."""

        def allowed(given: Annotated[HTTPAuthorizationCredentials | None, Depends(self._bearer)]) -> None:
            role = self._role(given.credentials) if given else None
            if role is None:
                raise HTTPException(401, "need a bearer token", {"WWW-Authenticate": "Bearer"})
            if right not in RIGHTS[role]:
                challenge = f'Bearer error="insufficient_scope", scope="{right}"'  # RFC 6750 §3.1
                raise HTTPException(403, f"a token for {role} does not open {right}", {"WWW-Authenticate": challenge})

        return [Depends(allowed)]

    def _role(self, token: str) -> Role | None:
        found = self._readers().token_role(token_hash(token), self._clock())
        # A role of another version opens nothing.
        return None if found is None else Role.__members__.get(found.upper())
