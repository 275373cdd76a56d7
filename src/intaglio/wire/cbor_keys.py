"""One look at CBOR before a general decoder builds it: are all map keys scalars?

Python hashes numbers and tuples of numbers the same way in every process, so whoever writes a map with arrays as keys
can give them all one hash: the time to build it grows with the square of its size, 84 kB take most of a second.
Strings are hashed with a secret, and numbers of 64 bits share a hash with a handful of others at most.
"""

__all__ = ["check_keys"]

_BYTES, _TEXT, _ARRAY, _MAP, _TAG, _OTHER = 2, 3, 4, 5, 6, 7


def check_keys(data: bytes, max_depth: int) -> None:
    """Raises ValueError for a key that is an array or a map, and for what this look can't follow: tags, indefinite
    lengths, too many levels, an end that comes too early. It promises nothing about the rest."""
    at = 0
    left, is_map = [1], [False]
    while left:
        if not left[-1]:
            left.pop()
            is_map.pop()
            continue
        is_key = is_map[-1] and left[-1] % 2 == 0
        left[-1] -= 1
        major, argument, at = _head(data, at)
        if major == _TAG or (is_key and major in (_ARRAY, _MAP)):
            raise ValueError("a tag, or a key that is no number and no string")
        if major in (_BYTES, _TEXT):
            at += argument
        elif major in (_ARRAY, _MAP):
            left.append(argument * (major - 3))
            is_map.append(major == _MAP)
            if len(left) > max_depth + 1:
                raise ValueError(f"nested deeper than {max_depth} levels")
    if at > len(data):
        raise ValueError("it ends too early")


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Major type and argument of the head at `at`, and where it ends."""
    if at >= len(data):
        raise ValueError("it ends too early")
    major, argument = data[at] >> 5, data[at] & 0x1F
    at += 1
    if argument < 24:
        return major, argument, at
    if argument > 27:
        raise ValueError("an indefinite length, or a head that is not used here")
    size = 1 << argument - 24
    return major, int.from_bytes(data[at : at + size], "big"), at + size
