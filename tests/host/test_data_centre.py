"""HTTP as the host speaks it: TLS that is checked, answers that are bounded, connections that break."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from intaglio.errors import LocalProtocolError, Unavailable
from intaglio.host.data_centre import MAX_RETRY_AFTER, DataCentre
from intaglio.host.errors import HelloRejected
from tests.host.gateway import BUSY, UNDECIDABLE, Answer, Gateway, json_answer, rejected, serving


@contextmanager
def scripted(*conversations: bytes, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that answers each connection's first request with these bytes and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in conversations:
                plain, _ = listener.accept()
                try:
                    with tls.wrap_socket(plain, server_side=True) if tls else plain as stream:
                        stream.recv(65536)
                        stream.sendall(answer)
                except OSError:
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(20.0)


def ok(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body])


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dc.example")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    path = tmp_path / "dc.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + secret)
    return path


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_tls_with_the_operators_own_authority(certificate: Path) -> None:
    with scripted(ok(b"offer", b"Connection: close"), tls=server_tls(certificate)) as address:
        assert DataCentre(f"https://{address}", ca_file=certificate).offer() == b"offer"


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    with (
        scripted(b"", tls=server_tls(certificate)) as address,
        pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        DataCentre(f"https://{address}").offer()


def test_a_certificate_of_another_name_is_refused(certificate: Path) -> None:
    with scripted(b"", tls=server_tls(certificate)) as address:
        port = address.rpartition(":")[2]
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            DataCentre(f"https://localhost:{port}", ca_file=certificate).offer()


def test_a_connection_closed_meanwhile_is_opened_again() -> None:
    with scripted(ok(b"one"), ok(b"two")) as address:
        data_centre = DataCentre(f"http://{address}/intaglio/")
        assert [data_centre.offer(), data_centre.offer()] == [b"one", b"two"]
        data_centre.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"HTTP", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour", b"SSH-2.0-OpenSSH\r\n", b"\0" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    ],
)  # fmt: skip
def test_a_server_that_speaks_something_else_is_unavailable(answer: bytes) -> None:
    with scripted(answer) as address:
        data_centre = DataCentre(f"http://{address}")
        with pytest.raises(Unavailable, match="GET /v1/offer"):
            data_centre.offer()


def test_a_silent_server_is_unavailable_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        data_centre = DataCentre(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.2)
        with pytest.raises(Unavailable, match="TimeoutError"):
            data_centre.offer()


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def asked(gateway: Gateway, path: str, answer: Answer, ask: Callable[[DataCentre], object]) -> object:
    gateway.next_answers[path] = [answer]
    with serving(gateway) as url:
        data_centre = DataCentre(url)
        try:
            return ask(data_centre)
        finally:
            data_centre.close()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), ("99999999", MAX_RETRY_AFTER), ("Wed, 21 Oct 2026 07:28:00 GMT", 0), ("-5", 0), ("\u00b2", 0)],
)
def test_retry_after_in_seconds_within_reason(gateway: Gateway, header: str, seconds: int) -> None:
    with pytest.raises(Unavailable) as error:
        asked(gateway, "/v1/offer", Answer(503, b"", {"Retry-After": header}), DataCentre.offer)
    assert error.value.retry_after == seconds


@pytest.mark.parametrize(
    "answer",
    [
        BUSY, UNDECIDABLE, Answer(403, b"forbidden"), json_answer(403, {"error": "rejected"}), Answer(413, b""),
        json_answer(403, {"error": "forbidden", "reasons": ["X"]}), Answer(400, b""), Answer(302, b""),
        Answer(204, b""), json_answer(403, {"error": "rejected", "reasons": "X"}), Answer(403, b"[" * 100_000),
        Answer(403, b"[]"),
    ],
)  # fmt: skip
def test_only_the_data_centres_own_words_reject_a_hello(gateway: Gateway, answer: Answer) -> None:
    with pytest.raises(Unavailable, match="hello"):
        asked(gateway, "/v1/hello", answer, lambda dc: dc.deliver_hello(b"hello"))


def test_a_rejection_carries_what_the_vendor_needs(gateway: Gateway) -> None:
    with pytest.raises(HelloRejected, match=r"DEBUG_ENCLAVE, WRONG_MEASUREMENT \(quarantine entry q-17\)") as error:
        asked(
            gateway, "/v1/hello", rejected("DEBUG_ENCLAVE", "WRONG_MEASUREMENT"), lambda dc: dc.deliver_hello(b"hello")
        )
    assert error.value.report == b"sealed"
    odd = json_answer(403, {"error": "rejected", "reasons": ["A", 7], "id": 5, "report": "not base64!"})
    with pytest.raises(HelloRejected) as error:
        asked(gateway, "/v1/hello", odd, lambda dc: dc.deliver_hello(b"hello"))
    assert (error.value.reasons, error.value.id, error.value.report) == (("A",), None, None)


def test_a_malformed_hello_is_rejected_with_its_reason(gateway: Gateway) -> None:
    with pytest.raises(HelloRejected) as error:
        asked(gateway, "/v1/hello", json_answer(400, {"error": "malformed"}), lambda dc: dc.deliver_hello(b"x"))
    assert error.value.reasons == ("MALFORMED_MESSAGE",)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "dc.example",
        "ftp://dc",
        "http://",
        "http://[",
        "http://[::1",
        "http://dc:99999",
        "http://dc:x",
        "http://dc:-1",
        "http://a b",
        "http://\x01",
        "http://dc/\x00",
        f"http://{'a' * 300}",
        "http://dc?q",
        "http://user:secret@dc",
    ],
)
def test_what_is_no_address_is_refused_at_once_and_not_repeated(url: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        DataCentre(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "https://dc.example/a/b/", "http://[::1]:9", "http://é.example"]
)
def test_addresses_of_every_kind_are_taken(url: str) -> None:
    DataCentre(url).close()
