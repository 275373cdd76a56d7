"""Does the collateral service answer, and does its clock agree with ours?"""

from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

from intaglio.cli.doctor.finding import Finding, good, problem, warning
from intaglio.collateral.http import Endpoint, Response
from intaglio.errors import Malformed, Unavailable

__all__ = ["Ask", "over_http", "probe"]

Ask = Callable[[str, str], Response]
"""`ask(base URL, target)`: the answer. Raises as `Endpoint.get` does."""

_API = "/sgx/certification/"
_TARGET = f"{_API}v4/qe/identity"
"""Public at Intel's service and at every PCCS, small, and the same for all platforms."""
_TIMEOUT = 10.0
_APART, _FAR_APART = 60, 600
"""Seconds between the two clocks: worth saying, and enough to break things."""


def over_http(base: str, target: str) -> Response:
    return Endpoint.parse(base, _TIMEOUT).get(target)


def probe(url: str, now: Callable[[], float], ask: Ask = over_http) -> Iterator[Finding]:
    """`url`: as in pccs_url, with or without the path of the API."""
    base = url.partition(_API)[0].rstrip("/")
    before = now()
    try:
        response = ask(base, _TARGET)
    except ValueError as error:
        yield problem("PCCS", str(error), "this is no address of a collateral service", "give http(s)://HOST[:PORT]")
        return
    except (Unavailable, Malformed) as error:
        yield problem("PCCS", str(error), "no collateral can be fetched from here", _remedy(str(error)))
        return
    after = now()
    yield good("PCCS", f"{base} answered in {max(after - before, 0):.1f} s")
    if b'"enclaveIdentity"' not in response.body:
        yield problem(
            "PCCS", "the answer is not a quoting enclave's identity", "another kind of server answers at this address",
            "correct the address",
        )  # fmt: skip
    yield from _clocks(response.headers.get("date", ""), (before + after) / 2)


def _clocks(date: str, ours: float) -> Iterator[Finding]:
    try:
        apart = parsedate_to_datetime(date).timestamp() - ours
    except (ValueError, TypeError, OverflowError):
        return
    text = f"{abs(apart):,.0f} s {'behind' if apart > 0 else 'ahead of'} the PCCS's"
    if abs(apart) < _APART:
        yield good("clock against the PCCS", "they agree")
        return
    make = problem if abs(apart) >= _FAR_APART else warning
    yield make(
        "clock against the PCCS", f"ours is {text}",
        "one of the two is wrong; collateral and certificates are judged by ours", "synchronise both with NTP",
    )  # fmt: skip


def _remedy(error: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in error or "self-signed" in error or "self signed" in error:
        return "its TLS certificate is not trusted here: install its CA, or give it a certificate of a public one"
    if "SSL" in error:
        return "TLS failed: is it https at all? compare the port with the PCCS's configuration"
    if "HTTP 401" in error or "HTTP 403" in error:
        return "it wants a key or a login that this request does not need at Intel's service: compare the address"
    if "HTTP 404" in error:
        return "something answers, but not a PCCS of API v4: compare address and version"
    if "gaierror" in error or "Name or service" in error:
        return "the name can't be resolved: compare it, and the machine's DNS"
    return "start it, compare address and port, and look at proxies and firewalls in between"
