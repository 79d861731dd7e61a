"""Settings from a recipe file: mappings read into dataclasses, with errors that name the nearest key that exists."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from predspace_widgets.trajectories.text_files import shown

Settings = TypeVar("Settings")

_MOST_NAMES = 30  # in a message
_TYPE_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def check_name(name: Any, known: Iterable[str], what: str, where: str = "") -> None:
    """Raise ValueError, naming the nearest one and all others, unless a name is known.

    Parameters
    ----------
    name : str
    known : iterable of str
    what, where : str
        What it names, and in which place, for the message.

    Raises
    ------
    ValueError
        The name is not known.

    Examples
    --------
    >>> check_name("digts", ["digits", "faces"], "dataset")
    Traceback (most recent call last):
    ...
    ValueError: unknown dataset 'digts': did you mean 'digits'? Known: digits, faces
    """
    names = list(known)
    if name not in names:
        nearest = difflib.get_close_matches(name, names, n=1) if isinstance(name, str) else []
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        place = f" in {where}" if where else ""
        more = f", … ({len(names)} in all)" if len(names) > _MOST_NAMES else ""
        raise ValueError(f"unknown {what} {shown(name)}{place}: {hint}Known: {', '.join(names[:_MOST_NAMES])}{more}")


def read_settings(kind: type[Settings], values: Any, where: str, **given: Any) -> Settings:
    """A dataclass of settings from a mapping of a recipe file; its fields that are dataclasses are mappings again.

    Parameters
    ----------
    kind : dataclass
        Its fields are the keys; those without a default are needed.
    values : mapping, or None for an empty one
    where : str
        Place in the recipe, for the messages.
    **given
        Fields that are set here and are no keys.

    Returns
    -------
    kind

    Raises
    ------
    ValueError
        No mapping, an unknown or a missing key, a value of another type than the field's, or one that the dataclass
        refuses.

    Examples
    --------
    >>> from predspace_widgets.training.imprint import ImprintSettings
    >>> read_settings(ImprintSettings, {"temperature": 1}, "imprint").temperature
    1.0
    >>> read_settings(ImprintSettings, {"temprature": 1}, "imprint")
    Traceback (most recent call last):
    ...
    ValueError: unknown key 'temprature' in imprint: did you mean 'temperature'? Known: temperature, scale
    """
    values = {} if values is None else values
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} must be a mapping of keys to values, got {shown(values)}")
    keys = {field.name: field for field in fields(kind) if field.name not in given}  # type: ignore[arg-type]
    for key in values:
        check_name(key, keys, "key", where)
    for key, field in keys.items():
        if key not in values and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"the key {key!r} is missing in {where}")
    types = get_type_hints(kind)
    converted = {key: convert(value, types[key], f"{where}, {key}") for key, value in values.items()}
    try:
        return kind(**converted, **given)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def convert(value: Any, kind: Any, where: str) -> Any:
    """The value as the type of its field: number, text, choice, settings, tuple of them, or None where that may be."""
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return value if isinstance(value, cast(type, kind)) else read_settings(cast(type, kind), value, where)
    if origin is UnionType:
        wanted = next(part for part in parts if part is not NoneType)
        return None if value is None else convert(value, wanted, where)
    if origin is Literal:
        check_name(value, parts, "value", where)
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{where} must be a list, got {shown(value)}")
        return tuple(convert(item, parts[0], where) for item in value)
    if origin is Mapping:
        return value
    if kind is float and not isinstance(value, bool):
        with suppress(TypeError, ValueError):
            return float(value)  # also 5e-4, which without a point is a text in YAML
    if kind is str and type(value) is int:
        return str(value)  # class names that are numbers
    if type(value) is not kind:
        raise ValueError(f"{where} must be {_TYPE_NAMES[kind]}, got {shown(value)}")
    return value
