"""Small services on the loopback interface: one that answers what a function says, and AMD's as tests need it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from intaglio.sim.pcs import Answer
from intaglio.wire.collateral_request import SnpRequest
from intaglio.wire.snp import SnpReport
from intaglio.wire.snp_fields import Product
from intaglio.wire.x509 import read_pem_chain
from tests.conftest import VECTORS, missing

Respond = Callable[[str, Mapping[str, str]], Answer]


@contextmanager
def serving(respond: Respond) -> Iterator[str]:
    """A service that answers `respond(target, headers by lower-case name)`; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def do_GET(self) -> None:
            answer = respond(self.path, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True, slots=True)
class Chip:
    """A real chip: its report, its certificates, and what to ask for."""

    report: bytes
    request: SnpRequest
    vcek: bytes
    chain: bytes

    @property
    def ask(self) -> bytes:
        return read_pem_chain(self.chain)[0]


def real_chip(name: str = "trustee-evidence_genoa-genoa-v3-vcek-227a64", *, product: Product | None = None) -> Chip:
    """One of the real SNP cases, of this `product` where the report does not say; skips where they are absent."""
    folder: Path = VECTORS / "snp" / name
    if not folder.is_dir():
        missing(f"snp/{name}")
    data = (folder / "report.bin").read_bytes()
    report = SnpReport.parse(data)
    product = report.product or product
    assert product is not None
    request = SnpRequest(product, report.chip_id, report.reported_tcb)
    return Chip(data, request, (folder / "vcek.der").read_bytes(), (folder / "cert_chain.pem").read_bytes())


@dataclass
class Kds:
    """AMD's service for these chips. `status`: answers everything with it; `crl`: the list that it has."""

    chips: tuple[Chip, ...]
    crl: bytes | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def respond(self, target: str, headers: Mapping[str, str]) -> Answer:  # noqa: ARG002
        self.asked.append(target)
        if self.status != 200:
            return Answer(self.status, self.headers, b"")
        path, _, query = target.partition("?")
        for chip in self.chips:
            product = chip.request.product.value
            if path in (f"/vcek/v1/{product}/cert_chain", f"/vlek/v1/{product}/cert_chain"):
                return Answer(200, {}, chip.chain)
            if path == f"/vcek/v1/{product}/crl" and self.crl is not None:
                return Answer(200, {}, self.crl)
            if path == f"/vcek/v1/{product}/{chip.request.hwid.hex()}" and query == levels(chip.request):
                return Answer(200, {"Content-Type": "application/x-x509-ca-cert"}, chip.vcek)
        return Answer(404, {}, b"")

    @property
    def certificates_asked(self) -> int:
        return sum("SPL=" in target for target in self.asked)


def levels(request: SnpRequest) -> str:
    tcb = request.tcb
    fmc = "" if tcb.fmc is None else f"fmcSPL={tcb.fmc:02}&"
    return f"{fmc}blSPL={tcb.bootloader:02}&teeSPL={tcb.tee:02}&snpSPL={tcb.snp:02}&ucodeSPL={tcb.microcode:02}"


@pytest.fixture
def genoa() -> Chip:
    return real_chip()


@pytest.fixture
def milan() -> Chip:
    return real_chip("dstack-sev_snp_attestation-milan-v3-vcek-a20e02")
