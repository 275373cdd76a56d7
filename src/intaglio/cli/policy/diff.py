"""`intaglio policy diff`: what a new policy accepts that the old one did not, and the reverse."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from intaglio.cli.console import clean, line, print_json
from intaglio.cli.failure import Exit

if TYPE_CHECKING:
    from intaglio.verify.policy_diff import Difference

__all__ = ["diff"]

_KINDS = {
    "added": "a new workload, accepted from now on",
    "removed": "no longer accepted at all",
    "moved": "tried in another order: where two tables accept the same evidence, another one decides",
}


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The policy as it is.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The policy as it would be.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a change of policy means, not how its text differs.

    Workloads are compared by name. A line with + is accepted by the new policy and was not by the old one, a line with
    - is the reverse. Comments, order of keys, notes and spelling make no difference.

    Exit status: 0 if both mean the same, 1 if not, 2 if one can't be read.
    """
    from intaglio.cli.inputs import read_policy  # noqa: PLC0415
    from intaglio.verify.policy_diff import compare  # noqa: PLC0415

    before, after = read_policy(old), read_policy(new)
    differences = compare(before, after)
    if json:
        print_json(
            {
                "same": not differences,
                "old": before.hash.hex(),
                "new": after.hash.hex(),
                "wider": any(each.kind == "added" or each.wider for each in differences),
                "narrower": any(each.kind == "removed" or each.narrower for each in differences),
                "workloads": [_to_json(each) for each in differences],
            }
        )
    elif not differences:
        line("no difference in meaning", style="green")
    else:
        for each in differences:
            _show(each)
    raise typer.Exit(Exit.FAILED if differences else Exit.OK)


def _show(difference: "Difference") -> None:
    line(f"{difference.workload}{f': {_KINDS[difference.kind]}' if difference.kind in _KINDS else ''}", style="bold")
    for key, text in difference.wider:
        line(clean(f"  + {key}: {text}"), style="yellow")
    for key, text in difference.narrower:
        line(clean(f"  - {key}: {text}"), style="cyan")


def _to_json(difference: "Difference") -> dict[str, Any]:
    return {
        "workload": difference.workload,
        "kind": difference.kind,
        "wider": [{"key": key, "accepts": text} for key, text in difference.wider],
        "narrower": [{"key": key, "accepts": text} for key, text in difference.narrower],
    }
