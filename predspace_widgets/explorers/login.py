"""Logins of a served explorer: one password for all, or a provider of OAuth."""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from panel.auth import AUTH_PROVIDERS, BasicAuthProvider
from panel.config import config
from panel.io.state import state
from tornado.web import RequestHandler

from predspace_widgets.explorers.access import Access, Login, is_loopback
from predspace_widgets.extras import lacking

_PAGES = Path(__file__).parent
# Of those who share an address, such as all of a building, so many may mistype at once.
_MOST_WRONG, _SECONDS = 10, 60.0


def login_of(
    address: str,
    password: str | None = None,
    password_file: Path | None = None,
    no_login: bool = False,
    cookie_secret: str | None = None,
    oauth: OAuth | None = None,
) -> Login | None:
    """The login that options of `predspace serve` ask for; elsewhere than on loopback there must be one.

    Raises
    ------
    ValueError
        There is none, or more than one, or it is not complete.
    OSError
        The file cannot be read, or the secret that signs logins cannot be kept.
    """
    oauth = oauth or OAuth()
    asked = {
        "--password (or PREDSPACE_PASSWORD)": password is not None,
        "--password-file": password_file is not None,
        "--oauth-provider": oauth.provider is not None,
        "--no-login": no_login,
    }
    given = [option for option, is_asked in asked.items() if is_asked]
    if len(given) > 1:
        raise ValueError(f"{given[0]} and {given[1]} are two answers to who is let in: give one")
    if oauth.users and oauth.provider is None:
        raise ValueError("--allow-user names users of an --oauth-provider")
    if no_login or (not given and is_loopback(address)):
        return None
    if not given:
        raise ValueError(
            f"--address {address} lets other machines in: say who with --password-file FILE, --password TEXT, "
            "PREDSPACE_PASSWORD or --oauth-provider, or let everybody in with --no-login"
        )
    secret = cookie_secret or kept_secret()
    if oauth.provider is not None:
        return oauth.login(secret)
    if password_file is not None:
        password = (password_file.read_text(encoding="utf-8").splitlines() or [""])[0].strip()
    return password_login(password or "", secret)


def password_login(password: str, cookie_secret: str) -> Login:
    """A login by one password for all; another password ends all logins.

    Raises
    ------
    ValueError
        The password is empty.
    """
    if not password:
        raise ValueError("the password is empty")
    secret = hmac.new(cookie_secret.encode(), password.encode(), sha256).hexdigest()
    return Login({"auth_provider": _PasswordProvider(password), "cookie_secret": secret})


@dataclass(frozen=True)
class OAuth:
    """A login by Panel's OAuth; without a provider it is none.

    Parameters
    ----------
    provider : str, optional
        As `panel serve --oauth-provider` takes it.
    key, secret : str, optional
        What the provider knows this server by.
    redirect_uri : str, optional
        Where the provider sends visitors back to.
    encryption_key : str, optional
        What the provider's tokens are encrypted with in cookies (`panel oauth-secret` makes one).
    users : sequence of str, optional
        Those who are let in, as the provider names them; by default all whom it knows.
    """

    provider: str | None = None
    key: str | None = None
    secret: str | None = None
    redirect_uri: str | None = None
    encryption_key: str | None = None
    users: Sequence[str] | None = None

    def login(self, cookie_secret: str) -> Login:
        """The login.

        Raises
        ------
        ValueError
            Panel does not know the provider, or something is missing.
        """
        if self.provider not in AUTH_PROVIDERS:
            known = ", ".join(sorted(AUTH_PROVIDERS))
            raise ValueError(f"there is no OAuth provider {self.provider!r}: choose from {known}")
        if self.provider != "pam" and not (self.key and self.secret):
            raise ValueError("--oauth-provider needs --oauth-key and --oauth-secret, which the provider gives")
        if self.encryption_key:
            state.encryption = _encryption(self.encryption_key)
        options = {
            "oauth_provider": self.provider,
            "oauth_key": self.key,
            "oauth_secret": self.secret,
            "oauth_redirect_uri": self.redirect_uri,
            "cookie_secret": cookie_secret,
            "login_template": str(_PAGES / "login.html"),
            "logout_template": str(_PAGES / "logout.html"),
        }
        return Login(options, frozenset(self.users or ()))


def _encryption(key: str) -> Any:
    try:
        from cryptography.fernet import Fernet
    except ImportError:
        raise ValueError(lacking("--oauth-encryption-key", "cryptography")) from None
    try:
        return Fernet(key)
    except ValueError:
        raise ValueError("--oauth-encryption-key is none: `panel oauth-secret` makes one") from None


def kept_secret(file: Path | None = None) -> str:
    """The secret that this user's servers sign logins with, so that they survive a restart; made at first.

    Parameters
    ----------
    file : Path, optional
        Where it is kept, instead of the user's folder for such things.

    Raises
    ------
    OSError
        It cannot be kept.
    ValueError
        Others can read it.
    """
    home = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    file = file or home / "predspace_widgets" / "cookie-secret"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as sink:
            sink.write(secrets.token_hex(32))
        made.replace(file)
    if os.name == "posix" and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError(f"others can read {file}, which signs logins: delete it, and a new one is made")
    secret = file.read_text().strip()
    if len(secret) < 32:
        raise ValueError(f"{file} holds no secret: delete it, and a new one is made")
    return secret


class Guesses:
    """Wrong passwords of late, by the address that they came from.

    Parameters
    ----------
    clock : callable
        Seconds.

    Examples
    --------
    >>> guesses = Guesses()
    >>> for _ in range(10):
    ...     guesses.count("10.0.0.1")
    >>> guesses.too_many("10.0.0.1"), guesses.too_many("10.0.0.2")
    (True, False)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, list[float]] = {}

    def count(self, address: str) -> None:
        """Take note of a wrong password."""
        since = self._clock() - _SECONDS
        recent = {one: [at for at in times if at > since] for one, times in self._wrong.items()}
        self._wrong = {one: times for one, times in recent.items() if times}
        self._wrong.setdefault(_network(address), []).append(self._clock())

    def too_many(self, address: str) -> bool:
        """Whether those at an address have to wait."""
        since = self._clock() - _SECONDS
        return sum(at > since for at in self._wrong.get(_network(address), [])) >= _MOST_WRONG


def _network(address: str) -> str:
    """An address, of IPv6 the network: one machine has as many addresses there as it likes."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((known, 64), strict=False)) if known.version == 6 else str(known)


class _PasswordProvider(BasicAuthProvider):
    """Panel's cookies with pages of ours, which guess no more than a few times a minute."""

    def __init__(self, password: str) -> None:
        super().__init__(login_template=_PAGES / "login.html", logout_template=_PAGES / "logout.html")
        self._password = sha256(password.encode()).digest()
        self.guesses = Guesses()

    def is_right(self, password: str) -> bool:
        """Whether it is the password, in a time that does not tell how much of it is."""
        return hmac.compare_digest(self._password, sha256(password.encode()).digest())

    def page(self, **said: str) -> str:
        """The page that asks for it."""
        return str(self._login_template.render(asks_user=False, **said))

    @property
    def login_handler(self) -> type[RequestHandler]:
        return _LoginHandler


class _LoginHandler(RequestHandler):
    access: ClassVar[Access]  # of the guard; see `access`

    def get(self) -> None:
        self._ask(next=self.get_query_argument("next", "/"))

    def post(self) -> None:
        provider: _PasswordProvider = self.application.auth_provider  # type: ignore[attr-defined]
        going_to = self.get_body_argument("next", "/")
        address = self.access.visitor(self.request.remote_ip or "", self.request.headers.get("X-Forwarded-For", ""))
        if provider.guesses.too_many(address):
            self.set_status(429)
            self.set_header("Retry-After", str(int(_SECONDS)))
            self._ask(next=going_to, error="Too many wrong passwords came from where you are: try again in a minute.")
        elif provider.is_right(self.get_body_argument("password", "", strip=False)):
            self.set_signed_cookie("user", "visitor", expires_days=config.oauth_expiry, path=config.cookie_path)
            below = going_to.removeprefix(self.application.prefix)  # type: ignore[attr-defined]
            self.redirect("./" + below.lstrip("/"))  # whatever it is, a path of this server
        else:
            provider.guesses.count(address)
            self.set_status(403)
            self._ask(next=going_to, error="This is not the password.")

    def _ask(self, **said: str) -> None:
        self.set_header("Cache-Control", "no-store")
        self.finish(self.application.auth_provider.page(**said))  # type: ignore[attr-defined]
