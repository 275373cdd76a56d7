"""AMD's service: its paths, its one certificate each ten seconds, and what is never asked for twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from intaglio.collateral.cache import CachedSource
from intaglio.collateral.freshness import freshness
from intaglio.collateral.http import Absent, Busy
from intaglio.collateral.kds import KdsClient
from intaglio.collateral.source import fits
from intaglio.collateral.turns import Queued
from intaglio.errors import Malformed, Unavailable
from intaglio.sim.pki import DAY
from intaglio.types import UnixTime
from intaglio.wire.collateral_request import SnpRequest
from intaglio.wire.snp_collateral import SnpCollateral
from intaglio.wire.snp_fields import Product, TcbVersion
from tests.collateral.conftest import NOON
from tests.collateral.servers import Chip, Kds, genoa, levels, milan, serving

__all__ = ["genoa", "milan"]


def test_everything_arrives(genoa: Chip) -> None:
    kds = Kds((genoa,))
    with serving(kds.respond) as url:
        got = KdsClient(url, timeout=5).fetch(genoa.request, None, NOON)
    assert got.vek == genoa.vcek
    assert got.ask == genoa.ask
    assert got.crl == b""
    assert fits(got, genoa.request)
    product, hwid = genoa.request.product.value, genoa.request.hwid.hex()
    assert kds.asked == [
        f"/vcek/v1/{product}/cert_chain",
        f"/vcek/v1/{product}/crl",
        f"/vcek/v1/{product}/{hwid}?{levels(genoa.request)}",
    ]


def test_turin_has_eight_bytes_and_an_fmc() -> None:
    chip_id = bytes(range(1, 9)) + bytes(56)
    request = SnpRequest(Product.TURIN, chip_id, TcbVersion(1, 2, 3, 100, fmc=4))
    kds = Kds((Chip(b"", request, b"\x30\x80", b""),))
    with serving(kds.respond) as url:
        assert KdsClient(url, timeout=5)._vcek(request, NOON) == b"\x30\x80"
    assert kds.asked == [f"/vcek/v1/Turin/{chip_id[:8].hex()}?fmcSPL=04&blSPL=01&teeSPL=02&snpSPL=03&ucodeSPL=100"]


def test_chips_take_turns_and_products_share(genoa: Chip, milan: Chip) -> None:
    kds = Kds((genoa, milan))
    with serving(kds.respond) as url:
        client = KdsClient(url, timeout=5)
        client.fetch(genoa.request, None, NOON)
        with pytest.raises(Queued) as queued:
            client.fetch(milan.request, None, NOON)
        assert queued.value.retry_after == 10
        assert client.fetch(milan.request, None, UnixTime(NOON + 10)).vek == milan.vcek
        client.fetch(genoa.request, None, UnixTime(NOON + 20))
    assert sum("cert_chain" in target for target in kds.asked) == 2, "once a product"


def test_a_certificate_that_is_held_is_never_asked_for_again(genoa: Chip, tmp_path: Path) -> None:
    kds = Kds((genoa,))
    with serving(kds.respond) as url:
        source = CachedSource((KdsClient(url, timeout=5),), tmp_path)
        first = source.get(genoa.request, NOON)
        assert source.get(genoa.request, UnixTime(NOON + DAY - 1)) is first
        asked = len(kds.asked)
        assert source.get(genoa.request, UnixTime(NOON + DAY)) is first, "the same bytes are the same value"
        assert len(kds.asked) == asked + 2, "chain and list"
        later = CachedSource((KdsClient(url, timeout=5),), tmp_path)
        assert later.get(genoa.request, UnixTime(NOON + 30 * DAY)) == first
    assert kds.certificates_asked == 1


def test_a_place_in_the_queue_is_not_lost_in_the_cache(genoa: Chip, milan: Chip, tmp_path: Path) -> None:
    """A failed service is not asked again for a minute; whoever waits for a turn of ten seconds must be."""
    kds = Kds((genoa, milan))
    with serving(kds.respond) as url:
        source = CachedSource((KdsClient(url, timeout=5),), tmp_path)
        source.get(genoa.request, NOON)
        with pytest.raises(Unavailable) as waiting:
            source.get(milan.request, NOON)
        assert waiting.value.retry_after == 10
        assert isinstance(source.get(milan.request, UnixTime(NOON + 10)), SnpCollateral)


def test_too_many_requests_stop_everything_for_as_long_as_it_says(genoa: Chip) -> None:
    kds = Kds((genoa,), status=429, headers={"Retry-After": "120"})
    with serving(kds.respond) as url:
        client = KdsClient(url, timeout=5)
        for seconds in (0, 1, 119):
            with pytest.raises(Busy) as busy:
                client.fetch(genoa.request, None, UnixTime(NOON + seconds))
            assert busy.value.retry_after == 120 - seconds
        kds.status = 200
        assert client.fetch(genoa.request, None, UnixTime(NOON + 120)).vek == genoa.vcek
    assert len(kds.asked) == 1 + 3


@pytest.mark.parametrize("status", [404, 500])
def test_a_chip_that_the_service_does_not_give(genoa: Chip, status: int) -> None:
    kds = Kds((genoa,), status=status)
    with serving(kds.respond) as url, pytest.raises(Absent if status == 404 else Unavailable, match=str(status)):
        KdsClient(url, timeout=5).fetch(genoa.request, None, NOON)


def test_a_vlek_is_not_amds_to_give(genoa: Chip) -> None:
    request = SnpRequest(genoa.request.product, bytes(64), genoa.request.tcb, vlek=True)
    kds = Kds((genoa,))
    with serving(kds.respond) as url, pytest.raises(Absent, match="cloud provider"):
        KdsClient(url, timeout=5).fetch(request, None, NOON)
    assert kds.asked == ["/vlek/v1/Genoa/cert_chain", "/vlek/v1/Genoa/crl"]


@pytest.mark.parametrize("chain", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"])
def test_nonsense_is_malformed(genoa: Chip, chain: bytes) -> None:
    kds = Kds((replace(genoa, chain=chain),))
    with serving(kds.respond) as url, pytest.raises(Malformed):
        KdsClient(url, timeout=5).fetch(genoa.request, None, NOON)


@pytest.mark.parametrize("certificate", [b"", b"<html>", b"\x30\x03\x02\x01\x00"])
def test_a_certificate_that_is_none_is_not_kept(genoa: Chip, certificate: bytes, tmp_path: Path) -> None:
    kds = Kds((replace(genoa, vcek=certificate),))
    with serving(kds.respond) as url, pytest.raises(Malformed):
        CachedSource((KdsClient(url, timeout=5),), tmp_path / "cache").get(genoa.request, NOON)
    assert not (tmp_path / "cache").exists()


def test_the_certificate_of_another_chip_is_not_kept(genoa: Chip, milan: Chip, tmp_path: Path) -> None:
    kds = Kds((replace(genoa, vcek=milan.vcek),))
    with serving(kds.respond) as url, pytest.raises(Malformed, match="got something else"):
        CachedSource((KdsClient(url, timeout=5),), tmp_path).get(genoa.request, NOON)


def test_what_ends_first_decides(genoa: Chip) -> None:
    kds = Kds((genoa,))
    with serving(kds.respond) as url:
        facts = freshness(KdsClient(url, timeout=5).fetch(genoa.request, None, NOON))
    assert facts.ends_first == "vek"
    assert facts.evaluation_number is None
    assert set(facts.documents) == {"vek", "ask", "ark"}
