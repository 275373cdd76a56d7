"""Faults of a Nitro document: envelope, fields, registers and signature, and what a policy is there for."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cbor2

from intaglio.reasons import Reason
from intaglio.sim.faults.nitro_registry import nitro_fault
from intaglio.sim.nitro import LEAF, NitroDraft, holder, indefinite

# -- the envelope ------------------------------------------------------------------------------------------------------


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def other_algorithm(draft: NitroDraft) -> None:
    """the protected header names ES256"""
    draft.protected = cbor2.dumps({1: -7})


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def key_id_in_the_header(draft: NitroDraft) -> None:
    """the protected header names a key besides the algorithm"""
    draft.protected = cbor2.dumps({1: -35, 4: b"key"})


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def empty_protected_header(draft: NitroDraft) -> None:
    """no algorithm is named at all"""
    draft.protected = b""


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def unprotected_header(draft: NitroDraft) -> None:
    """something stands in the header that the signature does not cover"""
    draft.unprotected = {4: b"key"}


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def trailing_bytes(draft: NitroDraft) -> None:
    """bytes follow the document, so that one document has many hashes"""
    draft.edits.append(lambda document: document + b"\0")


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def truncated_document(draft: NitroDraft) -> None:
    """the last bytes of the signature are missing"""
    draft.edits.append(lambda document: document[:-5])


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def wrong_tag(draft: NitroDraft) -> None:
    """the document is tagged as a COSE_Mac0"""
    draft.edits.append(lambda document: b"\xd1" + document)


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def short_signature(draft: NitroDraft) -> None:
    """a signature of 64 bytes, as P-256 has"""
    draft.edits.append(lambda document: cbor2.dumps([*cbor2.loads(document)[:3], bytes(64)]))


# -- the fields --------------------------------------------------------------------------------------------------------


def _with(**changes: Any) -> Callable[[dict[str, Any]], bytes]:
    """The signer itself puts something else into these fields; None leaves the field out."""

    def encode(fields: dict[str, Any]) -> bytes:
        changed = {**fields, **changes}
        return cbor2.dumps({name: value for name, value in changed.items() if name not in changes or value is not None})

    return encode


def _first(fields: dict[str, Any], registers: dict[int, bytes]) -> dict[int, bytes]:
    return {**fields["pcrs"], **registers}


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def unknown_field(draft: NitroDraft) -> None:
    """a field that AWS has not defined, signed by its key"""
    draft.encode = _with(nonce=None, session=b"1")


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def repeated_field(draft: NitroDraft) -> None:
    """user_data occurs twice: two readers could see two documents"""

    def encode(fields: dict[str, Any]) -> bytes:
        rest = cbor2.dumps({name: value for name, value in fields.items() if name != "nonce"})[1:]
        return b"\xa9" + rest + cbor2.dumps("user_data") + cbor2.dumps(b"another session")

    draft.encode = encode


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def missing_timestamp(draft: NitroDraft) -> None:
    """a document that does not say when it was made"""
    draft.encode = _with(timestamp=None)


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def missing_bundle(draft: NitroDraft) -> None:
    """a document without the authorities of its leaf"""
    draft.encode = _with(cabundle=None)


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def empty_module_id(draft: NitroDraft) -> None:
    """a document of no module"""
    draft.encode = _with(module_id="")


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def timestamp_as_text(draft: NitroDraft) -> None:
    """a time that is no number"""
    draft.encode = _with(timestamp="1780315200123")


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def long_user_data(draft: NitroDraft) -> None:
    """one byte more of user data than AWS allows"""
    draft.encode = _with(user_data=bytes(513))


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def empty_public_key(draft: NitroDraft) -> None:
    """a public key of no bytes"""
    draft.encode = _with(public_key=b"")


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def tagged_nonce(draft: NitroDraft) -> None:
    """a tag in a field: shared references let a kilobyte stand for more than any memory holds"""
    draft.encode = _with(nonce=cbor2.CBORTag(28, b"shared"))


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def long_head(draft: NitroDraft) -> None:
    """a length that is written longer than it needs to be"""
    draft.encode = lambda fields: cbor2.dumps(fields).replace(b"\x66SHA384", b"\x78\x06SHA384")


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def endless_map(draft: NitroDraft) -> None:
    """a payload that promises a break and has none"""
    draft.encode = lambda fields: indefinite(fields)[:-1]


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def bytes_after_the_map(draft: NitroDraft) -> None:
    """something follows the map inside the payload"""
    draft.encode = lambda fields: cbor2.dumps(fields) + b"\xf6"


# -- digest and registers ----------------------------------------------------------------------------------------------


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def other_digest(draft: NitroDraft) -> None:
    """registers of another hash than AWS uses"""
    draft.encode = _with(digest="SHA256", pcrs={index: bytes(32) for index in range(16)})


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def short_register(draft: NitroDraft) -> None:
    """a register of 32 bytes beside those of 48"""
    draft.encode = lambda fields: _with(pcrs=_first(fields, {3: bytes(32)}))(fields)


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def register_of_no_size(draft: NitroDraft) -> None:
    """a register of 47 bytes"""
    draft.encode = lambda fields: _with(pcrs=_first(fields, {0: b"\1" * 47}))(fields)


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def register_32(draft: NitroDraft) -> None:
    """a register that the module does not have"""
    draft.encode = lambda fields: _with(pcrs=_first(fields, {32: bytes(48)}))(fields)


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def missing_register(draft: NitroDraft) -> None:
    """PCR1 is left out: nobody could tell debug mode, and a rule about it would have nothing to look at"""
    draft.encode = lambda fields: _with(pcrs={i: v for i, v in fields["pcrs"].items() if i != 1})(fields)


@nitro_fault(Reason.MALFORMED_EVIDENCE)
def half_debug(draft: NitroDraft) -> None:
    """only the image's register is zero: neither debug mode nor a measured enclave"""
    draft.encode = lambda fields: _with(pcrs=_first(fields, {0: bytes(48)}))(fields)


# -- time and signature ------------------------------------------------------------------------------------------------


@nitro_fault(Reason.EVIDENCE_TIMESTAMP)
def older_than_its_signer(draft: NitroDraft) -> None:
    """a time before the signing certificate began"""
    draft.fields["timestamp"] = (draft.chain[LEAF].plan.not_before - 1) * 1000


@nitro_fault(Reason.EVIDENCE_TIMESTAMP)
def newer_than_its_signer(draft: NitroDraft) -> None:
    """a time after the signing certificate's end"""
    draft.fields["timestamp"] = (draft.chain[LEAF].plan.not_after + 1) * 1000


@nitro_fault(Reason.EVIDENCE_TIMESTAMP)
def time_beyond_the_calendar(draft: NitroDraft) -> None:
    """the largest time that 64 bits hold"""
    draft.fields["timestamp"] = 2**64 - 1


@nitro_fault(Reason.EVIDENCE_FROM_FUTURE)
def made_in_the_future(draft: NitroDraft) -> None:
    """a document that is made two minutes from now"""
    draft.fields["timestamp"] = (draft.at + 120) * 1000


@nitro_fault(Reason.DOCUMENT_SIGNATURE)
def edited_register(draft: NitroDraft) -> None:
    """the host writes another measurement into a signed document"""
    draft.serve = lambda payload: payload.replace(b"\xa0" * 48, b"\xb0" * 48)


@nitro_fault(Reason.DOCUMENT_SIGNATURE)
def edited_user_data(draft: NitroDraft) -> None:
    """the host writes another session's hash into a signed document"""
    old = draft.fields["user_data"]
    draft.serve = lambda payload: payload.replace(old, old[::-1])


@nitro_fault(Reason.DOCUMENT_SIGNATURE)
def edited_timestamp(draft: NitroDraft) -> None:
    """the host makes a signed document a second younger"""
    old = draft.fields["timestamp"]
    draft.serve = lambda payload: payload.replace(old.to_bytes(8, "big"), (old + 1000).to_bytes(8, "big"))


@nitro_fault(Reason.DOCUMENT_SIGNATURE)
def encoded_again(draft: NitroDraft) -> None:
    """somebody decoded the payload on the way and encoded it in the other form"""
    draft.serve = lambda payload: indefinite(cbor2.loads(payload))


@nitro_fault(Reason.DOCUMENT_SIGNATURE)
def flipped_signature(draft: NitroDraft) -> None:
    """one bit of the signature is wrong"""
    draft.edits.append(lambda document: document[:-1] + bytes((document[-1] ^ 1,)))


@nitro_fault(Reason.DOCUMENT_SIGNATURE)
def swapped_signature(draft: NitroDraft) -> None:
    """r and s in each other's place"""
    draft.edits.append(lambda document: document[:-96] + document[-48:] + document[-96:-48])


@nitro_fault(Reason.DOCUMENT_SIGNATURE)
def zero_signature(draft: NitroDraft) -> None:
    """a signature of zeros, which verifiers without range checks have accepted"""
    draft.edits.append(lambda document: document[:-96] + bytes(96))


@nitro_fault(Reason.DOCUMENT_SIGNATURE)
def signed_with_the_instance_key(draft: NitroDraft) -> None:
    """the authority of the instance signed the document, and not the leaf"""
    draft.signing_key = draft.chain[-2].key


@nitro_fault(Reason.DOCUMENT_SIGNATURE)
def leaf_of_another_enclave(draft: NitroDraft) -> None:
    """the certificate of another enclave on the same instance"""
    draft.signing_key = draft.chain[LEAF].key
    draft.chain[LEAF] = holder(replace(draft.chain[LEAF].plan, name="i-0a1b2c3d4e5f60718-enc0.us-east-1.aws"))


# -- genuine, and not wanted -------------------------------------------------------------------------------------------


@nitro_fault(Reason.DEBUG_ENCLAVE, by_policy=True, also=(Reason.WRONG_MEASUREMENT,))
def debug_mode(draft: NitroDraft) -> None:
    """the host starts the enclave in debug mode: its console can be read, and its first registers are zero"""
    draft.fields["pcrs"] = {**draft.fields["pcrs"], 0: bytes(48), 1: bytes(48), 2: bytes(48)}


@nitro_fault(Reason.WRONG_MEASUREMENT, by_policy=True)
def other_image(draft: NitroDraft) -> None:
    """the host starts another image"""
    draft.fields["pcrs"] = {**draft.fields["pcrs"], 0: b"\x0f" * 48}


@nitro_fault(Reason.WRONG_CONFIGURATION, by_policy=True)
def other_role(draft: NitroDraft) -> None:
    """the right image on an instance with another IAM role"""
    draft.fields["pcrs"] = {**draft.fields["pcrs"], 3: b"\x0f" * 48}


@nitro_fault(Reason.PLATFORM_NOT_ALLOWED, by_policy=True)
def other_instance(draft: NitroDraft) -> None:
    """the right image on an instance that is not ours"""
    draft.fields["module_id"] = "i-0ffffffffffffffff-enc0192a3b4c5d6e7f8"


@nitro_fault(Reason.REPORT_DATA, by_policy=True)
def document_of_another_session(draft: NitroDraft) -> None:
    """a genuine document that was made for another session"""
    draft.fields["user_data"] = bytes(range(64, 128))


@nitro_fault(Reason.REPORT_DATA, by_policy=True)
def no_user_data(draft: NitroDraft) -> None:
    """a genuine document that is bound to nothing"""
    draft.fields["user_data"] = None
