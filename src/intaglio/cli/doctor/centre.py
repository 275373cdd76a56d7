"""A data centre: would its gateway start, and will what it stands on still hold tomorrow?"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from intaglio.cli.doctor.finding import Finding, good, problem, warning
from intaglio.collateral.folder import SUFFIX, read_held
from intaglio.collateral.freshness import freshness
from intaglio.errors import Malformed
from intaglio.gateway.config import Misconfigured, Secret
from intaglio.gateway.keystore import Keystore
from intaglio.gateway.sealed_file import read_private
from intaglio.types import UnixTime
from intaglio.verify.policy import Policy, PolicyError
from intaglio.verify.policy_file import MAX_SIZE

__all__ = ["Centre", "examine_centre"]

_DAY = 86400
_SOON = 3 * _DAY
"""The gateway fetches again with a tenth of the lifetime left; later than that something keeps it from doing so."""
_LITTLE, _NEARLY_NONE = 2 << 30, 200 << 20
"""Bytes of free disk: two gigabytes are days of records; below 200 MB SQLite's log and a back-up no longer fit."""


class Centre(NamedTuple):
    """What a data centre consists of, as far as somebody named it. `secret` opens the keystore, where one is given."""

    policy: Path | None = None
    keystore: Path | None = None
    secret: Secret | None = None
    store: Path | None = None
    collateral: Path | None = None


def examine_centre(centre: Centre, at: UnixTime) -> Iterator[Finding]:
    if centre.policy is not None:
        yield from _policy(centre.policy)
    if centre.keystore is not None:
        yield from _keystore(centre.keystore, centre.secret)
    folders = [centre.collateral] if centre.collateral is not None else []
    if centre.store is not None:
        yield from _store(centre.store)
        folders.append(centre.store / "collateral")
    for folder in folders:
        yield from _collateral(folder, at)


def _policy(path: Path) -> Iterator[Finding]:
    try:
        with path.open("rb") as file:
            policy = Policy.parse(file.read(MAX_SIZE + 1))
    except OSError as error:
        yield problem(f"policy {path}", _text(error), "no gateway starts without it", "name it with --policy")
        return
    except PolicyError as error:
        for each in error.problems:
            yield problem(f"policy {path}", each, "no gateway starts with this", f"intaglio policy check {path}")
        return
    names = ", ".join(workload.name for workload in policy.workloads)
    yield good(f"policy {path}", f"sound; accepts {names}; hash {policy.hash.hex()[:16]}...")
    for workload in policy.workloads:
        for danger in workload.dangers:
            name, _, meaning = danger.partition(": ")
            yield warning(f"policy {path}", f"{workload.name}: {name}", meaning, "remove it outside of laboratories")


def _keystore(path: Path, secret: Secret | None) -> Iterator[Finding]:
    try:
        if secret is None:
            read_private(path)
            yield good(
                f"keystore {path}", "there, and readable by its owner only; not opened (no key file, no passphrase)"
            )
        else:
            pin = Keystore.open(path, secret).pin
            yield good(f"keystore {path}", f"opens; audience {pin.audience}, pin hash {pin.hash.hex()[:16]}...")
    except Misconfigured as error:
        yield problem(f"keystore {path}", str(error), "the gateway can't start", "correct it as the message says")
    except Malformed as error:
        yield problem(
            f"keystore {path}", str(error), "the private keys can't be read; enclaves believe no others",
            "restore the file from a copy",
        )  # fmt: skip


def _store(folder: Path) -> Iterator[Finding]:
    try:
        database = (folder / "gateway.db").is_file()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield problem(f"store {folder}", _text(error), "the gateway keeps its records there", "name it with --store")
        return
    if not database:
        yield warning(
            f"store {folder}", "no gateway.db", "no gateway has ever run with this folder",
            "name the right one with --store",
        )  # fmt: skip
    shown = f"{free / (1 << 30):,.1f} GiB free"
    if free < _NEARLY_NONE:
        yield problem(
            f"disk of {folder}", shown, "soon nothing can be stored; hosts will keep their messages", "make room"
        )
    elif free < _LITTLE:
        yield warning(f"disk of {folder}", shown, "days of records, not weeks", "make room")
    else:
        yield good(f"disk of {folder}", shown)


def _collateral(folder: Path, at: UnixTime) -> Iterator[Finding]:
    if not folder.is_dir():
        yield warning(
            f"collateral {folder}", "no such folder", "nothing is cached: the first evidence waits for the PCCS",
            "nothing, if this gateway is new",
        )  # fmt: skip
        return
    for path in sorted((*folder.glob("*.json"), *folder.glob(f"*{SUFFIX}"))):
        try:
            facts = freshness(read_held(path))
        except (Malformed, OSError) as error:
            yield problem(
                f"collateral {path}",
                str(error),
                "evidence of this platform can't be judged",
                "intaglio collateral fetch",
            )
            continue
        left, age = facts.next_update - at, (at - facts.issued) / _DAY
        shown = f"certificates of an SNP chip, issued {age:,.0f} days ago"
        if facts.fmspc is not None:
            shown = f"FMSPC {facts.fmspc}, TCB info {age:,.0f} days old, evaluation number {facts.evaluation_number}"
        if left < 0:
            yield problem(
                f"collateral {path}", f"{shown}; expired {-left / _DAY:,.1f} days ago",
                "evidence judged by it is refused as COLLATERAL_EXPIRED",
                "intaglio collateral fetch; then see why it was not refreshed",
            )  # fmt: skip
        elif left < _SOON:
            yield warning(
                f"collateral {path}", f"{shown}; expires in {left / _DAY:,.1f} days",
                "the refresh that should have happened by now has not", "look at the gateway's log and at the PCCS",
            )  # fmt: skip
        else:
            yield good(f"collateral {path}", f"{shown}; good for {left / _DAY:,.0f} days")


def _text(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
