"""Faults of reports of the attestation service: how they are kept, what they say, and what a policy is there for."""

import base64
import json
from dataclasses import replace

from intaglio.reasons import Reason
from intaglio.sim.faults.ias_registry import ias_fault
from intaglio.sim.ias import Body, IasDraft
from intaglio.sim.pki import YEAR, when
from intaglio.types import Measurement, ReportData, UnixTime
from intaglio.wire.sgx import AttributeFlag, Attributes

# -- how it is kept ----------------------------------------------------------------------------------------------------


@ias_fault(Reason.DOCUMENT_UNSIGNED)
def body_alone(draft: IasDraft) -> None:
    """an archive kept the body and threw the headers away"""
    draft.form = "body"


@ias_fault(Reason.MALFORMED_EVIDENCE)
def two_signatures(draft: IasDraft) -> None:
    """two headers with a signature: which one counts?"""
    draft.form = "http"
    draft.edits.append(lambda file: file.replace(b"X-IAS", b"X-IASReport-Signature: AAAA\r\nX-IAS", 1))


@ias_fault(Reason.MALFORMED_EVIDENCE)
def two_bodies(draft: IasDraft) -> None:
    """the body under two names: which one counts?"""
    draft.edits.append(lambda file: file.replace(b'{"report"', b'{"body": "e30=", "report"', 1))


@ias_fault(Reason.MALFORMED_EVIDENCE)
def signature_is_no_base64(draft: IasDraft) -> None:
    """a signature with a letter that base64 does not have"""
    draft.edits.append(lambda file: file.replace(b'"signature": "', b'"signature": "_', 1))


@ias_fault(Reason.MALFORMED_EVIDENCE)
def certificates_are_no_pem(draft: IasDraft) -> None:
    """the certificates were cut off in the middle"""
    draft.edits.append(lambda file: file.replace(b'-----END CERTIFICATE-----\\n"', b'"'))


# -- what it says ------------------------------------------------------------------------------------------------------


@ias_fault(Reason.MALFORMED_EVIDENCE)
def unknown_member(draft: IasDraft) -> None:
    """a member that the service never had, signed by its key"""
    draft.body["isvEnclaveQuoteVerdict"] = "GOOD"


@ias_fault(Reason.MALFORMED_EVIDENCE)
def unknown_status(draft: IasDraft) -> None:
    """a status that the service never gave"""
    draft.body["isvEnclaveQuoteStatus"] = "GROUP_FORGIVEN"


@ias_fault(Reason.MALFORMED_EVIDENCE)
def unknown_version(draft: IasDraft) -> None:
    """a version of the service that there never was"""
    draft.body["version"] = 6


@ias_fault(Reason.MALFORMED_EVIDENCE)
def repeated_status(draft: IasDraft) -> None:
    """two statuses: two readers could see two reports"""

    def encode(body: Body) -> bytes:
        return json.dumps(body).encode()[:-1] + b', "isvEnclaveQuoteStatus": "GROUP_REVOKED"}'

    draft.encode = encode


@ias_fault(Reason.MALFORMED_EVIDENCE)
def missing_time(draft: IasDraft) -> None:
    """a report that does not say when it was made"""
    del draft.body["timestamp"]


@ias_fault(Reason.MALFORMED_EVIDENCE)
def short_quote_body(draft: IasDraft) -> None:
    """a quote body that ends within the report data"""
    draft.body["isvEnclaveQuoteBody"] = base64.b64encode(draft.quote.encode()[:-1]).decode()


@ias_fault(Reason.MALFORMED_EVIDENCE)
def reserved_bytes_set(draft: IasDraft) -> None:
    """bytes of the report that every CPU leaves zero are not"""
    body = draft.quote.encode()
    draft.body["isvEnclaveQuoteBody"] = base64.b64encode(body[: 48 + 96] + b"\1" + body[48 + 97 :]).decode()


@ias_fault(Reason.MALFORMED_EVIDENCE)
def linkable_without_pseudonym(draft: IasDraft) -> None:
    """a linkable quote, and no pseudonym that it could be linked by"""
    del draft.body["epidPseudonym"]


@ias_fault(Reason.MALFORMED_EVIDENCE)
def pseudonym_of_an_unlinkable_quote(draft: IasDraft) -> None:
    """a pseudonym although the quote can't be linked to anything"""
    draft.quote = replace(draft.quote, linkable=False)


@ias_fault(Reason.ENCLAVE_NOT_INITIALISED)
def uninitialised(draft: IasDraft) -> None:
    """a report of an enclave that was never initialised, which no CPU makes"""
    draft.measured(attributes=Attributes(AttributeFlag.MODE64, 7))


@ias_fault(Reason.QUOTE_SIGNATURE)
def quote_signature_invalid(draft: IasDraft) -> None:
    """the service says that the quote's signature does not hold"""
    draft.body["isvEnclaveQuoteStatus"] = "SIGNATURE_INVALID"


@ias_fault(Reason.ATTESTATION_KEY_REVOKED)
def key_revoked(draft: IasDraft) -> None:
    """the service says that the quote's key was extracted and revoked"""
    draft.body["isvEnclaveQuoteStatus"] = "KEY_REVOKED"


@ias_fault(Reason.ATTESTATION_KEY_REVOKED)
def signature_revoked(draft: IasDraft) -> None:
    """the service says that the quote's key made a signature that is revoked"""
    draft.body["isvEnclaveQuoteStatus"] = "SIGNATURE_REVOKED"


@ias_fault(Reason.REVOCATION_UNDECIDED)
def old_revocation_list(draft: IasDraft) -> None:
    """the quote was made with an old revocation list, so the service can't say"""
    draft.body["isvEnclaveQuoteStatus"] = "SIGRL_VERSION_MISMATCH"


# -- time and signature ------------------------------------------------------------------------------------------------


def _date(draft: IasDraft, time: int) -> None:
    draft.body["timestamp"] = when(UnixTime(time)).strftime("%Y-%m-%dT%H:%M:%S.5")


@ias_fault(Reason.EVIDENCE_TIMESTAMP)
def older_than_its_signer(draft: IasDraft) -> None:
    """a time before the signing certificate began"""
    _date(draft, draft.chain[0].plan.not_before - 1)


@ias_fault(Reason.EVIDENCE_FROM_FUTURE)
def made_in_the_future(draft: IasDraft) -> None:
    """a report that is made two minutes from now"""
    _date(draft, draft.at + 120)


@ias_fault(Reason.SERVICE_ENDED)
def made_after_the_end(draft: IasDraft) -> None:
    """a report of a year after the service ended, signed with its key"""
    draft.at = UnixTime(draft.at + YEAR)
    _date(draft, draft.at)


@ias_fault(Reason.DOCUMENT_SIGNATURE)
def edited_status(draft: IasDraft) -> None:
    """the host makes its platform look up to date"""
    draft.body["isvEnclaveQuoteStatus"] = "GROUP_OUT_OF_DATE"
    draft.serve = lambda body: body.replace(b"GROUP_OUT_OF_DATE", b"OK")


@ias_fault(Reason.DOCUMENT_SIGNATURE)
def edited_measurement(draft: IasDraft) -> None:
    """the host writes another measurement into a signed report"""
    old, report = base64.b64encode(draft.quote.encode()), replace(draft.quote.report, mr_enclave=Measurement(bytes(32)))
    new = base64.b64encode(replace(draft.quote, report=report).encode())
    draft.serve = lambda body: body.replace(old, new)


@ias_fault(Reason.DOCUMENT_SIGNATURE)
def serialised_again(draft: IasDraft) -> None:
    """an archive parsed the body and serialised it again, with spaces"""
    draft.serve = lambda body: json.dumps(json.loads(body)).encode()


@ias_fault(Reason.DOCUMENT_SIGNATURE)
def signature_of_another_report(draft: IasDraft) -> None:
    """the signature of an earlier report beside this one"""
    earlier = str(draft.body["id"]).encode()
    draft.serve = lambda body: body.replace(earlier, earlier[::-1])


@ias_fault(Reason.DOCUMENT_SIGNATURE)
def signed_by_the_authority(draft: IasDraft) -> None:
    """the root signed the report itself, and the signer's certificate stands beside it"""
    draft.signing_key = draft.chain[-1].key


@ias_fault(Reason.DOCUMENT_SIGNATURE)
def shortened_signature(draft: IasDraft) -> None:
    """a signature of one byte"""

    def cut(file: bytes) -> bytes:
        kept = json.loads(file)
        return json.dumps({**kept, "signature": "AA=="}).encode()

    draft.edits.append(cut)


# -- genuine, and not wanted -------------------------------------------------------------------------------------------


@ias_fault(Reason.TCB_STATUS, by_policy=True)
def group_revoked(draft: IasDraft) -> None:
    """the service says that the platform's whole group is revoked"""
    draft.body |= {"isvEnclaveQuoteStatus": "GROUP_REVOKED", "revocationReason": 1}


@ias_fault(Reason.TCB_STATUS, by_policy=True)
def out_of_date(draft: IasDraft) -> None:
    """the service says that the platform is behind"""
    draft.body["isvEnclaveQuoteStatus"] = "GROUP_OUT_OF_DATE"


@ias_fault(Reason.ADVISORY, by_policy=True)
def unnamed_advisory(draft: IasDraft) -> None:
    """an advisory applies that the policy does not name"""
    draft.body["advisoryIDs"] = ["INTEL-SA-00999"]


@ias_fault(Reason.ADVISORY, by_policy=True, also=(Reason.TCB_EVALUATION_TOO_OLD,))
def version_without_advisories(draft: IasDraft) -> None:
    """a report of a version whose body can't name advisories"""
    for member in ("advisoryIDs", "advisoryURL", "tcbEvaluationDataNumber"):
        del draft.body[member]
    draft.body["version"] = 3


@ias_fault(Reason.DEBUG_ENCLAVE, by_policy=True)
def debug_mode(draft: IasDraft) -> None:
    """the host started the enclave in debug mode"""
    draft.measured(attributes=Attributes(AttributeFlag.INIT | AttributeFlag.DEBUG | AttributeFlag.MODE64, 7))


@ias_fault(Reason.WRONG_MEASUREMENT, by_policy=True)
def other_enclave(draft: IasDraft) -> None:
    """the report is on another enclave"""
    draft.measured(mr_enclave=Measurement(b"\x77" * 32))


@ias_fault(Reason.REPORT_DATA, by_policy=True)
def report_of_another_session(draft: IasDraft) -> None:
    """a genuine report on a quote that was made for another session"""
    draft.measured(report_data=ReportData(bytes(range(64, 128))))
