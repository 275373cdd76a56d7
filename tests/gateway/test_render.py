"""Values for people: whatever bytes an enclave stored, showing them costs no more than they are long."""

import cbor2
import pytest

from intaglio.errors import Malformed
from intaglio.gateway.render import json_of_cbor, readable
from intaglio.host import pipe


def _shared_references(levels: int, width: int) -> bytes:
    """Arrays of references to the array one level below: `width ** levels` items in a few hundred bytes."""
    item = b"\xd8\x1c\x80"
    for level in range(levels):
        item = b"\xd8\x1c\x98" + bytes((width,)) + item + (b"\xd8\x1d" + bytes((levels - level,))) * (width - 1)
    return item


@pytest.mark.parametrize(
    "value", [_shared_references(6, 60), bytes.fromhex("d81c81d81d00"), cbor2.dumps(cbor2.CBORTag(2, b"\1" * 9))]
)
def test_tags_mean_nothing(value: bytes) -> None:
    assert json_of_cbor(value) is None
    with pytest.raises(Malformed, match="tag"):
        pipe.decode(b"\x82\x61a" + value)


def test_plain_values_are_shown() -> None:
    assert readable("application/vnd.x+cbor", cbor2.dumps({"kwh": [1, 2.5, b"\0", None]})) == {
        "kwh": [1, 2.5, {"base64": "AA=="}, None]
    }
