"""Fetching over HTTP: from the lab's PCS, and from services that are down, slow, huge or wrong."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import quote

import pytest

from intaglio.collateral import http
from intaglio.collateral.http import Endpoint
from intaglio.collateral.pcs import AZURE_THIM, INTEL_PCS, PcsClient
from intaglio.errors import Malformed, Unavailable
from intaglio.sim.pcs import Answer
from intaglio.sim.pcs_http import PcsServer
from intaglio.sim.world import DEFAULT_FMSPC, Lab
from intaglio.types import Tee
from intaglio.wire.collateral import DcapCollateral, EnclaveIdentity, TcbInfo
from intaglio.wire.collateral_request import DcapRequest, TcbUpdate
from intaglio.wire.x509 import RevocationList
from tests.collateral.conftest import NOON, REQUEST


@contextmanager
def service(lab: Lab, change: Callable[[str, Answer], Answer] = lambda _, answer: answer) -> Iterator[str]:
    """The lab's PCS, with `change` between it and its clients."""
    with PcsServer(lambda: lab.pcs, lambda: NOON, answer=lambda t: change(t, lab.pcs.respond(t, NOON))) as server:
        yield server.url


def fetch(
    url: str, ca: str = "platform", update: TcbUpdate = TcbUpdate.STANDARD, **options: str | None
) -> DcapCollateral:
    client = PcsClient(url, timeout=5, **options)  # type: ignore[arg-type]
    return client.fetch(replace(REQUEST, ca=ca, update=update), None, NOON)


@pytest.mark.parametrize("ca", ["platform", "processor"])
def test_everything_arrives_as_it_was_signed(lab: Lab, ca: str) -> None:
    with service(lab) as url:
        collateral = fetch(url, ca)
    assert TcbInfo.parse(collateral.tcb_info).fmspc.hex() == DEFAULT_FMSPC
    assert EnclaveIdentity.parse(collateral.qe_identity).id == "QE"
    assert f"PCK {ca.title()} CA" in RevocationList.parse(collateral.pck_crl).issuer_name
    assert "Root CA" in RevocationList.parse(collateral.root_ca_crl).issuer_name
    assert collateral.tcb_info_issuer_chain.count(b"BEGIN CERTIFICATE") == 2
    assert DcapCollateral.parse_json(collateral.encode_json()) == collateral


def test_requests_are_those_of_the_api(lab: Lab) -> None:
    asked: list[str] = []

    def note(target: str, answer: Answer) -> Answer:
        asked.append(target)
        return answer

    with service(lab, note) as url:
        fetch(url + "/", update=TcbUpdate.EARLY)
    prefix = "/sgx/certification/v4"
    assert asked == [
        f"{prefix}/tcb?fmspc={DEFAULT_FMSPC}&update=early",
        f"{prefix}/qe/identity?update=early",
        f"{prefix}/pckcrl?ca=platform&encoding=der",
        f"{prefix}/rootcacrl",
    ]


def test_version_3_of_the_api(lab: Lab) -> None:
    with service(lab) as url:
        assert TcbInfo.parse(fetch(url, api="v3").tcb_info).version == 2
        for beyond in (replace(REQUEST, tee=Tee.TDX), replace(REQUEST, update=TcbUpdate.EARLY)):
            assert not PcsClient(url, api="v3").serves(beyond)
            with pytest.raises(ValueError, match="not served by version v3"):
                PcsClient(url, api="v3").fetch(beyond, None, NOON)
    with pytest.raises(ValueError, match="v3 or v4"):
        PcsClient(url, api="v5")


def test_header_names_in_any_case_and_either_spelling(lab: Lab) -> None:
    def rename(target: str, answer: Answer) -> Answer:
        headers = {
            ("sgx-" if "tcb?" in target and "tcb-" in k.lower() else "") + k.lower(): v
            for k, v in answer.headers.items()
        }
        return Answer(answer.status, headers, answer.body)

    with service(lab, rename) as url:
        assert fetch(url).tcb_info_issuer_chain


def test_root_crl_from_a_place_of_its_own(lab: Lab) -> None:
    def no_pccs(target: str, answer: Answer) -> Answer:
        return Answer(404, {}, b"") if target.endswith("rootcacrl") else answer

    with service(lab, no_pccs) as url:
        assert fetch(url, root_crl_url=f"{url}/IntaglioLabSGXRootCA.der").root_ca_crl
        with pytest.raises(Unavailable, match="rootcacrl: HTTP 404"):
            fetch(url)
    assert PcsClient(INTEL_PCS)._root_crl is not None
    assert PcsClient(AZURE_THIM + "/sgx/certification/v4/")._root_crl is not None


@pytest.mark.parametrize(
    ("status", "headers", "retry"),
    [(404, {}, 3600), (429, {}, 30), (429, {"Retry-After": "7"}, 7), (503, {"Retry-After": "0"}, 1), (500, {}, 30),
     (503, {"Retry-After": "99999999"}, 86400), (503, {"Retry-After": "tomorrow"}, 30), (401, {}, 30),
     (302, {"Location": "file:///etc/passwd"}, 30), (301, {"Location": "http://127.0.0.1:1/"}, 30), (204, {}, 30)],
)  # fmt: skip
def test_refusals_say_when_to_try_again(lab: Lab, status: int, headers: dict[str, str], retry: int) -> None:
    with (
        service(lab, lambda *_: Answer(status, headers, b"")) as url,
        pytest.raises(Unavailable, match=str(status)) as caught,
    ):
        fetch(url)
    assert caught.value.retry_after == retry
    assert "/tcb?fmspc=" in str(caught.value)


def edit_body(path: str, edit: Callable[[bytes], bytes]) -> Callable[[str, Answer], Answer]:
    def change(target: str, answer: Answer) -> Answer:
        return Answer(answer.status, answer.headers, edit(answer.body)) if path in target else answer

    return change


@pytest.mark.parametrize(
    ("path", "edit"),
    [
        ("tcb?", lambda _: b""),
        ("tcb?", lambda _: b"<html>proxy error</html>"),
        ("tcb?", lambda _: b"\xff\xfe"),
        ("tcb?", lambda body: body[:-1]),
        ("tcb?", lambda body: body + b"x"),
        ("tcb?", lambda body: body.replace(b'"signature"', b'"sig"')),
        ("tcb?", lambda body: body[:-4] + b'"}'),
        ("tcb?", lambda body: body[:-1] + b',"tcbInfo":{}}'),
        ("tcb?", lambda _: b'{"tcbInfo":' + b"[" * 100_000),
        ("qe/identity", lambda body: body.replace(b"enclaveIdentity", b"identity")),
        ("rootcacrl", lambda _: b"not hex, not base64!"),
        ("rootcacrl", lambda body: body[:-1]),
    ],
)
def test_nonsense_is_malformed(lab: Lab, path: str, edit: Callable[[bytes], bytes]) -> None:
    with service(lab, edit_body(path, edit)) as url, pytest.raises(Malformed):
        fetch(url)


@pytest.mark.parametrize("value", [None, "", "nonsense", quote("-----BEGIN X509 CRL-----")])
@pytest.mark.parametrize("path", ["tcb?", "qe/identity", "pckcrl"])
def test_a_chain_must_be_there(lab: Lab, path: str, value: str | None) -> None:
    def change(target: str, answer: Answer) -> Answer:
        if path not in target:
            return answer
        headers = {k: v for k, v in answer.headers.items() if not k.endswith("Issuer-Chain")}
        names = [k for k in answer.headers if k.endswith("Issuer-Chain")]
        return Answer(200, headers | dict.fromkeys(names, value) if value is not None else headers, answer.body)

    with service(lab, change) as url, pytest.raises(Malformed, match="issuer-chain"):
        fetch(url)


def test_bodies_are_bounded(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 200)
    with service(lab) as url, pytest.raises(Malformed, match="more than 200 bytes"):
        fetch(url)


def test_a_service_that_drips_is_given_up(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket's timeout starts again with each byte; the deadline of the whole answer does not."""
    moments = iter([0.0, 4.9, 5.1])
    monkeypatch.setattr(http, "monotonic", lambda: next(moments))
    monkeypatch.setattr(http, "_CHUNK", 10)
    with service(lab) as url, pytest.raises(Unavailable, match="not complete after 5 s"):
        fetch(url)


@contextmanager
def raw_server(answer: bytes, *, close: bool) -> Iterator[str]:
    """Sends `answer` to each connection, then closes it or keeps silent."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.recv(4096)
                connection.sendall(answer)
                if close:
                    connection.close()
                else:
                    kept.append(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()


@pytest.mark.parametrize(
    ("answer", "close"),
    [
        (b"", True),
        (b"", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", True),
        (b"SSH-2.0-OpenSSH\r\n", True),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n", True),
    ],
    ids=["closed", "silent", "broken off", "stalled", "bad chunk", "not http", "headers"],
)
def test_broken_services_are_unavailable(answer: bytes, close: bool) -> None:
    with raw_server(answer, close=close) as url, pytest.raises(Unavailable):
        Endpoint.parse(url, timeout=0.2).get("/x")


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(Unavailable, match="ConnectionRefused"):
        fetch(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/",
        "file:///etc/passwd",
        "https://",
        "host:8081",
        "http://user:word@host/",
        "http://host/?x=1",
        "",
        "http://a..b",
        "http://" + "a" * 64,
        "http://a b/",
        "http://a\nb/",
        "http://host/é",
        "http://hóst",
        "http://[::1",
        "http://host:99999",
        "http://host:0",
        "http://host:x",
        "http://host/a b",
    ],
)
def test_only_plain_http_and_https(url: str) -> None:
    with pytest.raises(ValueError, match="not http") as refused:
        PcsClient(url)
    assert "word" not in str(refused.value), "an error goes to the log, a password does not"


@pytest.mark.parametrize(
    ("fmspc", "ca"), [("", "platform"), ("00a0", "platform"), (DEFAULT_FMSPC, "root"), ("../../etc/pa", "platform")]
)
def test_arguments_that_are_not_names_of_the_api(fmspc: str, ca: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        DcapRequest(Tee.SGX, fmspc, ca)
