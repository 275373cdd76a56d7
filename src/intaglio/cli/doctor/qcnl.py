"""/etc/sgx_default_qcnl.conf: where the host's quote provider library fetches PCK certificates from.

The file is JSON with // comments, or lines NAME=value in releases before 1.13.
"""

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from intaglio.cli.doctor.finding import Finding, good, problem, warning
from intaglio.cli.doctor.machine import Machine

__all__ = ["PATH", "probe"]

PATH = "/etc/sgx_default_qcnl.conf"
_PROVIDERS = ("libdcap_quoteprov.so.1",)
_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*')
"""Strings are kept: an address has two slashes too."""
_LINE = re.compile(r"^\s*([A-Z_]+)\s*=\s*(.*?)\s*$", re.MULTILINE)
_API = "/sgx/certification/v"
_LOCAL = ("localhost", "127.0.0.1", "::1")


def probe(machine: Machine) -> Iterator[Finding]:
    if not any(machine.look(f"{folder}/{name}") for folder in _LIBRARIES for name in _PROVIDERS):
        yield warning(
            "quote provider", "libdcap_quoteprov.so.1 was not found",
            "quotes will carry no certificate chain (0xe00e), or the cloud's own library lies elsewhere",
            "install libsgx-dcap-default-qpl, or the provider library of your cloud",
        )  # fmt: skip
    text = machine.read(PATH)
    if text is None:
        yield warning(
            PATH, "missing or unreadable", "the default quote provider library does not know any PCCS: 0xe019",
            f"write {PATH} with pccs_url, or use a provider library that needs none",
        )  # fmt: skip
        return
    try:
        settings = _settings(text)
    except ValueError as error:
        yield problem(PATH, f"not valid: {error}", "the library refuses the whole file: 0xe067", "correct this line")
        return
    yield from _judge(settings)


def _settings(text: str) -> Mapping[str, object]:
    """By lower-case name. Raises `ValueError` that says where."""
    if text.lstrip()[:1] != "{" and not text.lstrip().startswith("//"):
        return {name.lower(): value for name, value in _LINE.findall(text)}
    try:
        value = json.loads(_COMMENT.sub(lambda found: found[1] or "", text))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - the file's fault, not a caller's
    return value


def _judge(settings: Mapping[str, object]) -> Iterator[Finding]:
    url = str(settings.get("pccs_url", ""))
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not host:
        yield problem(
            "pccs_url", url or "not set", "no PCK certificate can be fetched: 0xe019",
            f'"pccs_url": "https://PCCS:8081{_API}4/" in {PATH}',
        )  # fmt: skip
        return
    if _API not in parts.path:
        yield problem(
            "pccs_url", url, "the path is not that of the API: the PCCS answers 404, the library says 0xe01a",
            f"end it in {_API}4/",
        )  # fmt: skip
    elif parts.scheme == "http" and host not in _LOCAL:
        yield warning(
            "pccs_url", url, "certificates travel unprotected; they are signed, so it costs privacy, not authenticity",
            "use https",
        )  # fmt: skip
    else:
        yield good("pccs_url", url)
    if str(settings.get("use_secure_cert", "true")).lower() == "false":
        yield warning(
            "use_secure_cert", "false", "anybody on the network can play PCCS and learn which platforms ask",
            "give the PCCS a certificate that this host trusts, and set use_secure_cert to true",
        )  # fmt: skip
    if settings.get("local_cache_only") is True:
        yield warning(
            "local_cache_only", "true", "only certificates in the cache folder are used; without them 0xe011",
            "fill the cache after each BIOS or microcode update",
        )  # fmt: skip
