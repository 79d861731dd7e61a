"""Where the links of built pages lead: to something that is there, and what they load is here."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Elements that a browser loads by themselves, and what names their source.
_LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "video": "src", "source": "src"}


class _Page(HTMLParser):
    """Its anchors, what it links to and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[tuple[str, bool]] = []  # address, whether it is loaded
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.anchors |= {named[name] for name in ("id", "name") if name in named}
        if tag == "a" and "href" in named:
            self.links.append((named["href"], False))
        if _LOADED.get(tag) in named:
            self.links.append((named[_LOADED[tag]], True))


def problems(folder: Path) -> list[str]:
    """Links of the pages in a folder that lead nowhere, and what they would load from elsewhere.

    Parameters
    ----------
    folder : Path
        Of built pages; live pictures, which are in its folder live, hold no links.

    Returns
    -------
    list of str
        A line each, with the page.
    """
    paths = [path.resolve() for path in folder.rglob("*.html") if "live" not in path.relative_to(folder).parts]
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(paths)}
    return [
        f"{path.relative_to(folder.resolve())}: {wrong}"
        for path, page in pages.items()
        for address, is_loaded in page.links
        for wrong in _wrong(path, address, is_loaded, pages)
    ]


def _wrong(path: Path, address: str, is_loaded: bool, pages: dict[Path, _Page]) -> Iterator[str]:
    parts = urlsplit(address)
    if parts.scheme in ("http", "https") or parts.netloc:
        if is_loaded:
            yield f"{address} is loaded from elsewhere"
        return
    if parts.scheme:  # data, mailto
        return
    there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if there.is_dir():
        there /= "index.html"
    if not there.exists():
        yield f"{address} is not there"
    elif parts.fragment and there in pages and unquote(parts.fragment) not in pages[there].anchors:
        yield f"{address} has no such anchor"
