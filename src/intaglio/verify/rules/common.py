"""Rules of every kind of TEE: debug mode, the platform, and what binds evidence to a session and a data centre
(checks 32 and the pin)."""

from collections.abc import Callable
from dataclasses import dataclass

from intaglio.errors import Rejected
from intaglio.reasons import Reason
from intaglio.verify.ledger import Group, Step
from intaglio.verify.rules.extent import Extent, Named
from intaglio.verify.rules.rule import Case, Rule
from intaglio.verify.rules.table import Table, true
from intaglio.verify.verdict import Identity, Platform
from intaglio.wire.cbor import Value

__all__ = ["PIN", "REPORT_DATA", "Debug", "Platforms", "read_common"]

REPORT_DATA = Step("32", "report data", "the hash that binds this session", Group.POLICY)
PIN = Step("policy", "pin", "the hash of this data centre's pinned keys, where the policy says", Group.POLICY)
PLATFORMS = Step("policy", "platform allowed", "a platform that the policy lists", Group.POLICY)


@dataclass(frozen=True, slots=True)
class Debug(Rule[Identity]):
    """Production mode, unless the table says otherwise by an ugly name."""

    allowed: bool

    def check(self, case: Case[Identity]) -> str:
        debug = case.identity.debug
        if debug and not self.allowed:
            raise Rejected(Reason.DEBUG_ENCLAVE, expected="production", found="debug")
        return "debug, allowed by dangerous_allow_debug" if debug else "production"

    @property
    def sentence(self) -> str:
        return "production or debug mode" if self.allowed else "production mode"

    @property
    def extent(self) -> Extent | None:
        return Named(frozenset(("production", "debug") if self.allowed else ("production",)))

    def canonical(self) -> Value:
        return self.allowed

    @property
    def danger(self) -> str | None:
        return "dangerous_allow_debug: the host can read and change everything inside" if self.allowed else None


@dataclass(frozen=True, slots=True)
class Platforms(Rule[Identity]):
    """A machine that the table lists; None for any."""

    allowed: frozenset[str] | None

    def check(self, case: Case[Identity]) -> str:
        ids = _ids(case.verdict.platform)
        if self.allowed is not None and self.allowed.isdisjoint(ids):
            raise Rejected(Reason.PLATFORM_NOT_ALLOWED, expected=sorted(self.allowed), found=ids)
        return f"{', '.join(ids)}{' (any is allowed)' if self.allowed is None else ''}"

    @property
    def sentence(self) -> str:
        return "any platform" if self.allowed is None else f"a platform of {', '.join(sorted(self.allowed))}"

    @property
    def extent(self) -> Extent | None:
        return None if self.allowed is None else Named(self.allowed)

    def canonical(self) -> Value:
        return None if self.allowed is None else sorted(self.allowed)


def _ids(platform: Platform | None) -> list[str]:
    """What a machine may be listed by. A Nitro module id begins with the instance's, which names all its enclaves."""
    if platform is None:
        return []
    instance, enclave, _ = (platform.module_id or "").partition("-enc")
    return [*platform.ids, *([instance] if enclave else [])]


def read_common(
    table: Table, debug: Step, platform_id: Callable[[object], str], what: str
) -> tuple[Rule[Identity], Rule[Identity]]:
    """`debug` and `platforms`; `platform_id` reads one item of the list, `what` says what the list is of."""

    def platforms(value: object) -> frozenset[str] | None:
        if value == "any":
            return None
        if not isinstance(value, list) or not value:
            raise ValueError(f"expected 'any' or a list of {what}")
        return frozenset(map(platform_id, value))

    return (
        Debug("debug", debug, _read_debug(table)),
        Platforms("platforms", PLATFORMS, table.take("platforms", platforms, None)),
    )


def _read_debug(table: Table) -> bool:
    """`debug = false`, or `dangerous_allow_debug = true` in its place."""
    allowed = table.maybe("dangerous_allow_debug", true, False)
    if allowed and table.has("debug"):
        table.problem("debug", "contradicts dangerous_allow_debug = true, which takes its place")
    if not allowed or table.has("debug"):
        table.take("debug", _no_debug, False)
    return allowed


def _no_debug(value: object) -> bool:
    if value is not False:
        raise ValueError("expected false; whoever wants debug enclaves writes dangerous_allow_debug = true instead")
    return False
