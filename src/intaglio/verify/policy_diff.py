"""What a new policy accepts that an old one did not, and the reverse. By workload: a workload that has another name is
another workload. Two policies without any difference here have one hash, and the reverse.
"""

from dataclasses import dataclass

from intaglio.verify.policy import Policy
from intaglio.verify.rules.extent import beyond
from intaglio.verify.workload import Workload

__all__ = ["Difference", "compare"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one workload. `kind` is `added`, `removed`, `changed`, or `moved` (tables are tried in the file's order).

    `wider` and `narrower` are pairs of a key and what it lets through now and did not, or did and does not any more.
    """

    workload: str
    kind: str
    wider: tuple[tuple[str, str], ...] = ()
    narrower: tuple[tuple[str, str], ...] = ()


def compare(old: Policy, new: Policy) -> tuple[Difference, ...]:
    """In the new file's order, then what is gone."""
    before = {workload.name: workload for workload in old.workloads}
    after = {workload.name: workload for workload in new.workloads}
    found = [
        _changed(before[name], workload) if name in before else Difference(name, "added")
        for name, workload in after.items()
    ]
    found += [Difference(name, "removed") for name in before if name not in after]
    differences = [difference for difference in found if difference is not None]
    moved = _moved([name for name in before if name in after], [name for name in after if name in before])
    return (*differences, *(Difference(name, "moved") for name in moved))


def _changed(old: Workload, new: Workload) -> Difference | None:
    if old.canonical() == new.canonical():
        return None
    if old.tee is not new.tee:
        tee = ("tee", new.tee.value), ("tee", old.tee.value)
        return Difference(old.name, "changed", wider=(tee[0],), narrower=(tee[1],))
    before, after = old.extents, new.extents
    keys = list(dict.fromkeys((*after, *before)))
    wider = tuple((key, text) for key in keys for text in beyond(before.get(key), after.get(key)))
    narrower = tuple((key, text) for key in keys for text in beyond(after.get(key), before.get(key)))
    return Difference(old.name, "changed", wider, narrower)


def _moved(before: list[str], after: list[str]) -> list[str]:
    return [] if before == after else [name for name, was in zip(after, before, strict=True) if name != was]
