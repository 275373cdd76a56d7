"""`intaglio measure`: what the data centre shall accept, as text for its policy."""

import re
from pathlib import Path
from typing import Annotated

import typer

from intaglio.cli.console import examples, note, warn
from intaglio.cli.failure import Usage
from intaglio.cli.reading import read_bytes

__all__ = ["add_to", "check_script", "policy_table"]

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

_NITRO_TABLE = """
[[accept]]
name = "{name}"
tee = "nitro"
pcr0 = ["{pcr0}"]{comment}
debug = false
platforms = "any"                   # or a list of instances (i-...) or module ids
max_session_age = "2h"
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
            "intaglio measure meter.sig --manifest meter.manifest.sgx >> policy.toml     Gramine's build",
            "nitro-cli describe-eif --eif-path meter.eif | intaglio measure - --name meter >> policy.toml",
        )
    )(measure)


def measure(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A script, a SIGSTRUCT, or what nitro-cli printed.")],
    trust: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A file that the enclave reads and that is measured with it."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The workload's name in the policy. [default: the file's]")] = None,
    sigstruct: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Fail unless this SIGSTRUCT signs exactly this measurement.")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With a SIGSTRUCT: fail unless this Gramine manifest leaves no choice."),
    ] = None,
) -> None:
    """Print the policy table for an enclave.

    It accepts this enclave and no other.

    Of a script the number is that of the simulated platform. Measured are the script, the files given with --trust,
    dc.pub (beside the script, unless --trust names another), and the SDK that runs inside. Change one byte of any of
    them, or their order, and the measurement changes.

    A real TEE measures its own runtime too, so its tools say the number: the SIGSTRUCT (.sig) that Gramine or Intel's
    SDK wrote, whose signature is checked; what nitro-cli build-enclave or describe-eif printed. With --manifest
    Gramine's manifest is read too: debug mode, files that are not measured, arguments or environment of the host's
    choosing are refused, and dc.pub must be among its trusted files.

    The rules are the strict ones. Read them before you append them: a policy is yours, not ours.
    """
    workload = file.stem if name is None else name
    if not _NAME.fullmatch(workload):
        raise Usage(
            f"{workload!r}: a workload's name has 1 to 64 letters, digits, dots, dashes or underscores; --name sets it"
        )
    from intaglio.cli.measurements.eif import is_nitro_output  # noqa: PLC0415
    from intaglio.cli.measurements.sigstruct import is_sigstruct  # noqa: PLC0415

    data = read_bytes(file)
    enclave, image = is_sigstruct(data), is_nitro_output(file, data)
    if (enclave or image) and (trust or sigstruct):
        raise Usage(f"{file}: --trust and --sigstruct are for scripts; this is measured already")
    if manifest is not None and not enclave:
        raise Usage("--manifest: need the SIGSTRUCT of the same build (.sig) as FILE")
    if enclave:
        _signed(file, data, workload, manifest)
    elif image:
        _image(file, data, workload)
    else:
        _script(file, workload, trust or [], sigstruct)


def _script(script: Path, workload: str, trust: list[Path], sigstruct: Path | None) -> None:
    from intaglio.sim.loader import PINNED_NAME, image_of  # noqa: PLC0415

    try:
        image = image_of(script, trust)
    except ValueError as error:
        raise Usage(str(error)) from error
    check_script(script, image.files[0].content)
    mr_enclave = image.mr_enclave().hex()
    comment = "" if sigstruct is None else f"  # signed by {_signer(sigstruct, mr_enclave)}"
    typer.echo(policy_table(workload, mr_enclave, comment), nl=False)
    files = [file.name for file in image.files if not file.name.startswith("intaglio/")]
    note(f"measured: {', '.join(files)} and the SDK ({len(image.files) - len(files)} files)")
    if PINNED_NAME not in files:
        warn(f"no {PINNED_NAME} is measured: copy the data centre's there, or name it with --trust")


def _signed(file: Path, data: bytes, workload: str, manifest: Path | None) -> None:
    from intaglio.cli.measurements.manifest import check_manifest  # noqa: PLC0415
    from intaglio.cli.measurements.sigstruct import production, read_sigstruct, signer  # noqa: PLC0415

    signed = production(file, read_sigstruct(file, data))
    checked = None if manifest is None else check_manifest(manifest, read_bytes(manifest), signed)
    typer.echo(policy_table(workload, signed.enclave_hash.hex(), f"  # signed by {signer(signed)}"), nl=False)
    if checked is None:
        warn("what is measured is not known: --manifest reads it from Gramine's manifest")
    else:
        note(f"measured: {checked.trusted} trusted files, among them dc.pub with SHA-256 {checked.pin}")


def _image(file: Path, data: bytes, workload: str) -> None:
    from intaglio.cli.measurements.eif import read_registers  # noqa: PLC0415

    registers = read_registers(file, data)
    comment = "" if registers.pcr8 is None else f"  # signed: PCR8 {registers.pcr8}"
    typer.echo(_checked(_NITRO_TABLE.format(name=workload, pcr0=registers.pcr0, comment=comment)), nl=False)
    note(f"measured: the whole image; kernel PCR1 {registers.pcr1}, application PCR2 {registers.pcr2}")


def policy_table(name: str, mr_enclave: str, comment: str = "") -> str:
    """TOML, ready to append to a policy: a table that accepts exactly this measurement, under the strict rules.
    Raises `PolicyError` if it came out as something that no gateway would read."""
    return _checked(_TABLE.format(name=name, mr_enclave=mr_enclave, comment=comment, number=_EVALUATION_NUMBER))


def _checked(text: str) -> str:
    """Raises `PolicyError`."""
    from intaglio.verify.policy import Policy  # noqa: PLC0415

    Policy.parse(text)
    return text


def check_script(path: Path, content: bytes) -> None:
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
    from intaglio.cli.measurements.sigstruct import read_sigstruct, signer  # noqa: PLC0415

    signed = read_sigstruct(path, read_bytes(path))
    if signed.enclave_hash.hex() != mr_enclave:
        raise Usage(f"{path}: signs another enclave: expected {mr_enclave}, found {signed.enclave_hash.hex()}")
    return signer(signed)
