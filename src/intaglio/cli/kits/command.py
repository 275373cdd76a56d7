"""`intaglio gramine init`, `vm init` and `nitro init`: the files that pack an enclave's script for a real TEE."""

import base64
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import typer

from intaglio.cli.console import examples, line, note
from intaglio.cli.failure import Commands, Usage
from intaglio.cli.reading import read_bytes

__all__ = ["KITS", "add_to"]

KITS: Final[Mapping[str, Mapping[str, str]]] = {
    "gramine": {
        "gramine/manifest.template": "@NAME@.manifest.template",
        "gramine/Makefile": "Makefile",
        "wheels.mk": "wheels.mk",
        "gramine/README.md": "README.md",
    },
    "vm": {
        "vm/unit.service": "@NAME@.service",
        "vm/launch.toml": "launch.toml",
        "vm/Makefile": "Makefile",
        "wheels.mk": "wheels.mk",
        "vm/README.md": "README.md",
    },
    "nitro": {
        "nitro/Dockerfile": "Dockerfile",
        "nitro/dockerignore": ".dockerignore",
        "nitro/Makefile": "Makefile",
        "wheels.mk": "wheels.mk",
        "nitro/README.md": "README.md",
    },
}
"""What each kit consists of: template, and the file's name."""

_PACKAGES = ("cbor2", "cffi", "cryptography", "intaglio", "pycparser")
"""What runs beside the script: the SDK and what it needs."""
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
_MAX_NAME = 32
"""Good in a Makefile, in a unit's name and in a container's tag alike."""
_PIN = "dc.pub"

Script = Annotated[Path, typer.Argument(metavar="SCRIPT", help="The enclave's script.")]
Pin = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The data centre's identity. [default: dc.pub beside the script]")
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="The kit's folder. [default: named after the kit]")]


def add_to(app: typer.Typer) -> None:
    for name, command, about in (
        ("gramine", gramine, "Pack an enclave for SGX, by Gramine."),
        ("vm", vm, "Pack an enclave for a confidential VM: TDX, SEV-SNP."),
        ("nitro", nitro, "Pack an enclave for AWS Nitro."),
    ):
        group = typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode=None, help=about)
        group.callback()(lambda: None)
        group.command(
            "init", epilog=examples(f"intaglio {name} init meter.py", f"intaglio {name} init meter.py --out packed")
        )(command)
        app.add_typer(group, name=name)


def gramine(script: Script, pin: Pin = None, out: Out = None) -> None:
    """Write what packs an enclave for SGX.

    A manifest template, a Makefile and a README that give a reproducible MRENCLAVE. The script and the data centre's
    dc.pub are copied to app/ and are among the trusted files; arguments and environment are measured, no file is
    readable that is not, and the host speaks to the enclave over stdio. You need Gramine to build it, SGX to run it.
    """
    _init("gramine", script, pin, out)


def vm(script: Script, pin: Pin = None, out: Out = None) -> None:
    """Write what packs an enclave for a confidential VM.

    A systemd unit with a vsock, a Makefile that collects what belongs into the guest's measured root file system, and a
    README that says what else the image must have. launch.toml holds the hash of dc.pub as MRCONFIGID (TDX) and
    HOST_DATA (SEV-SNP), for a policy that looks for the pin there.
    """
    _init("vm", script, pin, out)


def nitro(script: Script, pin: Pin = None, out: Out = None) -> None:
    """Write what packs an enclave for AWS Nitro.

    A Dockerfile for an enclave image with a vsock, a Makefile that has nitro-cli build and start it, and a README that
    leads from the registers which nitro-cli prints to the policy.
    """
    _init("nitro", script, pin, out)


def _init(kit: str, script: Path, pin: Path | None, out: Path | None) -> None:
    """Writes the kit's files; nothing is ever overwritten. Raises `Usage`."""
    from intaglio.cli.measure import check_script  # noqa: PLC0415

    name = script.stem
    if script.suffix != ".py" or not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise Usage(
            f"{script.name}: a script's name becomes that of images and units: need 1 to {_MAX_NAME} small letters and "
            "digits, with single dashes or underscores between, and .py"
        )
    content, identity = read_bytes(script), script.parent / _PIN if pin is None else pin
    check_script(script, content)
    public, pin_hash = _identity(identity)
    folder = Path(kit) if out is None else out
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Usage(f"{folder}: exists already, and a kit never overwrites anything")
    values = {
        "@NAME@": name,
        "@PIN_HASH@": pin_hash.hex(),
        "@HOST_DATA_BASE64@": base64.b64encode(pin_hash).decode("ascii"),
        "@MRCONFIGID_HEX@": (pin_hash + bytes(16)).hex(),
        "@MRCONFIGID_BASE64@": base64.b64encode(pin_hash + bytes(16)).decode("ascii"),
    }
    (folder / "app").mkdir(parents=True)
    (folder / "app" / script.name).write_bytes(content)
    (folder / "app" / _PIN).write_bytes(public)
    (folder / "requirements.txt").write_text(_requirements(), "ascii")
    for template, target in KITS[kit].items():
        text = files("intaglio.cli.kits").joinpath(*template.split("/")).read_text("utf-8")
        (folder / _filled(target, values)).write_text(_filled(text, values), "utf-8")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        line(str(path))
    note(f"next: read {folder / 'README.md'}; app/ is what will be measured, so edit the script there from now on")


def _identity(path: Path) -> tuple[bytes, bytes]:
    """The file of a data centre's identity, and the hash of what it pins. Raises `Usage`."""
    from intaglio.errors import Malformed  # noqa: PLC0415
    from intaglio.wire.identity import Pin as Identity  # noqa: PLC0415

    if not path.exists():
        raise Usage(f"{path}: no such file; the data centre has it: intaglio keygen makes it, --pin names it")
    data = read_bytes(path)
    try:
        return data, Identity.from_text(data.decode("ascii")).hash
    except (Malformed, UnicodeDecodeError) as error:
        raise Usage(f"{path}: not a data centre's identity ({error})") from error


def _requirements() -> str:
    """The versions that run here, which are those that the script was tried with."""
    lines = []
    for package in _PACKAGES:
        try:
            lines.append(f"{package}=={version(package)}\n")
        except PackageNotFoundError:
            continue  # PyPy brings its own cffi
    return "".join(lines)


def _filled(text: str, values: Mapping[str, str]) -> str:
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text
