"""Arguments against signatures: nothing converted in silence, nothing accepted that was not asked for."""

from collections.abc import Callable
from typing import Any, Literal, Optional, Union

import pytest

from intaglio.enclave.arguments import ArgumentError, Signature
from intaglio.enclave.values import Plain


def bound(function: Callable[..., object], *args: Plain, **kwargs: Plain) -> tuple[tuple[Any, ...], dict[str, Any]]:
    result = Signature(function).bind(list(args), dict(kwargs))
    return result.args, result.kwargs


def takes(annotation: object) -> Callable[..., object]:
    def function(value: object) -> None: ...

    function.__annotations__ = {"value": annotation}
    return function


@pytest.mark.parametrize(
    ("annotation", "value", "seen"),
    [
        (int, 1, 1),
        (bool, True, True),
        (float, 1.5, 1.5),
        (float, 2, 2.0),
        (str, "a", "a"),
        (bytes, b"a", b"a"),
        (None, None, None),
        (Any, [1], [1]),
        (object, {"a": 1}, {"a": 1}),
        (list, [1, "a"], [1, "a"]),
        (tuple, [1, 2], (1, 2)),
        (dict, {1: 2}, {1: 2}),
        (list[int], [1, 2], [1, 2]),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (dict[str, list[int]], {"a": [1]}, {"a": [1]}),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (tuple[int, ...], [], ()),
        (int | None, None, None),
        (Optional[str], "a", "a"),  # noqa: UP045 - the old spelling must work, too
        (Union[int, str], "a", "a"),  # noqa: UP007
        (Literal["on", "off"], "on", "on"),
    ],
)
def test_what_fits_passes(annotation: object, value: Plain, seen: object) -> None:
    args, _ = bound(takes(annotation), value)
    assert args == (seen,)
    assert type(args[0]) is type(seen)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, True), (int, 1.0), (int, "1"), (int, None), (bool, 1), (bool, 0), (float, "1"), (float, True),
        (str, b"a"),
        (bytes, "a"), (None, 0), (list, (1,)), (list, {"a": 1}), (list[int], [1, "a"]), (list[int], 1),
        (dict[str, int], {"a": "b"}), (dict[str, int], {1: 1}), (dict, []), (tuple[int, str], [1]),
        (tuple[int, str], [1, "a", 2]), (tuple[int, ...], [1, "a"]), (int | None, "a"), (Literal["on"], "off"),
        (Literal[1], True), (list[list[int]], [[1], [None]]), (str, 2**63),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(annotation: object, value: Plain) -> None:
    with pytest.raises(ArgumentError, match="value"):
        bound(takes(annotation), value)


def test_a_float_from_an_integer_of_any_size() -> None:
    args, _ = bound(takes(float), 2**64 - 1)
    assert args == (float(2**64 - 1),)


def test_names_defaults_and_stars() -> None:
    def function(a: int, /, b: int = 2, *rest: str, c: int, **more: float) -> None: ...

    assert bound(function, 1, c=3) == ((1,), {"c": 3})
    assert bound(function, 1, 5, "x", "y", c=3, d=4) == ((1, 5, "x", "y"), {"c": 3, "d": 4.0})
    for args, kwargs in (((), {"c": 3}), ((1,), {}), ((1, 2, 3), {"c": 3}), ((1,), {"c": 3, "d": "x"})):
        with pytest.raises(ArgumentError):
            bound(function, *args, **kwargs)


@pytest.mark.parametrize("annotation", [set, complex, set[int], Callable[[], int], type[int], list[set[int]]])
def test_an_annotation_that_nothing_satisfies_is_refused_at_once(annotation: object) -> None:
    with pytest.raises(TypeError, match="value: no argument from outside"):
        Signature(takes(annotation))
