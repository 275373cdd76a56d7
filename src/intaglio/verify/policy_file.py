"""Reading a policy: TOML with one `[[accept]]` table a workload. All problems of a file are reported at once.

A missing rule is an error, an unknown key is an error, and what weakens a policy has an ugly name. Nothing has a
default that accepts more than writing it out would.
"""

import re
import tomllib
from typing import Any

from intaglio.errors import Malformed
from intaglio.types import Tee
from intaglio.verify.rules import intel
from intaglio.verify.rules.rule import MEASURED, Rule, RuleSet
from intaglio.verify.rules.table import Table, duration, true
from intaglio.verify.workload import RULE_SETS, Pin, Workload

__all__ = ["PolicyError", "read_policy"]

MAX_SIZE = 1024 * 1024
"""A policy is written by people; a megabyte of it is a mistake."""

_INTEL = (Tee.SGX, Tee.TDX)
_ONLY_INTEL = dict.fromkeys(intel.KEYS, "only Intel's collateral has it")
_MEANT = {
    "accepted_tcb_status": "it is called tcb here",
    "min_eval_num": "it is called min_tcb_evaluation_number here",
    "min_tcb_date": "it is called min_tcb_level_date",
    "tcb_baseline_date": "it is called min_tcb_level_date",
    "grace": "it is called platform_grace_period",
    "rejected_advisory_ids": "every advisory rejects here; advisories names those that may pass",
    "collateral_grace_period": "evidence is never judged by expired collateral",
    "accepted_platform_provider_ids": "list platform instance ids in platforms",
    "allow_dynamic_platform": "it is called dynamic_platform here, and is false or 'any'",
    "allow_cached_keys": "it is called cached_keys here, and is false or 'any'",
    "allow_smt_enabled": "it is called smt here, and is false or 'any'",
    "allow_debug": "it is called dangerous_allow_debug, and takes the place of debug",
}
"""Words of Intel's quote appraisal, and of others, for what has another name here or does not exist."""

MAX_TABLES = 4096
"""A data centre has dozens of workloads; each faulty table takes kilobytes of complaints."""

MAX_DOTS = 64
"""In a line that is no comment: no key here has one, and texts have few."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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
        workload = _read_workload(Table(table, index, problems))
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
        document = tomllib.loads(_readable(text))
    except (ValueError, RecursionError) as error:
        raise PolicyError([f"not TOML ({error})"]) from error
    unknown = sorted(document.keys() - {"accept"})
    accept = document.get("accept")
    if unknown:
        raise PolicyError([f"unknown key {key!r} outside [[accept]]" for key in unknown])
    if not isinstance(accept, list) or not accept or not all(isinstance(table, dict) for table in accept):
        raise PolicyError(["there is no [[accept]] table: this policy would accept nothing"])
    if len(accept) > MAX_TABLES:
        raise PolicyError([f"at most {MAX_TABLES} [[accept]] tables, got {len(accept)}"])
    return accept


def _readable(text: str | bytes) -> str:
    """Raises ValueError for text that is not UTF-8, and for keys of thousands of parts (``a.a.a``): the reader of TOML
    takes a memory for them that grows with the square of their number."""
    decoded = text if isinstance(text, str) else text.decode("utf-8")
    # Lines as TOML has them: other separators may stand inside a key.
    if any(line.count(".") > MAX_DOTS and not line.lstrip().startswith("#") for line in decoded.split("\n")):
        raise ValueError(f"a line with more than {MAX_DOTS} dots")
    return decoded


def _read_workload(table: Table) -> Workload | None:
    tee = table.take("tee", _tee, Tee.SGX)
    rule_set = RULE_SETS[tee]
    name = table.take("name", _name, "")
    rules, exact = rule_set.read(table)
    pin = table.take("pin", lambda value: _pin(value, rule_set), Pin(MEASURED))
    unpinned = table.maybe("dangerous_unpinned", true, False)
    _check_pin(table, rule_set, rules, exact=exact, pin=pin, unpinned=unpinned)
    workload = Workload(
        name=name,
        tee=tee,
        rules=rules,
        exact=exact,
        pin=pin,
        max_session_age=table.take("max_session_age", duration, 0),
        max_offer_age=table.take("max_offer_age", duration, 0),
        heartbeat=table.take("heartbeat", _heartbeat, None),
        dangerous_unpinned=unpinned,
    )
    table.end(_MEANT if tee in _INTEL else {**_MEANT, **_ONLY_INTEL})
    return workload if table.sound else None


def _check_pin(
    table: Table, rule_set: RuleSet[Any], rules: tuple[Rule[Any], ...], *, exact: bool, pin: Pin, unpinned: bool
) -> None:
    if not exact and pin.where == MEASURED and not unpinned:
        places = " or ".join(f'pin = "{place}"' for place in rule_set.pins)
        table.problem(
            "pin",
            f"a table for {rule_set.loose} needs {places}, because another one may pin another data centre"
            " (or dangerous_unpinned = true)",
        )
    place = rule_set.pins.get(pin.where)
    if place is not None and any(rule.key == place.key for rule in rules):
        table.problem(place.key, f'with pin = "{pin.where}" it holds the hash of the pinned keys and nothing else')


def _tee(value: object) -> Tee:
    for tee in RULE_SETS:
        if value == tee.value:
            return tee
    raise ValueError(f"expected {', '.join(repr(tee.value) for tee in RULE_SETS)}")


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("expected 1 to 64 letters, digits, dots, dashes or underscores")
    return value


def _pin(value: object, rule_set: RuleSet[Any]) -> Pin:
    places = (MEASURED, *rule_set.pins)
    if not isinstance(value, str) or value not in places:
        raise ValueError(f"expected {' or '.join(map(repr, places))} for {rule_set.tee.value}")
    return Pin(value)


def _heartbeat(value: object) -> int | None:
    return None if value == "none" else duration(value)
