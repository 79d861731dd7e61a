"""The choices of an explorer to be kept and handed on: as an address, as code, as one file.

The front end has a twin of `to_query` and `from_query`.
"""

from __future__ import annotations

import base64
import json
import keyword
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote, unquote

from predspace_widgets.explorers.session import Session
from predspace_widgets.explorers.stage.stage import module, plotly_script, style

# What `encodeURIComponent` leaves as it is beside letters, digits and "-_.~", and what is put back to be readable.
_AS_THEY_ARE = "!*'()" + ",:"
_MOST_CHARACTERS = 100_000  # of a query: no address is so long
_LINE = 120


def to_query(settings: dict[str, Any]) -> str:
    """Settings as the query of an address, "?name=value&name=value", or "" where there are none.

    The format, which the front end writes and reads too:

    - A string stands as it is, unless it is itself JSON (such as 12, true, null or [1]) or cannot be encoded as UTF-8
      (half of a surrogate pair): then it stands as JSON, within quotes.
    - All else stands as JSON without spaces. A number that is whole has no decimal point (12, not 12.0). JSON is what
      `JSON.parse` takes: neither NaN nor Infinity, which are strings here.
    - Names and values are encoded as by `encodeURIComponent`, but for "," and ":", which stay.

    Parameters
    ----------
    settings : dict
        Plain JSON values by name, with finite numbers.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        A number that is not finite.
    TypeError
        What JSON does not have.

    Examples
    --------
    >>> to_query({"dimensions": "2-D", "time": 12.0, "seeds": [0, 1], "epochs": [0.0, 2.5]})
    '?dimensions=2-D&time=12&seeds=%5B0,1%5D&epochs=%5B0,2.5%5D'
    >>> to_query({"a": "12"})
    '?a=%2212%22'
    """
    parts = [f"{_encoded(name)}={_encoded(_text_of(value))}" for name, value in settings.items()]
    return "?" + "&".join(parts) if parts else ""


def from_query(query: str) -> dict[str, Any]:
    """Settings from the query of an address, the inverse of `to_query`; whatever it holds, no error.

    Parts are between "&"; a name ends at the first "=", and without one the value is "". A "+" is a space. What is no
    JSON is a string. Of several values of one name the last counts. A "?" in front is left out.

    Parameters
    ----------
    query : str
        Of anybody: what it says is still to be read by `ExplorerState.apply`.

    Returns
    -------
    dict of str to JSON values

    Examples
    --------
    >>> from_query('?dimensions=2-D&curves=["even","odd"]&time=12.5&x=%zz')
    {'dimensions': '2-D', 'curves': ['even', 'odd'], 'time': 12.5, 'x': '%zz'}
    """
    if len(query) > _MOST_CHARACTERS:
        return {}
    settings = {}
    for part in query.removeprefix("?").split("&"):
        if part:
            name, _, value = part.partition("=")
            settings[_decoded(name)] = _value_of(_decoded(value))
    return settings


def code_of(settings: dict[str, Any], source: str | None, view: str = "inpca") -> str:
    """Python that opens the dataset, makes an explorer with these settings and gives a figure.

    Parameters
    ----------
    settings : dict
        Plain values by name, from `ExplorerState.settings`.
    source : str or None
        Path of the dataset; None is the demo.
    view : str
        Which figure.

    Returns
    -------
    str
        Lines of code. Values are literals: no name in them is ever code.

    Raises
    ------
    ValueError
        A name that is no keyword of a call, or a number that is not finite.
    TypeError
        A value that is not plain.

    Examples
    --------
    >>> print(code_of({"curves": ["even", "odd"], "dimensions": "2-D"}, None))
    import predspace_widgets as pw
    <BLANKLINE>
    ds = pw.demo()
    explorer = pw.Explorer(ds, curves=['even', 'odd'], dimensions='2-D')
    explorer.figure('inpca')
    """
    unfit = [name for name in settings if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name)]
    if unfit:
        raise ValueError(f"{unfit[0]!r} is no choice of an explorer")
    opened = "pw.demo()" if source is None else f"pw.open_trajectories({_literal(source)})"
    arguments = ["ds", *(f"{name}={_literal(value)}" for name, value in settings.items())]
    call = f"explorer = pw.Explorer({', '.join(arguments)})"
    if len(call) > _LINE:
        call = "\n".join(["explorer = pw.Explorer(", *(f"    {argument}," for argument in arguments), ")"])
    return "\n".join(
        ["import predspace_widgets as pw", "", f"ds = {opened}", call, f"explorer.figure({_literal(view)})"]
    )


# -- an address -----------------------------------------------------------------------------------------------------


def _encoded(text: str) -> str:
    return quote(text, safe=_AS_THEY_ARE)


def _decoded(text: str) -> str:
    return unquote(text.replace("+", " "), errors="replace")


def _text_of(value: Any) -> str:
    if isinstance(value, str) and _is_encodable(value) and not _may_be_json(value):
        return value
    plain = _with_whole_numbers(value)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text if _is_encodable(text) else json.dumps(plain, allow_nan=False, separators=(",", ":"))


def _value_of(text: str) -> Any:
    try:
        return _from_json(text)
    except (ValueError, RecursionError):  # no JSON, a number of too many digits, or brackets without end
        return text


def _may_be_json(text: str) -> bool:
    try:
        _from_json(text)
    except json.JSONDecodeError:
        return False
    except (ValueError, RecursionError):  # too much for Python, not for every browser
        return True
    return True


def _from_json(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise json.JSONDecodeError("no JSON", constant, 0)  # Python's own NaN and Infinity


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _with_whole_numbers(value: Any) -> Any:
    """Numbers that are whole as int, as JavaScript writes them."""
    if isinstance(value, dict):
        return {name: _with_whole_numbers(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_with_whole_numbers(member) for member in value]
    is_whole = isinstance(value, float) and abs(value) < 2**53 and value.is_integer()
    return int(value) if is_whole else value


# -- code -----------------------------------------------------------------------------------------------------------


def _literal(value: Any) -> str:
    """A plain value as Python reads it; of strings, numbers, lists and mappings nothing else than literals comes."""
    if value is None or value is True or value is False:
        return repr(value)
    if isinstance(value, str):
        return repr(str(value))
    if isinstance(value, int):
        return repr(int(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no number of a setting")
        return repr(float(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    raise TypeError(f"a {type(value).__name__} is no value of a setting")


# -- one file -------------------------------------------------------------------------------------------------------

#: Of a page that is one file: nothing in it can ask a network for anything.
POLICY = "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; img-src data: blob:; "
POLICY += "connect-src data: blob:; media-src blob:"
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title} · predspace</title>
<style>
html, body {{ margin: 0; height: 100%; }}
#predspace-stage {{ height: 100vh; }}
{style}
</style>
<div id="predspace-stage"></div>
<noscript>This page draws its pictures by a script, which this browser does not run.</noscript>
<script type="application/json" id="predspace-choices">{choices}</script>
<script type="text/plain" id="predspace-plotly">{plotly}</script>
<script type="text/plain" id="predspace-payload">{payload}</script>
<script type="text/plain" id="predspace-news">{news}</script>
<script type="module">
{module}
open(document.getElementById("predspace-stage"));
</script>
</html>
"""


def one_file(session: Session, settings: dict[str, Any], scenes: Sequence[Mapping[str, Any]] = ()) -> str:
    """An HTML page that holds the stage, plotly.js and the numbers: it works from a disk, without Python or a network.

    Parameters
    ----------
    session : Session
    settings : dict
        What is chosen at first, from `ExplorerState.settings`.
    scenes : sequence of dict
        What the lecture goes through as which it opens, from `scenes_of`.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        A scene counts some samples only: the file does not hold what that needs.
    """
    for number, scene in enumerate(scenes, start=1):
        if scene["settings"].get("samples") is not None:
            raise ValueError(f"scene {number} counts some samples only, for which a file does not hold the predictions")
    return _PAGE.format(
        policy=POLICY,
        title=escape(str(session.about["title"])),
        style=style(),
        choices=for_script(json.dumps(settings, allow_nan=False)),
        plotly=base64.b64encode(plotly_script()).decode(),
        payload=base64.b64encode(session.payload(ahead=True, settings=settings, scenes=scenes)).decode(),
        news=base64.b64encode(session.news_so_far()).decode(),
        module=module().replace("</script", "<\\/script"),
    )


def for_script(text: str) -> str:
    """JSON that ends no script, and begins no comment of markup, whatever names are in it."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
