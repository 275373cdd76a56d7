"""`intaglio collateral fetch`: ask the vendors' services now, and keep what they say."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from intaglio.cli.collateral.services import (
    FOLDER,
    KdsOption,
    PcsOption,
    cached_source,
    pcs_clients,
    tcb_update,
)  # fmt: skip
from intaglio.cli.collateral.show import show_forecast
from intaglio.cli.console import field, note, print_json
from intaglio.cli.failure import Usage
from intaglio.cli.reading import dearmoured, read_bytes
from intaglio.cli.store import Store, store_folder

if TYPE_CHECKING:
    from intaglio.collateral.cache import CachedSource
    from intaglio.types import UnixTime
    from intaglio.wire.collateral_request import CollateralRequest, TcbUpdate
    from intaglio.wire.endorsement import Collateral

__all__ = ["fetch"]

_NOTHING_TO_FETCH = {
    "ECDSA_QUOTE": "it carries no PCK certificate, which says who made it; --with-certificate asks for that",
    "EPID_QUOTE": "the service that could judge it is gone",
    "IAS_REPORT": "it is judged by the certificates that came with it",
    "SGX_REPORT": "it is judged by a key of its own machine",
    "SNP_REPORT": "it does not say which chip made it: masked, not signed, or of a processor not known here",
    "NITRO_DOCUMENT": "it carries its own certificates",
}
"""By the name of the kind."""
_LONGEST_WAIT = 900
"""Seconds for which a person may be kept waiting for a turn at a service."""


def fetch(
    evidence: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Evidence: what it needs is fetched; - for standard input.")
    ] = None,
    tee: Annotated[str, typer.Option(metavar="sgx|tdx", help="With --fmspc: whose TCB levels.")] = "sgx",
    fmspc: Annotated[
        str | None, typer.Option(metavar="HEX", help="Instead of evidence: a platform family, twelve digits.")
    ] = None,
    ca: Annotated[
        str, typer.Option(metavar="platform|processor", help="With --fmspc: who issued its certificates.")
    ] = "platform",
    product: Annotated[
        str | None, typer.Option(metavar="NAME", help="Instead of evidence: Milan, Genoa or Turin, with --chip-id.")
    ] = None,
    chip_id: Annotated[str | None, typer.Option(metavar="HEX", help="With --product: the report's CHIP_ID.")] = None,
    tcb: Annotated[
        str | None, typer.Option(metavar="HEX", help="With --product: the report's REPORTED_TCB, 16 digits.")
    ] = None,
    update: Annotated[
        str,
        typer.Option("--tcb-update", metavar="WHICH", help="standard, early, or a TCB evaluation data number."),
    ] = "standard",
    pcs: PcsOption = None,
    kds: KdsOption = None,
    store: Store = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Also write it here, for intaglio verify."),
    ] = None,
    with_certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Fetch a PCK certificate that the quote lacks, and write the quote with it."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fetch collateral and keep it in the store.

    Asked are Intel's service, or the ones you name, one after the other, and AMD's for SEV-SNP, which gives one
    certificate in ten seconds. What is older than what the store holds is reported and not taken. Nothing is judged:
    that is for intaglio verify, which never fetches. AWS Nitro documents need no collateral.

    Exit status: 0 fetched, 1 not, 2 something you gave can't be used.
    """
    from intaglio.collateral.folder import EntryFolder  # noqa: PLC0415
    from intaglio.errors import Unavailable  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415
    from intaglio.wire.snp_parts import split_extended_report  # noqa: PLC0415

    channel = tcb_update(update)
    at = UnixTime(int(time.time()))
    if evidence is not None:
        data = split_extended_report(dearmoured(read_bytes(evidence))[0])[0]
        if with_certificate is not None:
            data = _certified(data, pcs, at, with_certificate)
        requests = _of_evidence(data, evidence, channel)
    else:
        requests = (_of_options(tee, fmspc, ca, product, chip_id, tcb, channel),)
    folder = store_folder(store)
    source = cached_source(folder, pcs, kds)
    request, collateral = _first(source, requests)
    if out is not None:
        out.write_bytes(collateral.encode_json())
    elif EntryFolder(folder / FOLDER).load(request) is None:
        raise Unavailable(f"{folder}: what was fetched can't be kept there; --out FILE writes it elsewhere")
    (forecast,) = (each for each in source.forecasts() if each.entry.request == request)
    if json:
        print_json({**forecast.to_json(at), "out": str(out) if out else None})
        return
    show_forecast(forecast, at)
    if out is not None:
        field("written", out)


def _of_evidence(data: bytes, path: Path, update: "TcbUpdate") -> "tuple[CollateralRequest, ...]":
    from intaglio.collateral.evidence import requests_for  # noqa: PLC0415
    from intaglio.errors import Malformed  # noqa: PLC0415
    from intaglio.verify.evidence import classify  # noqa: PLC0415

    try:
        requests = requests_for(data, update)
        kind = classify(data)[1]
    except Malformed as error:
        raise Usage(f"{path}: {error}") from error
    if not requests:
        raise Usage(f"{path}: {kind.value}: nothing to fetch, because {_NOTHING_TO_FETCH[kind.name]}")
    return requests


def _of_options(
    tee: str, fmspc: str | None, ca: str, product: str | None, chip_id: str | None, tcb: str | None, update: "TcbUpdate"
) -> "CollateralRequest":
    from intaglio.types import Tee  # noqa: PLC0415
    from intaglio.wire.collateral_request import DcapRequest  # noqa: PLC0415

    if fmspc is not None and product is None:
        try:
            return DcapRequest(Tee(tee.lower()), fmspc.lower(), ca.lower(), update)
        except ValueError as error:
            raise Usage(str(error)) from error
    if product is None or fmspc is not None:
        raise Usage("what for? Give evidence, or --fmspc, or --product with --chip-id and --tcb")
    return _of_chip(product, chip_id or "", tcb or "")


def _of_chip(name: str, chip_id: str, tcb: str) -> "CollateralRequest":
    """A chip id is given in full: a shorter one would be another chip's, and AMD counts the question."""
    from intaglio.errors import Malformed  # noqa: PLC0415
    from intaglio.wire.collateral_request import SnpRequest  # noqa: PLC0415
    from intaglio.wire.snp_fields import Product, TcbVersion  # noqa: PLC0415

    product = {each.value.lower(): each for each in Product}.get(name.lower())
    if product is None:
        raise Usage(f"--product {name}: need {', '.join(each.value for each in Product)}")
    size, chip, levels = product.chip_id_size, _hexadecimal(chip_id), _hexadecimal(tcb)
    if len(chip) not in (size, 64) or len(levels) != 8:
        raise Usage(f"--product {name}: needs --chip-id ({2 * size} hexadecimal digits) and --tcb (16)")
    try:
        version = TcbVersion.parse(levels, product.has_fmc, "--tcb")
        return SnpRequest(product, chip.ljust(64, b"\0"), version)
    except (ValueError, Malformed) as error:
        raise Usage(str(error)) from error


def _hexadecimal(text: str) -> bytes:
    """Nothing for what is none."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _first(source: "CachedSource", requests: "tuple[CollateralRequest, ...]") -> "tuple[CollateralRequest, Collateral]":
    """Of requests of which one will do, the first that a service knows. Raises as `CachedSource.refresh`."""
    from intaglio.collateral.http import Absent  # noqa: PLC0415

    *others, last = requests
    for request in others:
        try:
            return request, _in_turn(source, request)
        except Absent as absent:
            note(f"{request}: {absent}; trying the next product")
    return last, _in_turn(source, last)


def _in_turn(source: "CachedSource", request: "CollateralRequest") -> "Collateral":
    """Waits where a service wants one request after the other. Raises as `CachedSource.refresh`."""
    from intaglio.collateral.turns import Queued  # noqa: PLC0415
    from intaglio.types import UnixTime  # noqa: PLC0415

    waited = 0
    while True:
        try:
            return source.refresh(request, UnixTime(int(time.time())))
        except Queued as queued:
            waited += queued.retry_after
            if waited > _LONGEST_WAIT:
                raise
            note(f"{queued}: waiting for {queued.retry_after} s")
            time.sleep(queued.retry_after)


def _certified(data: bytes, pcs: list[str] | None, at: "UnixTime", out: Path) -> bytes:
    """The quote with its platform's certificate in the place of the platform's name: no signature covers either."""
    from dataclasses import replace  # noqa: PLC0415

    from intaglio.errors import Malformed, Unavailable  # noqa: PLC0415
    from intaglio.wire.dcap import CertificationData, CertificationType, Quote  # noqa: PLC0415

    try:
        quote = Quote.parse(data)
        identifier = quote.certification.identifier
    except Malformed as error:
        raise Usage(f"--with-certificate: {error}") from error
    if identifier is None:
        raise Usage("--with-certificate: this quote carries its certificate already")
    problems: list[str] = []
    for client in pcs_clients(pcs):
        try:
            chain = client.pck_chain(identifier, at)
        except ValueError as error:
            raise Usage(f"--with-certificate: {error}") from error
        except (Unavailable, Malformed) as error:
            problems.append(str(error))
            continue
        certified = replace(quote, certification=CertificationData(CertificationType.PCK_CHAIN, chain)).encode()
        out.write_bytes(certified)
        return certified
    raise Unavailable("; ".join(problems))
