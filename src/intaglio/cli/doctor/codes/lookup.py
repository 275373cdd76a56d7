"""Finding error codes in what a person pastes: a bare code, a name, or a whole line of a log."""

import re

from intaglio.cli.doctor.codes.code import Code, Family
from intaglio.cli.doctor.codes.judging import JUDGING
from intaglio.cli.doctor.codes.libraries import PCE, QCNL, QGS, TDX_ATTEST
from intaglio.cli.doctor.codes.quoting import QUOTING

__all__ = ["ALL", "MAX_TEXT", "codes_in", "family_of"]

MAX_TEXT = 64 * 1024
"""Characters that are looked at: a page of log, not a log."""

_FAMILIES = {
    Family.QUOTE: (*QUOTING, *JUDGING),
    Family.QCNL: QCNL,
    Family.PCE: PCE,
    Family.QGS: QGS,
    Family.TDX_ATTEST: TDX_ATTEST,
}
ALL = tuple(sorted((code for codes in _FAMILIES.values() for code in codes), key=lambda code: code.value))

_BY_VALUE = {code.value: code for code in ALL if code not in TDX_ATTEST}
_SMALL = {code.value: code for code in TDX_ATTEST}
"""Too small to be told from any other number, so they count only where the text is about the TD's library."""
_BY_NAME = {code.name: code for code in ALL} | {
    # The same header gives each code of the quote library a second name.
    code.name.replace("SGX_QL_", "TEE_", 1): code
    for code in _FAMILIES[Family.QUOTE]
}

_NAME = re.compile(r"\b(?:SGX|TEE|QGS|TDX)_[A-Z0-9_]+\b")
_NUMBER = re.compile(
    r"(?<![\w.-])(?:0[xX](?P<hex>[0-9a-fA-F]{1,8})|(?P<plain>[0-9a-fA-F]{4,8})|(?P<small>\d{1,2}))(?![\w.-])"
)
_ABOUT_TDX = re.compile(r"tdx_att|TDX_ATTEST", re.IGNORECASE)


def codes_in(text: str) -> tuple[Code, ...]:
    """The codes that a text names, each once, in its order; a number alone is taken as a code of the TD's library
    where no other has it."""
    text = text[:MAX_TEXT]
    about_tdx = bool(_ABOUT_TDX.search(text)) or _NUMBER.fullmatch(text.strip()) is not None
    found = [(name.start(), _BY_NAME[name[0]]) for name in _NAME.finditer(text) if name[0] in _BY_NAME]
    for number in _NUMBER.finditer(text):
        found += ((number.start(), code) for code in _of_number(number, about_tdx=about_tdx))
    return tuple(dict.fromkeys(code for _, code in sorted(found, key=lambda pair: pair[0])))


def family_of(code: Code) -> Family:
    """Which enumeration it belongs to."""
    return next(family for family, codes in _FAMILIES.items() if code in codes)


def _of_number(number: re.Match[str], *, about_tdx: bool) -> tuple[Code, ...]:
    """Logs write 0xe019, e019, 0000e019 and 57369 for one and the same."""
    values: list[int] = []
    if number["hex"]:
        values.append(int(number["hex"], 16))
    elif number["plain"]:
        values.append(int(number["plain"], 16))
        if number["plain"].isdecimal():
            values.append(int(number["plain"]))
    else:
        values.append(int(number["small"]))
    known = [_BY_VALUE[value] for value in values if value in _BY_VALUE]
    if not known and about_tdx:
        known = [_SMALL[value] for value in values if value in _SMALL]
    return tuple(known)
