"""What is not installed is named with the extra that brings it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

#: Packages of extras, as they are imported; one that is not here and not there is an error of the installation.
EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "sklearn": "train",
    "distributed": "cluster",
    "jupyterlab": "lab",
    "lightning": "lightning",
    "accelerate": "huggingface",
    "transformers": "huggingface",
    "hdf5plugin": "import",
    "safetensors": "import",
    "cryptography": "oauth",
}


class MissingExtraError(ModuleNotFoundError):
    """A package is not installed; the message names what needs it, and the extra that brings it."""


def lacking(what: str, package: str, extra: str | None = None) -> str:
    """One line: what needs a package that is not there, and what to do.

    Examples
    --------
    >>> lacking("recording", "torch")
    'recording needs torch: pip install "predspace-widgets[train]"'
    """
    return f'{what} needs {package}: pip install "predspace-widgets[{extra or EXTRAS[package]}]"'


@contextmanager
def needs(what: str, extra: str | None = None) -> Iterator[None]:
    """Name the extra where an import of one of its packages fails.

    Parameters
    ----------
    what : str
        Begins the message: what cannot be done.
    extra : str, optional
        The one to install, where it is another than that of the package that is not there.

    Raises
    ------
    MissingExtraError
        Instead of the `ModuleNotFoundError` of a package of an extra. Other errors are left as they are.

    Examples
    --------
    >>> with needs("recording"):
    ...     import json
    """
    try:
        yield
    except MissingExtraError:
        raise
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise MissingExtraError(lacking(what, package, extra), name=error.name) from error
