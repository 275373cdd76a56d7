"""AWS Nitro attestation documents: what the hypervisor of an EC2 instance says, and signs, of an enclave.

A document is a COSE_Sign1 (RFC 9052 §4.2) with ES384, whose payload is a CBOR map (AWS, nitro-enclaves-nsm-api,
attestation_process.md §2.2, §3.2.2). Until December 2025 documents stated how many fields that map has; since then
it ends in a break. The signature is over the payload's bytes as they stand, so they are kept and never encoded again.
Nothing here judges: neither signatures nor certificates nor the meaning of the registers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self, TypedDict, cast

from intaglio.errors import Malformed
from intaglio.types import Measurement
from intaglio.wire import cbor
from intaglio.wire.cbor_items import ItemReader

__all__ = ["ALGORITHM", "DEBUG_REGISTERS", "NitroDocument"]

ALGORITHM = bytes.fromhex("a1013822")
"""The protected header: a map of alg (1) to ES384 (-35), and nothing else."""

DEBUG_REGISTERS = (0, 1, 2)
"""The enclave's image, its kernel with the boot file system, and its application: zero in debug mode."""

MAX_PAYLOAD = 16384
"""AWS §3.1. Real payloads have less than 5 kB."""
MAX_DOCUMENT = MAX_PAYLOAD + 512
"""With room for its frame: heads, protected header and signature have 113 bytes."""
MAX_CERTIFICATE = 1024
MAX_BUNDLE = 8
"""AWS names no limit; there have always been four: root, region, zone and instance."""
MAX_REGISTERS = 32
_REGISTER_SIZES = (32, 48, 64)
_USUAL_SIZE = 48
_USUAL_HEADS = tuple(cbor.encode(index) + cbor.bytes_head(_USUAL_SIZE) for index in range(MAX_REGISTERS))
_SIGNATURE_SIZE = 96

_TAG_SIGN1 = b"\xd2"  # tag 18
_SIGNED_HEAD = b"\x84" + cbor.encode("Signature1") + cbor.encode(ALGORITHM) + cbor.encode(b"")


@dataclass(frozen=True, slots=True)
class NitroDocument:
    """One document. `timestamp` is in milliseconds; `ca_bundle` begins with the root, `certificate` is the leaf that
    signed. What an enclave did not ask for is None: `public_key`, `user_data`, `nonce`."""

    module_id: str
    digest: str
    timestamp: int
    pcrs: Mapping[int, Measurement]
    certificate: bytes
    ca_bundle: tuple[bytes, ...]
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None
    payload: bytes
    signature: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Reads a COSE_Sign1, tagged (18) or not. Raises `Malformed`."""
        if len(data) > MAX_DOCUMENT:
            raise Malformed("nitro.cose", f"at most {MAX_DOCUMENT} bytes, found {len(data)}")
        cose = ItemReader(data.removeprefix(_TAG_SIGN1), "nitro.cose")
        cose.exactly(b"\x84", "sign1", "an array of 4")
        protected = cose.bstr("protected", 1, MAX_PAYLOAD)
        if protected != ALGORITHM:
            raise Malformed("nitro.cose.protected", f"need alg ES384 (a1013822), found {protected[:16].hex()}")
        cose.exactly(b"\xa0", "unprotected", "an empty map")
        payload = cose.bstr("payload", 1, MAX_PAYLOAD)
        signature = cose.bstr("signature", _SIGNATURE_SIZE, _SIGNATURE_SIZE)
        cose.end()
        return cls(**_read_fields(payload), payload=payload, signature=signature)

    @property
    def signed(self) -> bytes:
        """Sig_structure (RFC 9052 §4.4) over the payload exactly as it stands in the document."""
        return _SIGNED_HEAD + cbor.bytes_head(len(self.payload)) + self.payload

    @property
    def report_data(self) -> bytes:
        """What the enclave chose to have signed: user_data, or nothing."""
        return self.user_data or b""

    @property
    def debug(self) -> bool:
        """The host can read this enclave's console, and its registers say nothing of what runs there."""
        return not any(any(self.pcrs.get(index, b"")) for index in DEBUG_REGISTERS)

    def to_json(self) -> dict[str, object]:
        """The facts of the document, as `Verdict.to_json` shows them."""
        return {
            "module_id": self.module_id,
            "digest": self.digest,
            "timestamp": self.timestamp,
            "pcrs": {str(index): value.hex() for index, value in sorted(self.pcrs.items())},
            "debug": self.debug,
            "public_key": _hex(self.public_key),
            "user_data": _hex(self.user_data),
            "nonce": _hex(self.nonce),
            "report_data": self.report_data.hex(),
        }


class _Fields(TypedDict):
    """What the payload's map holds."""

    module_id: str
    digest: str
    timestamp: int
    pcrs: Mapping[int, Measurement]
    certificate: bytes
    ca_bundle: tuple[bytes, ...]
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None


def _read_fields(payload: bytes) -> _Fields:
    """AWS §3.2.2: which fields there must be, and what each may hold; null stands for a field that is not there."""
    items = ItemReader(payload, "nitro")
    found: dict[str, object] = dict.fromkeys(_OPTIONAL)
    seen: set[str] = set()
    for count in items.map("payload", len(_READERS) - len(_OPTIONAL), len(_READERS)):
        usual, spelled = _USUAL_KEYS[count]
        key = usual if items.after(spelled, 0) is not None else items.tstr("key", 1, 64)
        if key not in _READERS:
            raise Malformed("nitro.key", f"unknown: {key!r}")
        if key in seen:
            raise Malformed(f"nitro.{key}", "occurs twice")
        seen.add(key)
        name, read = _READERS[key]
        found[name] = read(items)
    items.end()
    missing = _READERS.keys() - seen - _OPTIONAL
    if missing:
        raise Malformed(f"nitro.{min(missing)}", "missing")
    return cast(_Fields, found)


def _read_digest(items: ItemReader) -> str:
    digest = items.tstr("digest", 1, 64)
    if digest != "SHA384":
        raise Malformed("nitro.digest", f"need SHA384, found {digest!r}")
    return digest


def _read_pcrs(items: ItemReader) -> Mapping[int, Measurement]:
    pcrs: dict[int, Measurement] = {}
    for count in items.map("pcrs", 1, MAX_REGISTERS):
        # Sixteen registers of 48 bytes in their order are a third of reading a document in the general way.
        usual = items.after(_USUAL_HEADS[count], _USUAL_SIZE) if count not in pcrs else None
        if usual is not None:
            pcrs[count] = Measurement(usual)
            continue
        index = items.uint("pcrs", 0, MAX_REGISTERS - 1)
        if index in pcrs:
            raise Malformed("nitro.pcrs", f"PCR{index} occurs twice")
        value = items.bstr("pcrs", min(_REGISTER_SIZES), max(_REGISTER_SIZES))
        if len(value) not in _REGISTER_SIZES:
            raise Malformed("nitro.pcrs", f"PCR{index}: need 32, 48 or 64 bytes, found {len(value)}")
        pcrs[index] = Measurement(value)
    return MappingProxyType(pcrs)


def _read_bundle(items: ItemReader) -> tuple[bytes, ...]:
    return tuple(items.bstr("cabundle", 1, MAX_CERTIFICATE) for _ in items.array("cabundle", 1, MAX_BUNDLE))


_READERS: Mapping[str, tuple[str, Callable[[ItemReader], object]]] = {
    "module_id": ("module_id", lambda items: items.tstr("module_id", 1, 256)),
    "digest": ("digest", _read_digest),
    "timestamp": ("timestamp", lambda items: items.uint("timestamp", 1, 2**64 - 1)),
    "pcrs": ("pcrs", _read_pcrs),
    "certificate": ("certificate", lambda items: items.bstr("certificate", 1, MAX_CERTIFICATE)),
    "cabundle": ("ca_bundle", _read_bundle),
    "public_key": ("public_key", lambda items: items.bstr_or_null("public_key", 1, 1024)),
    "user_data": ("user_data", lambda items: items.bstr_or_null("user_data", 0, 512)),
    "nonce": ("nonce", lambda items: items.bstr_or_null("nonce", 0, 512)),
}
_USUAL_KEYS = tuple((key, cbor.encode(key)) for key in _READERS)
"""In the order in which the hypervisor writes them."""
_OPTIONAL = frozenset(("public_key", "user_data", "nonce"))


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()
