"""Read a pickle that a stranger made: numpy arrays and plain containers, and nothing else.

A pickle is a program, which Python's own reader runs, and which may call anything. Here its instructions are taken one
at a time, by the standard library's parser (pickletools); those that call something are done for numpy's few functions
that make an array, by code of ours that checks sizes before it allocates. All else is refused by its name.
"""

from __future__ import annotations

import math
import os
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predspace_widgets.trajectories.importers.report import Report
from predspace_widgets.trajectories.schema import is_int64
from predspace_widgets.trajectories.text_files import shown

#: Largest file that is read: a picture of 100,000 checkpoints on 100 axes has 80 MB.
MAX_BYTES = 128 * 2**20
_MOST_INSTRUCTIONS = 500_000
_BYTES_OF_A_VALUE = 8  # so there are no more in all arrays and containers together, each as often as it is met
_DEEPEST = 16
_MOST_DIMENSIONS = 8

_DTYPES = re.compile(r"([biufcSU])(\d{1,6})")
_ORDERS = ("<", ">", "=", "|")


class RefusedPickleError(ValueError):
    """A pickle holds what is neither a numpy array nor a plain container, is damaged, or larger than it may be."""


def read_pickle(path: str | os.PathLike[str], report: Report | None = None, max_bytes: int = MAX_BYTES) -> Any:
    """What a pickle holds: dicts, lists, tuples, text, numbers and numpy arrays of numbers and text.

    Parameters
    ----------
    path : path
    report : Report, optional
        Is told what was read otherwise than it was written.
    max_bytes : int
        A larger file is refused before it is read.

    Returns
    -------
    object
        Arrays are read-only. Those of numpy's dtype object become lists, if all that they hold is plain.

    Raises
    ------
    RefusedPickleError
        It holds anything else, is damaged, or has more numbers or is nested deeper than a picture can be.

    Examples
    --------
    >>> import pickle, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "picture.pkl"
    ...     size = path.write_bytes(pickle.dumps({"tasks": ["dogs"], "eigen_values": np.array([2.0, 1.0])}))
    ...     read_pickle(path)
    {'tasks': ['dogs'], 'eigen_values': array([2., 1.])}
    """
    where = Path(path)
    if not where.is_file():  # a FIFO would wait for ever, a device has no end
        raise RefusedPickleError(f"{where} is no file")
    with where.open("rb") as file:
        if os.fstat(file.fileno()).st_size > max_bytes:
            raise RefusedPickleError(
                f"{where} is larger than the {max_bytes / 1e6:,.0f} MB that a picture may have: --max-size allows more"
            )
        data = file.read(max_bytes)
    try:
        value, end = _run(data)
        plain = _Resolver(max_bytes // _BYTES_OF_A_VALUE).resolve(value)
    except RefusedPickleError as error:
        raise RefusedPickleError(f"{where} {error}") from None
    except Exception as error:  # the parser and numpy raise many kinds on a damaged file
        raise RefusedPickleError(f"{where} cannot be read as a pickle: {_one_line(error)}") from error
    if report is not None and end < len(data):
        report.note(f"{len(data) - end:,} bytes follow the pickle and are not read")
    return plain


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


# -- arrays that are being made ----------------------------------------------------------------------------------------


class _Global:
    """The name of something in a module, which is not imported."""

    def __init__(self, module: str, name: str) -> None:
        self.name = f"{module}.{name}"


class _Dtype:
    """A dtype, of which the byte order is set after it was made."""

    def __init__(self, code: Any, *_flags: Any) -> None:
        if code != "O8" and code != "O" and not (isinstance(code, str) and _DTYPES.fullmatch(code)):
            raise RefusedPickleError(f"holds an array of dtype {shown(code)}: only numbers and text are read")
        self.code, self.order = code, "="

    def set_state(self, state: Any) -> None:
        _version, order, subarray, names, fields = state[:5]
        if order not in _ORDERS or subarray is not None or names is not None or fields is not None:
            raise RefusedPickleError("holds an array of records: only numbers and text are read")
        self.order = order

    @property
    def is_object(self) -> bool:
        return bool(self.code.startswith("O"))

    def numpy(self) -> np.dtype[Any]:
        dtype = np.dtype(self.order + self.code)
        if not dtype.itemsize:
            raise RefusedPickleError("holds text of no length")
        return dtype


class _Array:
    """An array, which is empty until its state is set."""

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def set_state(self, state: Any) -> None:
        _version, shape, dtype, is_fortran, content = state
        self.value = _array(content, dtype, shape, "F" if is_fortran else "C")


def _array(content: Any, dtype: Any, shape: Any, order: Any = "C") -> NDArray[Any] | list[Any]:
    """An array of its bytes; what numpy calls an array of objects is a list here."""
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not isinstance(dtype, _Dtype) or len(sizes) > _MOST_DIMENSIONS or not all(_is_size(size) for size in sizes):
        raise RefusedPickleError(f"holds an array of shape {shown(shape)}: that is none")
    count = math.prod(sizes)
    if dtype.is_object:
        if not isinstance(content, list) or len(sizes) != 1 or len(content) != count:
            raise RefusedPickleError(f"holds an array of objects of shape {shown(shape)}: only a list is read")
        return content
    numbers = dtype.numpy()
    if not isinstance(content, bytes | bytearray) or len(content) != count * numbers.itemsize:
        there = f"{len(content):,} bytes" if isinstance(content, bytes | bytearray) else type(content).__name__
        raise RefusedPickleError(
            f"declares an array of shape {shown(shape)}, {count * numbers.itemsize:,} bytes, and holds {there}"
        )
    values = np.frombuffer(content, numbers).reshape(sizes, order="F" if order == "F" else "C")
    values.flags.writeable = False
    return values


def _is_size(size: Any) -> bool:
    return isinstance(size, int) and 0 <= size <= 2**40


def _reconstruct(*_: Any) -> _Array:
    """An array without values, whatever kind and shape it is said to have: its state has the right ones."""
    return _Array()


def _scalar(dtype: Any, content: Any) -> _Array:
    if isinstance(dtype, _Dtype) and dtype.is_object:
        raise RefusedPickleError("holds a number of dtype object: only numbers and text are read")
    value = _array(content, dtype, ())
    return _Array(value[()])  # type: ignore[call-overload]


def _bytes_of(text: Any, encoding: Any) -> bytes:
    """How old protocols write bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise RefusedPickleError("holds bytes in an encoding that pickles do not use")
    return text.encode("latin1")


def _ordered_dict() -> dict[str, Any]:
    return {}


_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")  # of numpy 1 and 2
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_BUILTINS = ("builtins", "__builtin__")
#: What may be called, by the name that a pickle has for it.
_CALLS: dict[str, Callable[..., Any]] = {
    **{f"{module}._reconstruct": _reconstruct for module in _MULTIARRAY},
    **{f"{module}.scalar": _scalar for module in _MULTIARRAY},
    **{f"{module}._frombuffer": lambda *arguments: _Array(_array(*arguments)) for module in _NUMERIC},
    "numpy.dtype": _Dtype,
    "_codecs.encode": _bytes_of,
    "collections.OrderedDict": _ordered_dict,
    **{f"{module}.complex": lambda real, imaginary: complex(real, imaginary) for module in _BUILTINS},
    **{f"{module}.bytes": lambda: b"" for module in _BUILTINS},  # protocols 0 to 2 write empty ones so
}
_KNOWN = {*_CALLS, "numpy.ndarray"}


# -- instructions ------------------------------------------------------------------------------------------------------


class _Mark:
    pass


_PUSHED = {  # instructions that bring their value along
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "MARK": _Mark,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """The stack and the memory of a pickle that is being read."""

    def __init__(self, n_bytes: int) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.n_left = n_bytes  # that may yet be made of text: each byte of the file gives one at most

    def step(self, name: str, argument: Any) -> None:
        if name in _PUSHED:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _TUPLES:
            self.stack.append(tuple(self.pop(_TUPLES[name])))
        elif name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[len(self.memo) if name == "MEMOIZE" else int(argument)] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[int(argument)])
        elif (done := getattr(self, f"do_{name.lower()}", None)) is not None:
            done(argument)
        elif name not in ("PROTO", "FRAME"):
            raise RefusedPickleError(f"has the instruction {name}, which arrays and plain containers do not need")

    def pop(self, n: int) -> list[Any]:
        if n > len(self.stack):
            raise RefusedPickleError("is damaged: it takes more from its stack than is there")
        values, self.stack[len(self.stack) - n :] = self.stack[len(self.stack) - n :], []
        return values

    def pop_to_mark(self) -> list[Any]:
        at = next(n for n, value in enumerate(reversed(self.stack)) if isinstance(value, _Mark))
        return self.pop(at + 1)[1:]

    def do_pop(self, _: Any) -> None:
        self.pop(1)

    def do_dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def do_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.pop_to_mark()))

    def do_list(self, _: Any) -> None:
        self.stack.append(self.pop_to_mark())

    def do_append(self, _: Any) -> None:
        self.extend(self.pop(1))

    def do_appends(self, _: Any) -> None:
        self.extend(self.pop_to_mark())

    def extend(self, values: list[Any]) -> None:
        _expect(self.stack[-1], list).extend(values)

    def do_dict(self, _: Any) -> None:
        values = self.pop_to_mark()
        self.stack.append({})
        self.update(values)

    def do_setitem(self, _: Any) -> None:
        self.update(self.pop(2))

    def do_setitems(self, _: Any) -> None:
        self.update(self.pop_to_mark())

    def update(self, values: list[Any]) -> None:
        items = _expect(self.stack[-1], dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | int | float):  # the hash of a deep tuple would end the process
                raise RefusedPickleError(f"has a {type(key).__name__} as the key of a dict: only text and numbers are")
            items[key] = value

    def do_global(self, argument: str) -> None:
        self.stack.append(_known(*argument.split(" ", 1)))

    def do_stack_global(self, _: Any) -> None:
        self.stack.append(_known(*map(str, self.pop(2))))

    def do_reduce(self, _: Any) -> None:
        function, arguments = self.pop(2)
        name = _expect(function, _Global).name
        if name not in _CALLS:
            raise RefusedPickleError(f"calls {name}, which is not called where an array is made")
        made = _CALLS[name](*_expect(arguments, tuple))
        self.n_left -= len(made) if isinstance(made, bytes) else 0
        if self.n_left < 0:
            raise RefusedPickleError("makes more bytes of its text than it has")
        self.stack.append(made)

    def do_build(self, _: Any) -> None:
        (state,) = self.pop(1)
        if not isinstance(self.stack[-1], _Array | _Dtype):
            raise RefusedPickleError(f"sets the state of a {type(self.stack[-1]).__name__}, which has none")
        self.stack[-1].set_state(_expect(state, tuple))


def _known(module: str, name: str) -> _Global:
    found = _Global(module, name)
    if found.name not in _KNOWN:
        raise RefusedPickleError(
            f"holds {found.name[:100]}, which is neither a numpy array nor a plain container: refused, and not run"
        )
    return found


def _expect(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise RefusedPickleError(f"is damaged: a {type(value).__name__} stands where a {kind.__name__} must")
    return value


def _run(data: bytes) -> tuple[Any, int]:
    """What a pickle leaves on its stack, and where it ends."""
    machine = _Machine(len(data))
    for n, (instruction, argument, place) in enumerate(pickletools.genops(data)):
        if n >= _MOST_INSTRUCTIONS:
            raise RefusedPickleError(f"has more than {_MOST_INSTRUCTIONS:,} instructions: no picture needs so many")
        if instruction.name == "STOP":
            (value,) = machine.pop(1)
            return value, int(place or 0) + 1
        machine.step(instruction.name, argument)
    raise RefusedPickleError("is damaged: it has no end")


# -- what was made -----------------------------------------------------------------------------------------------------


class _Resolver:
    """Puts arrays into the place of what made them, and counts all that there is.

    What is there several times is resolved once, but counts each time: a list of ten of a list of ten of ... is short
    to write, and endless to go through.
    """

    def __init__(self, most_values: int) -> None:
        self.most_values = most_values
        self.done: dict[int, tuple[Any, int]] = {}  # by id: the value, how many values it holds

    def resolve(self, value: Any) -> Any:
        return self._resolved(value, 0)[0]

    def _resolved(self, value: Any, depth: int) -> tuple[Any, int]:
        if isinstance(value, int) and not is_int64(value):
            raise RefusedPickleError("holds a number of more than 64 bits")
        if value is None or isinstance(value, bool | int | float | complex | str | bytes | bytearray):
            return value, 1
        if depth > _DEEPEST:
            raise RefusedPickleError(f"is nested deeper than {_DEEPEST} containers")
        if id(value) not in self.done:
            plain, size = self._container(value, depth)
            if size > self.most_values:
                raise RefusedPickleError(f"holds more than {self.most_values:,} values: --max-size allows more")
            self.done[id(value)] = plain, size
        return self.done[id(value)]

    def _container(self, value: Any, depth: int) -> tuple[Any, int]:
        if isinstance(value, _Array):
            if isinstance(value.value, list):
                return self._resolved(value.value, depth + 1)
            if value.value is None:
                raise RefusedPickleError("is damaged: it holds an array without its values")
            return value.value, int(np.size(value.value)) or 1
        if isinstance(value, dict):
            plain, size = self._container(list(value.values()), depth)
            return dict(zip(value, plain, strict=True)), size
        if isinstance(value, list | tuple):
            parts = [self._resolved(part, depth + 1) for part in value]
            return type(value)(part for part, _ in parts), 1 + sum(size for _, size in parts)
        raise RefusedPickleError(f"holds a {type(value).__name__.strip('_').lower()} by itself, which is no data")
