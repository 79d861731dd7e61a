"""Who reaches a served explorer: the names it answers to, pages of other sites, logins, and what its pages may load."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, cast
from urllib.parse import urlencode, urlsplit

from bokeh.server.auth_provider import AuthProvider
from bokeh.server.server import BaseServer
from bokeh.server.views.auth_request_handler import AuthRequestHandler
from bokeh.server.views.ico_handler import IcoHandler
from bokeh.server.views.multi_root_static_handler import MultiRootStaticHandler
from bokeh.server.views.static_handler import StaticHandler
from panel.io.server import ComponentResourceHandler, RootHandler
from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError, RedirectHandler, RequestHandler

#: A question of a stage is at most so many bytes.
LONGEST_QUESTION = 2**20
# What Panel serves besides, and the page does not need; one of them imports any module by its name.
_LEFT_OUT = (RootHandler, StaticHandler, MultiRootStaticHandler, ComponentResourceHandler)


@dataclass(frozen=True)
class Login:
    """How visitors log in; see `predspace_widgets.explorers.login`.

    Parameters
    ----------
    options : mapping
        Of `panel.serve`.
    users : collection of str
        The only ones that are let in; all who can log in where it is empty.
    """

    options: Mapping[str, Any]
    users: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Access:
    """How a server of explorers can be reached.

    Parameters
    ----------
    address : str
        Where it listens. On loopback it answers to localhost, 127.0.0.1 and [::1] at its port, elsewhere also to the
        name of the machine and to the address that a request came to.
    allow_hosts : sequence of str
        What else it is reached under, such as the name of a proxy before it: NAME, at its own and the usual ports, or
        NAME:PORT.
    frame_ancestors : sequence of str
        Origins, as "https://hub.example.org", whose pages may show its pages in a frame.
    login : Login, optional
        Without it nobody is asked who they are.

    Raises
    ------
    ValueError
        A name that is none.

    Examples
    --------
    >>> access = Access(allow_hosts=["lab.example.org"])
    >>> access.answers_to("lab.example.org", 5006), access.answers_to("localhost:5006", 5006)
    (True, True)
    >>> access.answers_to("evil.example:5006", 5006)
    False
    """

    address: str = "localhost"
    allow_hosts: Sequence[str] = ()
    frame_ancestors: Sequence[str] = ()
    login: Login | None = None

    def __post_init__(self) -> None:
        for name in self.allow_hosts:
            if _split(name) is None:
                raise ValueError(f"{name!r} is not a host: give a NAME or NAME:PORT")
        for origin in self.frame_ancestors:
            parts = urlsplit(origin)
            is_whole = parts.scheme in ("http", "https") and origin == f"{parts.scheme}://{parts.netloc}"
            if not is_whole or _split(parts.netloc) is None:
                raise ValueError(f"{origin!r} is not an origin, such as https://hub.example.org")

    def options(self) -> dict[str, Any]:
        """Options of `panel.serve`."""
        size = {"max_body_size": 2 * LONGEST_QUESTION}  # what is read before it is refused
        return {"http_server_kwargs": size, **(self.login.options if self.login else {})}

    def warnings(self) -> list[str]:
        """What whoever starts the server has to know."""
        if self.login is None and not is_loopback(self.address):
            return [f"whoever reaches this machine sees all that is served: {self.address} asks for no login"]
        if self.login is not None and "oauth_provider" in self.login.options and not self.login.users:
            return ["all whom the provider knows are let in: --allow-user names those who may"]
        return []

    def guard(self, server: BaseServer) -> None:
        """Let all that a server answers with go through here; it is not running yet."""
        application = server._tornado
        provider = application.auth_provider
        port = cast("int", server.port)
        router = application.wildcard_router
        router.rules = [rule for rule in router.rules if rule.target not in _LEFT_OUT]
        for rule in router.rules:
            rule.target = _guarded(rule.target, self, port, provider)
        if self.login is not None:  # Panel prefers what is in the environment
            application.settings["cookie_secret"] = self.login.options["cookie_secret"]
        application.settings["default_handler_class"] = _guarded(_Nothing, self, port, provider)

    def answers_to(self, host: str, port: int, scheme: str = "http", here: str = "") -> bool:
        """Whether a Host or the host of an Origin is one of this server.

        Parameters
        ----------
        host : str
            NAME or NAME:PORT.
        port : int
            Where it listens.
        scheme : str
            Tells the port where `host` has none.
        here : str
            The address of this machine that the request came to.
        """
        named = _split(host)
        if named is None:
            return False
        name, its_port = named[0], named[1] or (443 if scheme == "https" else 80)
        if its_port == port and (name in self._names() or (here and name == here)):
            return True
        allowed = [cast("tuple[str, int | None]", _split(host)) for host in self.allow_hosts]
        return any(name == one and its_port in ([known] if known else [port, 80, 443]) for one, known in allowed)

    def visitor(self, peer: str, forwarded: str = "") -> str:
        """The address of a visitor.

        Parameters
        ----------
        peer : str
            What a request came from: of the visitor, or of a proxy.
        forwarded : str
            X-Forwarded-For. Only its last entry is of the proxy, which is believed where it is on this machine and
            `allow_hosts` says that there is one; all before it a visitor may have written.
        """
        if self.allow_hosts and is_loopback(peer):
            try:
                return str(ipaddress.ip_address(_plain(forwarded.rpartition(",")[2].strip())))
            except ValueError:
                pass
        return peer

    def _names(self) -> set[str]:
        names = {"localhost", "127.0.0.1", "::1"}
        if not is_loopback(self.address):
            names |= {socket.gethostname().lower(), _plain(self.address)}
        return names

    def headers(self) -> dict[str, str]:
        """What goes with every answer: a script that data brought into a page does not run."""
        policy = {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self' 'unsafe-inline'",  # plotly.js puts its styles into the page
            "img-src": "'self' data: blob:",
            "connect-src": "'self' data:",
            "frame-ancestors": " ".join(("'self'", *self.frame_ancestors)),
            "base-uri": "'none'",
            "form-action": "'self'",
        }
        return {
            "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
            "X-Content-Type-Options": "nosniff",
            # Not "no-referrer": with it the browser does not say that the login form is of this site.
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }


def is_loopback(address: str) -> bool:
    """Whether only programs on this machine reach an address."""
    try:
        return ipaddress.ip_address(_plain(address)).is_loopback
    except ValueError:
        return address.lower() == "localhost"


def _split(host: str) -> tuple[str, int | None] | None:
    """Name and port of NAME, NAME:PORT or [ADDRESS]:PORT; None where it is something else."""
    if not re.fullmatch(r"[\w.:%\[\]-]+", host, re.ASCII):
        return None
    try:
        parts = urlsplit(f"//{host}")
        return (_plain(parts.hostname), parts.port) if parts.hostname else None
    except ValueError:
        return None


def _plain(address: str) -> str:
    """A name or an address as it is compared: fe80::1%eth0 and ::ffff:10.0.0.1 are fe80::1 and 10.0.0.1."""
    address = address.strip("[]").partition("%")[0].rstrip(".").lower()
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(getattr(known, "ipv4_mapped", None) or known)


def _guarded(target: type, access: Access, port: int, provider: AuthProvider) -> type:
    """A handler that is also a guard; what logs in and out, or leads to where all is, is for all."""
    public = issubclass(target, IcoHandler | RedirectHandler) or target in (
        provider.login_handler,
        provider.logout_handler,
    )
    facts = {"access": access, "port": port, "needs_login": access.login is not None and not public}
    return type(target.__name__, (_Guarded, target), facts)


class PageHandler(RequestHandler):
    """What people see: who is not logged in is led to the login."""


class _Guarded(AuthRequestHandler):
    access: ClassVar[Access]
    port: ClassVar[int]
    needs_login: ClassVar[bool]

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.clear_header("Server")
        for name, value in self.access.headers().items():
            self.set_header(name, value)

    async def prepare(self) -> None:
        self._check_names()
        await super().prepare()
        if not self.needs_login or self._finished:
            return
        user: str | None = self.current_user
        users = self.access.login.users if self.access.login else ()
        if user is None and isinstance(self, PageHandler) and self.request.method in ("GET", "HEAD"):
            self.redirect(f"{self._root()}login?{urlencode({'next': self.request.uri})}")
        elif user is None or (users and user not in users):
            raise _Refused("Log in first." if user is None else "This user is not among those who are let in.")

    def _check_names(self) -> None:
        """Refuse what another site sent: its page under our address, or a page of it that asks for ours."""
        request = self.request
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        here = _address_here(request)
        if not self.access.answers_to(host, self.port, request.protocol, here):
            raise _Refused("This server is not reached under this name: start it with --allow-host NAME.")
        if origin is None:  # a websocket says where it is from
            foreign = request.headers.get("Upgrade", "").lower() == "websocket"
        else:
            parts = re.fullmatch("(https?)://(.+)", origin)
            foreign = parts is None or not self.access.answers_to(parts[2], self.port, parts[1], here)
        if foreign or self._is_fetched_by_others():
            raise _Refused("This server answers its own pages only.")
        if not _is_of_here(self.get_query_argument("next", "/")):
            raise _Refused("The address to go to is not one of this server.")

    def _is_fetched_by_others(self) -> bool:
        """Whether another site's page asks for more than to be left for ours."""
        headers = self.request.headers
        if headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin"):
            return False
        return self.request.method != "GET" or headers.get("Sec-Fetch-Mode") != "navigate"

    def _here(self) -> str:
        """What was asked for, below the path under which all is."""
        application: Any = self.application  # Bokeh's, which knows its prefix
        return (self.request.uri or "/").removeprefix(application.prefix)

    def _root(self) -> str:
        """Where "/" is seen from here: a proxy may have put all under some path."""
        return "./" + "../" * (self._here().partition("?")[0].count("/") - 1)

    def set_cookie(self, name: str, value: str | bytes, *arguments: Any, **options: Any) -> None:
        through = self.request.headers.get("X-Forwarded-Proto", self.request.protocol)
        kept = {"httponly": True, "samesite": "Lax", "secure": through == "https"}
        super().set_cookie(name, value, *arguments, **(options | kept))

    def write_error(self, status_code: int, **details: Any) -> None:
        """A line of plain text, with nothing of the request in it and nothing of how it failed."""
        error = details.get("exc_info", (None, None))[1]
        text = error.text if isinstance(error, _Refused) else HTTPStatus(status_code).phrase
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: {text}\n")


class _Refused(HTTPError):
    def __init__(self, text: str) -> None:
        super().__init__(403, text)
        self.text = text


class _Nothing(PageHandler):
    """What no other handler answers."""

    def get(self) -> None:
        raise HTTPError(404)

    head = post = put = delete = patch = options = get


def _address_here(request: HTTPServerRequest) -> str:
    """The address of this machine that a request came to."""
    stream = getattr(request.connection, "stream", None)
    name = stream.socket.getsockname() if stream is not None and stream.socket is not None else ("",)
    return _plain(name[0]) if isinstance(name, tuple) else ""


def _is_of_here(address: str) -> bool:
    """Whether an address is a path of this server, for every browser."""
    return address.startswith("/") and not address.startswith("//") and "\\" not in address and address.isprintable()
