"""A Gramine manifest (`.manifest.sgx`): does it make the measurement mean what a policy takes it to mean?

MRENCLAVE covers the manifest, so a manifest that lets the host choose arguments, environment or files still has a
stable measurement; it just says nothing. Recomputing MRENCLAVE from it is not done here: that takes Gramine's own
loader. What both files state is compared.
"""

import tomllib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from intaglio.cli.console import clean
from intaglio.cli.failure import Usage
from intaglio.wire.sigstruct import Sigstruct

__all__ = ["PIN", "Checked", "check_manifest"]

PIN = "dc.pub"
_SCHEME = "file:"
_INSECURE = "insecure__"


class Checked(NamedTuple):
    """What a manifest that passed says: how many files it pins, and the hash of the data centre's identity."""

    trusted: int
    pin: str


def check_manifest(path: Path, data: bytes, signed: Sigstruct) -> Checked:
    """Raises `Usage` for the first thing in it that leaves a choice to the host, or that the SIGSTRUCT contradicts."""
    try:
        manifest = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # of text, of TOML, of a number with too many digits
        raise Usage(f"{path}: not a manifest ({error})") from error
    sgx = _table(manifest.get("sgx"))
    problem = _problem(manifest, sgx) or _contradiction(sgx, signed)
    if problem:
        raise Usage(f"{path}: {clean(problem)}")
    files = sgx.get("trusted_files")
    if not isinstance(files, list):
        raise Usage(f"{path}: no sgx.trusted_files, so no file is measured")
    pins = [found for found in map(_pin, files) if found is not None]
    if len(pins) != 1:
        raise Usage(f"{path}: need one {PIN} with its sha256 among sgx.trusted_files, found {len(pins)}")
    uri, digest = pins[0]
    _check_file(path, uri, digest)
    return Checked(len(files), digest)


def _problem(manifest: dict[str, Any], sgx: dict[str, Any]) -> str | None:
    """What the host could choose, in words."""
    if sgx.get("debug", False) is not False:
        return "sgx.debug is not false: the host could read the enclave's memory"
    if sgx.get("remote_attestation") != "dcap":
        return 'sgx.remote_attestation is not "dcap": the enclave could not make quotes'
    if sgx.get("file_check_policy", "strict") != "strict":
        return 'sgx.file_check_policy is not "strict": files that are not measured could be read'
    if sgx.get("allowed_files"):
        return "sgx.allowed_files names files that are not measured: make them trusted_files, or do without"
    insecure = next(_insecure(manifest), None)
    if insecure is not None:
        return f"{insecure} is set: it leaves a choice to the host"
    for mount in _mounts(_table(manifest.get("fs"))):
        if mount.get("type", "chroot") == "untrusted_shm" or str(mount.get("uri", _SCHEME)).startswith("dev:"):
            return (
                f"fs mounts {mount.get('path', '/')} from a device or shared memory: the host chooses what is in there"
            )
    for name, value in _table(_table(manifest.get("loader")).get("env")).items():
        if isinstance(value, dict) and value.get("passthrough"):
            return f"loader.env.{name} is passed through: the host would choose it"
    return None


def _contradiction(sgx: dict[str, Any], signed: Sigstruct) -> str | None:
    for key, found in (("isvprodid", signed.isv_prod_id), ("isvsvn", signed.isv_svn)):
        if sgx.get(key, 0) != found:
            return f"sgx.{key} is {sgx.get(key, 0)}, the SIGSTRUCT says {found}: they are not of one build"
    return None


def _insecure(manifest: dict[str, Any]) -> Iterator[str]:
    """Names of Gramine's insecure options that are switched on, at whatever depth."""
    tables = [("", manifest)]
    while tables:
        prefix, table = tables.pop()
        for key, value in table.items():
            if key.startswith(_INSECURE) and value:
                yield prefix + key
            elif isinstance(value, dict):
                tables.append((f"{prefix}{key}."[-200:], value))


def _mounts(fs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The root's and all others, also those of the table `fs.mount`, as manifests had them once."""
    listed = fs.get("mounts")
    for mount in (fs.get("root"), *(listed if isinstance(listed, list) else ()), *_table(fs.get("mount")).values()):
        if isinstance(mount, dict):
            yield mount


def _pin(entry: object) -> tuple[str, str] | None:
    """URI and hash, if this trusted file is a data centre's identity."""
    match entry:
        case {"uri": str(uri), "sha256": str(digest)} if PurePosixPath(uri.removeprefix(_SCHEME)).name == PIN:
            return uri, digest.lower()
    return None


def _check_file(manifest: Path, uri: str, digest: str) -> None:
    """Raises `Usage` where the file lies there and is another one. The build machine's files may be elsewhere."""
    file = manifest.parent / uri.removeprefix(_SCHEME)
    try:
        with file.open("rb") as stream:
            found = sha256(stream.read(1 << 20)).hexdigest()
    except (OSError, ValueError):
        return
    if found != digest:
        raise Usage(f"{manifest}: pins another {PIN}: expected {digest}, found {found} in {file}")


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
