"""`intaglio policy check`: is this policy file sound?"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.console import clean, line, note, print_json, table
from intaglio.cli.failure import Exit
from intaglio.cli.reading import read_bytes

if TYPE_CHECKING:
    from intaglio.verify.policy import Policy, Workload

__all__ = ["PolicyFile", "check"]

PolicyFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The policy, TOML with one [[accept]] table a workload.")
]

_LONG_HEX = re.compile(r"\b([0-9a-f]{16})[0-9a-f]{4,}\b")


def check(file: PolicyFile, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List everything that is wrong with a policy.

    It is read as the gateway reads it: a missing rule is an error and so is an unknown key, because nothing is
    accepted by default. Rules that weaken the policy are pointed out.

    Exit status: 0 if a gateway would start with it, 1 if not, 2 if it can't be read.
    """
    from intaglio.verify.policy import Policy, PolicyError  # noqa: PLC0415

    try:
        policy = Policy.parse(read_bytes(file))
    except PolicyError as error:
        if json:
            print_json({"valid": False, "problems": list(error.problems), "hash": None, "workloads": []})
        else:
            for problem in error.problems:
                line(f"{file}: {clean(problem)}", style="red")
            note(f"{len(error.problems)} problem{'s' if len(error.problems) != 1 else ''}; no gateway starts with this")
        raise typer.Exit(Exit.FAILED) from error
    if json:
        workloads = [{"name": w.name, "tee": w.tee.value, "dangers": w.dangers} for w in policy.workloads]
        print_json({"valid": True, "problems": [], "hash": policy.hash.hex(), "workloads": workloads})
        return
    _show(policy)


def _show(policy: "Policy") -> None:
    rows = [(w.name, w.tee.value, _identity(w), w.pin.where) for w in policy.workloads]
    table(("WORKLOAD", "TEE", "WHO", "PIN"), rows)
    for workload in policy.workloads:
        for danger in workload.dangers:
            line(f"{workload.name}: {danger}", style="bold yellow")
    line(f"valid; policy hash {policy.hash.hex()}", style="green")


def _identity(workload: "Workload") -> str:
    """Measurements cut to what a person compares; `policy explain` shows all of them."""
    from intaglio.verify.workload import RULE_SETS  # noqa: PLC0415

    step = RULE_SETS[workload.tee].identifying
    text = ", ".join(rule.sentence for rule in workload.rules if rule.step is step)
    return _LONG_HEX.sub(r"\1...", text)
