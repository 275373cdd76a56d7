"""Reading a policy: TOML with one `[[accept]]` table a workload. All problems of a file are reported at once.

A missing rule is an error, an unknown key is an error, and what weakens a policy has an ugly name. Nothing has a
default that accepts more than writing it out would.
"""

import re
import tomllib
from collections.abc import Callable
from typing import TypeVar

from intaglio.errors import Malformed
from intaglio.types import Measurement, Tee
from intaglio.verify.verdict import TcbStatus
from intaglio.verify.workload import Pin, SignedBy, Workload

__all__ = ["PolicyError", "read_policy"]

MAX_SIZE = 1024 * 1024
"""A policy is written by people; a megabyte of it is a mistake."""

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ADVISORY = re.compile(r"[A-Z0-9][A-Za-z0-9-]{2,63}")
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_NEVER = (TcbStatus.REVOKED, TcbStatus.NOT_SUPPORTED)
_ALLOWED = {status.value: status for status in TcbStatus if status not in _NEVER}
_SGX_PINS = ("measured", "config_id")


class PolicyError(Malformed):
    """What is wrong with a policy file; `problems` names table and key of each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("policy", "; ".join(problems))
        self.problems = tuple(problems)


def read_policy(text: str | bytes) -> tuple[Workload, ...]:
    """The workloads of a policy file. Raises `PolicyError`."""
    tables = _tables(text)
    problems: list[str] = []
    workloads: list[Workload] = []
    for index, table in enumerate(tables, 1):
        workload = _read_workload(_Table(table, index, problems))
        if workload is not None:
            workloads.append(workload)
    names = [workload.name for workload in workloads]
    problems.extend(f"accept {name!r}: the name occurs twice" for name in sorted(set(names)) if names.count(name) > 1)
    if problems:
        raise PolicyError(problems)
    return tuple(workloads)


def _tables(text: str | bytes) -> list[dict[str, object]]:
    if len(text) > MAX_SIZE:
        raise PolicyError([f"at most {MAX_SIZE} bytes, got {len(text)}"])
    try:
        document = tomllib.loads(text if isinstance(text, str) else text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise PolicyError([f"not TOML ({error})"]) from error
    unknown = sorted(document.keys() - {"accept"})
    accept = document.get("accept")
    if unknown:
        raise PolicyError([f"unknown key {key!r} outside [[accept]]" for key in unknown])
    if not isinstance(accept, list) or not accept or not all(isinstance(table, dict) for table in accept):
        raise PolicyError(["there is no [[accept]] table: this policy would accept nothing"])
    return accept


class _Table:
    """One `[[accept]]` table, read key by key. A problem is noted and reading goes on, to find the others."""

    def __init__(self, values: dict[str, object], index: int, problems: list[str]) -> None:
        self._left = dict(values)
        self._problems = problems
        self._before = len(problems)
        name = values.get("name")
        self._label = f"accept {name!r}" if isinstance(name, str) else f"accept number {index}"

    @property
    def sound(self) -> bool:
        return len(self._problems) == self._before

    def problem(self, key: str, text: str) -> None:
        self._problems.append(f"{self._label}: {key}: {text}")

    def has(self, key: str) -> bool:
        return key in self._left

    def take(self, key: str, read: Callable[[object], T], default: T) -> T:
        """A mandatory key. `read` raises ValueError saying what it wants."""
        if key not in self._left:
            self.problem(key, "missing")
            return default
        return self.maybe(key, read, default)

    def maybe(self, key: str, read: Callable[[object], T], default: T) -> T:
        """An optional key."""
        if key not in self._left:
            return default
        try:
            return read(self._left.pop(key))
        except ValueError as error:
            self.problem(key, str(error))
            return default

    def end(self) -> None:
        for key in sorted(self._left):
            self.problem(key, "unknown key")


def _read_workload(table: _Table) -> Workload | None:
    tee = table.take("tee", _tee, Tee.SGX)
    name = table.take("name", _name, "")
    measured_by = _read_measurement(table)
    debug = _read_debug(table)
    pin = table.take("pin", _pin, Pin("measured"))
    dangerous_unpinned = table.maybe("dangerous_unpinned", _true, False)
    if isinstance(measured_by, SignedBy) and pin.where != "config_id" and not dangerous_unpinned:
        table.problem(
            "pin",
            'mr_signer needs pin = "config_id", because another image of that signer may pin another data centre'
            " (or dangerous_unpinned = true)",
        )
    config_id = table.maybe("config_id", _hex(64), None)
    if config_id is not None and pin.where == "config_id":
        table.problem("config_id", 'with pin = "config_id" it holds the hash of the pinned keys and nothing else')
    attributes = table.maybe("attributes", _hex(16), None)
    attributes_mask = table.maybe("attributes_mask", _hex(16), None)
    if (attributes is None) != (attributes_mask is None):
        table.problem("attributes", "attributes and attributes_mask belong together")
    elif attributes and attributes_mask and attributes != bytes(map(int.__and__, attributes, attributes_mask)):
        table.problem("attributes", "has bits outside attributes_mask, so nothing could match")
    workload = Workload(
        name=name,
        tee=tee,
        measured_by=measured_by,
        tcb=table.take("tcb", _tcb, frozenset()),
        advisories=table.take("advisories", _advisories, frozenset()),
        min_tcb_evaluation_number=table.take("min_tcb_evaluation_number", _number(0xFFFFFFFF), 0),
        platforms=table.take("platforms", _platforms, None),
        max_session_age=table.take("max_session_age", _duration, 0),
        max_offer_age=table.take("max_offer_age", _duration, 0),
        heartbeat=table.take("heartbeat", _heartbeat, None),
        pin=pin,
        dangerous_allow_debug=debug,
        dangerous_allow_privileged=table.maybe("dangerous_allow_privileged", _true, False),
        dangerous_unpinned=dangerous_unpinned,
        config_id=config_id,
        min_config_svn=table.maybe("min_config_svn", _number(0xFFFF), None),
        family_id=table.maybe("family_id", _hex(16), None),
        ext_prod_id=table.maybe("ext_prod_id", _hex(16), None),
        attributes=attributes,
        attributes_mask=attributes_mask,
        dynamic_platform=table.maybe("dynamic_platform", _flag, None),
        cached_keys=table.maybe("cached_keys", _flag, None),
        smt=table.maybe("smt", _flag, None),
    )
    table.end()
    return workload if table.sound else None


def _read_measurement(table: _Table) -> frozenset[Measurement] | SignedBy:
    """Either `mr_enclave`, or `mr_signer` with `isv_prod_id` and `min_isv_svn`."""
    nobody: frozenset[Measurement] = frozenset()
    if table.has("mr_enclave"):
        measurements = table.take("mr_enclave", _measurements, nobody)
        for key in ("mr_signer", "isv_prod_id", "min_isv_svn"):
            if table.has(key):
                table.problem(key, "mr_enclave already says which enclave it is")
                table.maybe(key, lambda value: value, None)
        return measurements
    if not table.has("mr_signer"):
        table.problem("mr_enclave", "missing (or mr_signer with isv_prod_id and min_isv_svn)")
        return nobody
    return SignedBy(
        mr_signer=Measurement(table.take("mr_signer", _hex(32), b"")),
        isv_prod_id=table.take("isv_prod_id", _number(0xFFFF), 0),
        min_isv_svn=table.take("min_isv_svn", _number(0xFFFF), 0),
    )


def _read_debug(table: _Table) -> bool:
    """`debug = false`, or `dangerous_allow_debug = true` in its place."""
    allowed = table.maybe("dangerous_allow_debug", _true, False)
    if allowed and table.has("debug"):
        table.problem("debug", "contradicts dangerous_allow_debug = true, which takes its place")
    if not allowed or table.has("debug"):
        table.take("debug", _no_debug, False)
    return allowed


def _tee(value: object) -> Tee:
    if value == Tee.SGX.value:
        return Tee.SGX
    if value in {tee.value for tee in Tee}:
        raise ValueError(f"{value!r} can't be judged by this release, only 'sgx'")
    raise ValueError("expected 'sgx'")


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("expected 1 to 64 letters, digits, dots, dashes or underscores")
    return value


def _pin(value: object) -> Pin:
    if not isinstance(value, str) or value not in _SGX_PINS:
        raise ValueError("expected 'measured' or 'config_id' for sgx")
    return Pin(value)


def _no_debug(value: object) -> bool:
    if value is not False:
        raise ValueError("expected false; whoever wants debug enclaves writes dangerous_allow_debug = true instead")
    return False


def _true(value: object) -> bool:
    if value is not True:
        raise ValueError("expected true; leave the key out otherwise")
    return True


def _flag(value: object) -> bool | None:
    """`false` forbids, `"any"` is what leaving the key out means."""
    if value == "any":
        return None
    if value is not False:
        raise ValueError("expected false or 'any'")
    return False


def _hex(size: int) -> Callable[[object], bytes]:
    def read(value: object) -> bytes:
        if not isinstance(value, str) or len(value) != 2 * size or not _HEX.fullmatch(value):
            raise ValueError(f"expected {size} bytes as hexadecimal text")
        return bytes.fromhex(value)

    return read


def _number(limit: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
            raise ValueError(f"expected a number from 0 to {limit}")
        return value

    return read


def _strings(value: object, what: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"expected a list of {what}")
    return value


def _measurements(value: object) -> frozenset[Measurement]:
    read = _hex(32)
    found = frozenset(Measurement(read(item)) for item in _strings(value, "measurements"))
    if not found:
        raise ValueError("the list is empty: this table would accept nothing")
    return found


def _tcb(value: object) -> frozenset[TcbStatus]:
    texts = _strings(value, "TCB statuses")
    if not texts:
        raise ValueError("the list is empty: this table would accept nothing")
    for text in texts:
        if text in {status.value for status in _NEVER}:
            raise ValueError(f"{text!r} can never be allowed")
        if text not in _ALLOWED:
            raise ValueError(f"{text[:64]!r} is not one of {', '.join(_ALLOWED)}")
    return frozenset(_ALLOWED[text] for text in texts)


def _advisories(value: object) -> frozenset[str]:
    texts = _strings(value, "advisory ids")
    for text in texts:
        if not _ADVISORY.fullmatch(text):
            raise ValueError(f"{text[:64]!r} is not an advisory id such as 'INTEL-SA-00615'")
    return frozenset(texts)


def _platforms(value: object) -> frozenset[str] | None:
    if value == "any":
        return None
    if isinstance(value, str) or not value:
        raise ValueError("expected 'any' or a list of PPIDs and platform instance ids")
    read = _hex(16)
    return frozenset(read(item).hex() for item in _strings(value, "PPIDs and platform instance ids"))


def _duration(value: object) -> int:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a duration such as '60s', '15m', '24h' or '7d'")
    return int(match[1]) * _UNITS[match[2]]


def _heartbeat(value: object) -> int | None:
    return None if value == "none" else _duration(value)
