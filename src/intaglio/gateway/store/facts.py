"""What a recall may ask of a session, from the verdict it was accepted by: facts of few words, with an index.

A verdict's JSON is a page of text; looking through it for every session would take longer the older a store becomes.
"""

from collections.abc import Mapping

__all__ = ["ADVISORY", "MEASUREMENT", "PLATFORM", "SIGNER", "TCB_DATE", "TCB_NUMBER", "UNSTATED", "facts_of", "padded"]

PLATFORM, MEASUREMENT, SIGNER = "platform", "measurement", "signer"
TCB_DATE, TCB_NUMBER, ADVISORY = "tcb_date", "tcb_evaluation_number", "advisory"
UNSTATED = "unstated"
"""Its values are the kinds of which this verdict says nothing: no answer about those sessions is a yes or a no."""

_MEASUREMENTS = ("mr_enclave", "mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "measurement")
_SIGNERS = ("mr_signer", "id_key_digest", "author_key_digest")
_IMAGE_SIGNER = "8"
"""Nitro's PCR of the certificate that signed the image."""

Facts = set[tuple[str, str]]


def facts_of(verdict: Mapping[str, object]) -> Facts:
    """(kind, value) of everything that can be asked for, from `Verdict.to_json`. Identifiers in lower case, advisories
    in upper case, numbers as `padded` writes them. Registers that are all zero hold nothing and are left out."""
    found: Facts = set()
    platform = _mapping(verdict.get("platform"))
    for name in ("ppid", "platform_instance_id", "chip_id", "module_id"):
        _add(found, PLATFORM, platform.get(name))
    if platform.get("csp_id"):
        _add(found, PLATFORM, f"csp:{platform['csp_id']}")
    identity = _mapping(verdict.get("identity"))
    pcrs = _mapping(identity.get("pcrs"))
    for value in (*(identity.get(name) for name in _MEASUREMENTS), *pcrs.values()):
        _add(found, MEASUREMENT, value)
    for value in (*(identity.get(name) for name in _SIGNERS), pcrs.get(_IMAGE_SIGNER)):
        _add(found, SIGNER, value)
    for kind in (TCB_DATE, TCB_NUMBER):
        number = verdict.get(kind)
        if isinstance(number, int):
            found.add((kind, padded(number)))
    advisories = verdict.get("advisory_ids")
    if isinstance(advisories, list):
        found |= {(ADVISORY, str(each).upper()) for each in advisories}
    stated = {kind for kind, _ in found} | ({ADVISORY} if verdict.get("advisories_stated") else set())
    kinds = (PLATFORM, MEASUREMENT, SIGNER, TCB_DATE, TCB_NUMBER, ADVISORY)
    return found | {(UNSTATED, kind) for kind in kinds if kind not in stated}


def padded(number: int) -> str:
    """A number as text that sorts as numbers do."""
    return f"{max(0, number):020d}"


def _add(found: Facts, kind: str, value: object) -> None:
    if isinstance(value, str) and value.strip("0"):
        found.add((kind, value.lower()))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
