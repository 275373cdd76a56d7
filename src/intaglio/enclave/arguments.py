"""Arguments from the host, checked against a function's signature and annotations before the function sees them.

Only annotations that a CBOR value can have are allowed, and a function with any other is refused when it is
registered, not when it is called. Nothing is converted except array to tuple (where annotated) and int to float.
"""

import inspect
import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from intaglio.enclave.values import Plain
from intaglio.errors import IntaglioError

__all__ = ["ArgumentError", "Signature"]

_SCALARS = (bool, int, float, str, bytes, type(None))


class ArgumentError(IntaglioError):
    """The arguments of a call do not fit its function. The data centre reads this; the host does not."""


class Signature:
    """What a call accepts."""

    def __init__(self, function: Callable[..., object]) -> None:
        """Raises TypeError for an annotation that no argument from outside can satisfy."""
        self._signature = inspect.signature(function)
        self._hints = get_type_hints(function)
        for name in self._signature.parameters:
            if name in self._hints:
                _check_annotation(self._hints[name], name)

    def bind(self, args: list[Plain], kwargs: dict[str, Plain]) -> inspect.BoundArguments:
        """Raises `ArgumentError` for a wrong number, name or type."""
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(str(error)) from error
        for name, value in bound.arguments.items():
            hint = self._hints.get(name, Any)
            match self._signature.parameters[name].kind:
                case inspect.Parameter.VAR_POSITIONAL:
                    bound.arguments[name] = tuple(_fit(item, hint, name) for item in value)
                case inspect.Parameter.VAR_KEYWORD:
                    bound.arguments[name] = {key: _fit(item, hint, key) for key, item in value.items()}
                case _:
                    bound.arguments[name] = _fit(value, hint, name)
        return bound


def _check_annotation(hint: Any, name: str) -> None:
    if hint is Any or hint is object or hint in (*_SCALARS, list, dict, tuple, None):
        return
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return
    if origin in (list, dict, tuple, Union, types.UnionType):
        for part in inner:
            if part is not Ellipsis:
                _check_annotation(part, name)
        return
    raise TypeError(
        f"{name}: no argument from outside can be a {hint}: use None, bool, int, float, str, bytes, list, tuple or dict"
    )


def _fit(value: Any, hint: Any, name: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return value
    if origin in (Union, types.UnionType):
        return _fit_any(value, inner, hint, name)
    if origin is Literal:
        if any(value == option and type(value) is type(option) for option in inner):
            return value
    elif origin is None:
        kind = type(None) if hint is None else hint
        if type(value) is kind:
            return value
        if kind is tuple and type(value) is list:
            return tuple(value)
        if kind is float and type(value) is int:
            return _as_float(value, name)
    elif origin is list and type(value) is list:
        return [_fit(item, inner[0], f"{name}[{index}]") for index, item in enumerate(value)]
    elif origin is dict and type(value) is dict:
        return {
            _fit(key, inner[0], f"{name} key"): _fit(item, inner[1], f"{name}[{key!r}]") for key, item in value.items()
        }
    elif origin is tuple and type(value) is list:
        return _fit_tuple(value, inner, name)
    raise ArgumentError(f"{name}: need {_named(hint)}, found {type(value).__name__}")


def _fit_any(value: Any, options: tuple[Any, ...], hint: Any, name: str) -> Any:
    for option in options:
        try:
            return _fit(value, option, name)
        except ArgumentError:
            continue
    raise ArgumentError(f"{name}: need {_named(hint)}, found {type(value).__name__}")


def _fit_tuple(value: list[Any], inner: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    if len(inner) == 2 and inner[1] is Ellipsis:
        inner = (inner[0],) * len(value)
    if len(inner) != len(value):
        raise ArgumentError(f"{name}: need {len(inner)} items, found {len(value)}")
    return tuple(
        _fit(item, part, f"{name}[{index}]") for index, (item, part) in enumerate(zip(value, inner, strict=True))
    )


def _as_float(value: int, name: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ArgumentError(f"{name}: too large for a float") from error


def _named(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
