"""`intaglio measure`: what the data centre shall accept, as text for its policy."""

import re
from pathlib import Path
from typing import Annotated

import typer

from intaglio.cli.console import examples, note, warn
from intaglio.cli.failure import Usage
from intaglio.cli.reading import read_bytes

__all__ = ["add_to", "policy_table"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_TABLE = """
[[accept]]
name = "{name}"
tee = "sgx"
mr_enclave = ["{mr_enclave}"]{comment}
tcb = ["UpToDate"]
advisories = []                     # named ones only; all others reject
min_tcb_evaluation_number = {number}      # raise it when a TCB recovery is rolled out
debug = false
platforms = "any"                   # or a list of PPIDs or platform instance ids
max_session_age = "24h"
max_offer_age = "1h"
heartbeat = "60s"
pin = "measured"
"""

_EVALUATION_NUMBER = 17
"""What Intel's collateral carried in May 2024. Collateral of June 2026 carries 21; a data centre that has rolled that
out demands it."""


def add_to(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "intaglio measure meter.py >> policy.toml",
            "intaglio measure meter.py --trust tariffs.json --name meter-2 >> policy.toml",
            "intaglio measure meter.py --sigstruct meter.sig     does this signature sign this very code?",
        )
    )(measure)


def measure(
    script: Annotated[Path, typer.Argument(metavar="SCRIPT", help="The enclave's script.")],
    trust: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A file that the enclave reads and that is measured with it."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The workload's name in the policy. [default: the script's]")] = None,
    sigstruct: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Fail unless this SIGSTRUCT signs exactly this measurement.")
    ] = None,
) -> None:
    """Print the policy table for an enclave.

    It accepts this enclave and no other. The number is that of the simulated platform; a real TEE measures its own
    runtime too.

    Measured are the script, the files given with --trust, dc.pub (beside the script, unless --trust names another), and
    the SDK that runs inside. Change one byte of any of them, or their order, and the measurement changes. The CPU
    computes the same number when it loads the enclave: it is what an accepted record is bound to.

    The rules are the strict ones. Read them before you append them: a policy is yours, not ours.
    """
    from intaglio.sim.loader import PINNED_NAME, image_of  # noqa: PLC0415

    workload = script.stem if name is None else name
    if not _NAME.fullmatch(workload):
        raise Usage(
            f"{workload!r}: a workload's name has 1 to 64 letters, digits, dots, dashes or underscores; --name sets it"
        )
    try:
        image = image_of(script, trust or [])
    except ValueError as error:
        raise Usage(str(error)) from error
    _check_script(script, image.files[0].content)
    mr_enclave = image.mr_enclave().hex()
    comment = "" if sigstruct is None else f"  # signed by {_signer(sigstruct, mr_enclave)}"
    typer.echo(policy_table(workload, mr_enclave, comment), nl=False)
    files = [file.name for file in image.files if not file.name.startswith("intaglio/")]
    note(f"measured: {', '.join(files)} and the SDK ({len(image.files) - len(files)} files)")
    if PINNED_NAME not in files:
        warn(f"no {PINNED_NAME} is measured: copy the data centre's there, or name it with --trust")


def policy_table(name: str, mr_enclave: str, comment: str = "") -> str:
    """TOML, ready to append to a policy: a table that accepts exactly this measurement, under the strict rules.
    Raises `PolicyError` if it came out as something that no gateway would read."""
    from intaglio.verify.policy import Policy  # noqa: PLC0415

    text = _TABLE.format(name=name, mr_enclave=mr_enclave, comment=comment, number=_EVALUATION_NUMBER)
    Policy.parse(text)
    return text


def _check_script(path: Path, content: bytes) -> None:
    """Raises `Usage` for what no enclave would run: a policy that names it would accept nothing."""
    try:
        compile(content, path.name, "exec", dont_inherit=True)
    except SyntaxError as error:
        where = "" if error.lineno is None else f", line {error.lineno}"
        raise Usage(f"{path}: not a Python script ({error.msg}{where})") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise Usage(f"{path}: not a Python script ({type(error).__name__})") from error


def _signer(path: Path, mr_enclave: str) -> str:
    """MRSIGNER of a SIGSTRUCT over exactly this measurement. Raises `Usage`."""
    from intaglio.errors import Malformed  # noqa: PLC0415
    from intaglio.wire.sigstruct import Sigstruct  # noqa: PLC0415

    try:
        signed = Sigstruct.parse(read_bytes(path))
    except Malformed as error:
        raise Usage(f"{path}: not a SIGSTRUCT: {error}") from error
    if signed.enclave_hash.hex() != mr_enclave:
        raise Usage(f"{path}: signs another enclave: expected {mr_enclave}, found {signed.enclave_hash.hex()}")
    return f"{signed.mr_signer.hex()}, product {signed.isv_prod_id}, SVN {signed.isv_svn}"
