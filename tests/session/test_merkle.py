"""The tree against RFC 9162's own recursive definitions, written down here once more and by nobody's else code."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.session.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    root_by_consistency,
    root_by_inclusion,
)

Entries = Sequence[bytes]
ENTRIES = st.lists(st.binary(max_size=40), min_size=1, max_size=70)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def split_of(size: int) -> int:
    """k of §2.1.1: the largest power of two smaller than n."""
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def mth(entries: Entries) -> bytes:
    """§2.1.1."""
    if not entries:
        return sha256(b"")
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0])
    k = split_of(len(entries))
    return sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:]))


def path_of(m: int, entries: Entries) -> list[bytes]:
    """§2.1.3.1."""
    if len(entries) == 1:
        return []
    k = split_of(len(entries))
    if m < k:
        return [*path_of(m, entries[:k]), mth(entries[k:])]
    return [*path_of(m - k, entries[k:]), mth(entries[:k])]


def subproof(m: int, entries: Entries, whole: bool) -> list[bytes]:
    """§2.1.4.1."""
    if m == len(entries):
        return [] if whole else [mth(entries)]
    k = split_of(len(entries))
    if m <= k:
        return [*subproof(m, entries[:k], whole), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


@given(st.lists(st.binary(max_size=40), max_size=70))
def test_the_root_is_the_rfcs_after_every_entry(entries: list[bytes]) -> None:
    frontier = Frontier()
    assert frontier.root == mth([])
    for size, entry in enumerate(entries, 1):
        frontier.append(entry)
        assert (frontier.size, frontier.root) == (size, mth(entries[:size]))


@given(ENTRIES, st.data())
def test_every_entry_is_proven_and_nothing_else_at_its_place(entries: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(entries) - 1))
    path = inclusion_proof(entries, index)
    assert list(path) == path_of(index, entries)
    root = mth(entries)
    assert root_by_inclusion(entries[index], index, len(entries), path) == root
    assert root_by_inclusion(entries[index] + b"!", index, len(entries), path) != root
    for wrong in ((*path, bytes(32)), path[:-1]):
        if wrong != path:
            with pytest.raises(Malformed):
                root_by_inclusion(entries[index], index, len(entries), wrong)


@given(ENTRIES, st.data())
def test_an_older_tree_is_proven_to_be_the_beginning(entries: list[bytes], data: st.DataObject) -> None:
    older = data.draw(st.integers(1, len(entries)))
    path = consistency_proof(entries, older)
    assert list(path) == subproof(older, entries, True)
    before, after = root_by_consistency(older, mth(entries[:older]), len(entries), path)
    assert (before, after) == (mth(entries[:older]), mth(entries))
    with pytest.raises(Malformed):
        root_by_consistency(older, mth(entries[:older]), len(entries), (*path, bytes(32)))


@given(ENTRIES)
def test_a_frontier_is_read_back_as_it_was(entries: list[bytes]) -> None:
    frontier = Frontier(entries)
    again = Frontier.parse(frontier.encode())
    copy = frontier.copy()
    for each in (again, copy):
        each.append(b"next")
        assert each.root == mth([*entries, b"next"])
    assert frontier.root == mth(entries)


def test_a_frontier_with_a_peak_too_few_or_too_many_is_refused() -> None:
    whole = Frontier([b"a", b"b", b"c"]).encode()
    assert whole[:3] == b"\x82\x03\x82"
    for size in (0, 1, 2, 4, 7):
        with pytest.raises(Malformed):
            Frontier.parse(bytes((0x82, size)) + whole[2:])


def test_places_outside_the_tree_have_no_proof() -> None:
    for index in (-1, 2):
        with pytest.raises(IndexError):
            inclusion_proof([b"a", b"b"], index)
        with pytest.raises(Malformed):
            root_by_inclusion(b"a", index, 2, [])
    for older in (0, 3):
        with pytest.raises(IndexError):
            consistency_proof([b"a", b"b"], older)
        with pytest.raises(Malformed):
            root_by_consistency(older, bytes(32), 2, [])
    for older in (2, 3):
        with pytest.raises(Malformed):
            root_by_consistency(older, bytes(32), 4, [])
