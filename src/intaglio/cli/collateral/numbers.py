"""`intaglio collateral numbers`: which of Intel's TCB recoveries may be asked for."""

import time
from typing import Annotated

import typer

from intaglio.cli.collateral.services import PcsOption, pcs_clients
from intaglio.cli.console import print_json, table
from intaglio.cli.failure import Usage

__all__ = ["numbers"]


def numbers(
    tee: Annotated[str, typer.Option(metavar="sgx|tdx", help="Whose.")] = "sgx",
    pcs: PcsOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the TCB evaluation data numbers that a service has.

    Each stands for one TCB recovery. A number given as --tcb-update fixes the levels that platforms are judged by;
    a policy's min_tcb_evaluation_number refuses older ones.
    """
    from intaglio.errors import Malformed, Unavailable  # noqa: PLC0415
    from intaglio.types import Tee, UnixTime  # noqa: PLC0415

    if tee.lower() not in ("sgx", "tdx"):
        raise Usage(f"--tee {tee}: need sgx or tdx")
    problems: list[Unavailable | Malformed] = []
    for client in pcs_clients(pcs):
        try:
            found = client.evaluation_numbers(Tee(tee.lower()), UnixTime(int(time.time())))
        except (Unavailable, Malformed) as error:
            problems.append(error)
            continue
        if json:
            print_json({"tee": tee.lower(), "source": client.name, "numbers": [each.to_json() for each in found]})
        else:
            rows = [(str(each.number), each.recovery_date, each.tcb_date) for each in found]
            table(("NUMBER", "ANNOUNCED", "TCB DATE"), rows)
        return
    raise problems[0] if len(problems) == 1 else Unavailable("; ".join(map(str, problems)))
