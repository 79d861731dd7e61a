"""Grids: what a recipe varies between runs of one method, in every combination of the values of each block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from itertools import product
from math import prod
from typing import Any

from predspace_widgets.training.settings import check_name, convert
from predspace_widgets.trajectories.attributes import text_of
from predspace_widgets.trajectories.text_files import shown

_MOST = 10_000  # combinations of a grid

#: Values of each factor by what an attribute of runs calls them.
Block = Mapping[str, Mapping[Any, Any]]


def read_grid(given: Any, kinds: Mapping[str, Any], where: str) -> tuple[Block, ...]:
    """The blocks of a grid as a recipe file has them.

    Parameters
    ----------
    given : mapping, or list of mappings
        Each block has a list of values for each factor that it varies, or a mapping of names to values.
    kinds : mapping of str to type
        What there is to vary, and of which type its values are.
    where : str
        Place in the recipe, for the messages.

    Returns
    -------
    tuple of mappings
        Of each block: of each factor: its values by what they are called.

    Raises
    ------
    ValueError
        Neither; an unknown factor; no value, one twice or of another type.

    Examples
    --------
    >>> read_grid({"batch_size": [16, 64], "learning_rate": ["5e-2"]}, {"batch_size": int, "learning_rate": float}, "")
    ({'batch_size': {16: 16, 64: 64}, 'learning_rate': {0.05: 0.05}},)
    """
    blocks = given if isinstance(given, list | tuple) else [given]
    if not blocks or not all(isinstance(block, Mapping) and block for block in blocks):
        raise ValueError(
            f"{where} must be a mapping of settings to lists of values, or a list of such, got {shown(given)}"
        )
    read = []
    for block in blocks:
        for factor in block:
            check_name(factor, kinds, "setting", where)
        read.append({factor: _values(values, kinds[factor], f"{where}, {factor}") for factor, values in block.items()})
    return tuple(read)


def _values(given: Any, kind: Any, where: str) -> dict[Any, Any]:
    """The values of a factor by what they are called: themselves, where they have no names."""
    if isinstance(given, Mapping):
        named = [(str(name), convert({} if value is None else value, kind, where)) for name, value in given.items()]
    elif is_dataclass(kind):
        raise ValueError(f"{where} must be a mapping of names to settings, got {shown(given)}")
    elif isinstance(given, list | tuple):
        named = [(value, value) for value in (convert(value, kind, where) for value in given)]
    else:
        raise ValueError(f"{where} must be a list of values, or a mapping of names to values, got {shown(given)}")
    values = dict(named)
    if not values or len(values) < len(named):
        raise ValueError(f"{where} needs at least one value and none twice, got {shown(given)}")
    return values


def combinations(blocks: tuple[Block, ...], own: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every combination of the values of a block, of one block after the other; one that two blocks have, twice.

    Parameters
    ----------
    blocks : tuple of mappings
        See `read_grid`.
    own : mapping
        The value of each factor where a block does not vary it.

    Yields
    ------
    names : dict of str to str or number
        What the values of all factors of the grid are called.
    values : dict
        The values themselves.

    Raises
    ------
    ValueError
        A block leaves a factor out, and its own value has no name in the others; or there are too many.

    Examples
    --------
    >>> blocks = ({"width": {4: 4, 8: 8}}, {"rate": {0.1: 0.1}})
    >>> [names for names, _ in combinations(blocks, {"width": 8, "rate": 0.2})]
    [{'width': 4, 'rate': 0.2}, {'width': 8, 'rate': 0.2}, {'width': 8, 'rate': 0.1}]
    """
    if sum(prod(map(len, block.values())) for block in blocks) > _MOST:
        raise ValueError(f"the grid has more than {_MOST:,} combinations")
    factors = dict.fromkeys(factor for block in blocks for factor in block)
    for block in blocks:
        of_factors = [block.get(factor) or _own(factor, own[factor], blocks) for factor in factors]
        for chosen in product(*(values.items() for values in of_factors)):
            names = dict(zip(factors, (name for name, _ in chosen), strict=True))
            yield names, dict(zip(factors, (value for _, value in chosen), strict=True))


def _own(factor: str, value: Any, blocks: tuple[Block, ...]) -> dict[Any, Any]:
    """The one value of a factor in a block that does not vary it, by its name."""
    known = [(name, other) for block in blocks for name, other in block.get(factor, {}).items()]
    for name, other in known:
        if other == value:
            return {name: value}
    if all(name == other for name, other in known):
        return {value: value}
    raise ValueError(f"every block of the grid must say {factor!r}: what the method has itself has no name in the grid")


def to_plain(blocks: tuple[Block, ...]) -> list[dict[str, Any]]:
    """The blocks as a recipe file holds them."""
    return [
        {
            factor: {name: _plain(value) for name, value in values.items()}
            if any(value != name for name, value in values.items())
            else list(values)
            for factor, values in block.items()
        }
        for block in blocks
    ]


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def suffix(names: Mapping[str, Any]) -> str:
    """What the name of a run has after task, method and seed.

    Examples
    --------
    >>> suffix({"architecture": "mlp", "batch_size": 16})
    '/architecture=mlp/batch_size=16'
    """
    return "".join(f"/{factor}={text_of(name)}" for factor, name in names.items())
