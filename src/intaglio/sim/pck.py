"""The SGX extension of a PCK certificate (OID 1.2.840.113741.1.13.1), written byte for byte as Intel's issuer
writes it.

The layout is check 15 of the verification notes: PPID, TCB (sixteen component SVNs, PCESVN, CPUSVN), PCEID,
FMSPC, SGX type and, for platforms issued by the Platform CA, platform instance id and configuration.
"""

from dataclasses import dataclass

__all__ = ["PckFacts", "sgx_extension"]

_ARC = bytes.fromhex("2a864886f84d010d01")
"""1.2.840.113741.1.13.1, the content octets that every OID of the extension begins with."""


@dataclass(frozen=True, slots=True)
class PckFacts:
    """What a PCK certificate says of its platform. `platform_instance` None: issued by the Processor CA, which
    says less.

    ppid 16 bytes, components sixteen numbers 0 to 255, pce_id 2 bytes, fmspc 6 bytes, platform_instance 16
    bytes; `sgx_type` 0 standard, 1 scalable.
    """

    ppid: bytes
    components: tuple[int, ...]
    pce_svn: int
    fmspc: bytes
    pce_id: bytes = bytes(2)
    sgx_type: int = 0
    platform_instance: bytes | None = None
    dynamic_platform: bool = False
    cached_keys: bool = False
    smt_enabled: bool = True

    @property
    def cpu_svn(self) -> bytes:
        """In this world CPUSVN is the sixteen components in order; Intel calls it opaque."""
        return bytes(self.components)


def sgx_extension(facts: PckFacts) -> bytes:
    """The DER value of the extension."""
    tcb = [_entry((2, n + 1), _integer(svn)) for n, svn in enumerate(facts.components)]
    tcb.append(_entry((2, 17), _integer(facts.pce_svn)))
    tcb.append(_entry((2, 18), _octets(facts.cpu_svn)))
    entries = [
        _entry((1,), _octets(facts.ppid)),
        _entry((2,), _sequence(tcb)),
        _entry((3,), _octets(facts.pce_id)),
        _entry((4,), _octets(facts.fmspc)),
        _entry((5,), _tlv(0x0A, bytes((facts.sgx_type,)))),
    ]
    if facts.platform_instance is not None:
        flags = (facts.dynamic_platform, facts.cached_keys, facts.smt_enabled)
        configuration = [_entry((7, n + 1), _tlv(0x01, b"\xff" if flag else b"\0")) for n, flag in enumerate(flags)]
        entries.append(_entry((6,), _octets(facts.platform_instance)))
        entries.append(_entry((7,), _sequence(configuration)))
    return _sequence(entries)


def _entry(arc: tuple[int, ...], value: bytes) -> bytes:
    """SEQUENCE { OID, value }; every arc of ours is below 128, so one byte each."""
    return _sequence([_tlv(0x06, _ARC + bytes(arc)), value])


def _sequence(items: list[bytes]) -> bytes:
    return _tlv(0x30, b"".join(items))


def _octets(value: bytes) -> bytes:
    return _tlv(0x04, value)


def _integer(value: int) -> bytes:
    return _tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content
