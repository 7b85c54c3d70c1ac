"""What urllib3's exceptions mean to a person, and whether trying again can help."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dfgen.registry.endpoint import Origin
from dfgen.registry.retry import ANY, FEW, Fault, broken

if TYPE_CHECKING:
    import urllib3

_ONCE = 1
_RESET = "the connection was reset"
_NOT_HTTP = "it does not answer in HTTP"
_NAME = "check the host's name and the network"
_PROXY = "check HTTPS_PROXY and HTTP_PROXY"
_AUTHORITY = "name the file of the authority that signed it"
_PLAIN = "if that is meant, list the registry as insecure"
_NOT_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"}
)

# Modules that only a failed request needs are imported where they are: urllib3 has loaded them by then.


def fault_of(error: urllib3.exceptions.HTTPError, url: str, timeout: float) -> Fault:
    """Translate a failure of one request."""
    from urllib3 import exceptions

    host = str(Origin.of(url))
    fault = broken(host, *_verdict(error, timeout))
    if isinstance(error, exceptions.NewConnectionError):  # an unknown name is one, too
        fault.absent = host
    return fault


def _verdict(error: urllib3.exceptions.HTTPError, timeout: float) -> tuple[str, int, str]:
    """The cause in words, how many tries it is worth, and what to do."""
    from urllib3 import exceptions

    known: list[tuple[type[Exception], Callable[[], tuple[str, int, str]]]] = [
        (exceptions.NameResolutionError, lambda: ("no address is known for this host name", FEW, _NAME)),
        (exceptions.NewConnectionError, lambda: (_reason(error), FEW, "")),
        (exceptions.ProxyError, lambda: (f"the proxy fails: {_reason(error)}", FEW, _PROXY)),
        (exceptions.SSLError, lambda: _tls(error)),
        (exceptions.TimeoutError, lambda: (_silence(error, timeout), ANY, "")),
        (exceptions.LocationValueError, lambda: ("its address cannot be used", _ONCE, "")),
    ]
    for kind, verdict in known:
        if isinstance(error, kind):
            return verdict()
    cause = "the answer was cut short" if _is_cut(error) else _reason(error)
    return cause, FEW if cause == _NOT_HTTP else ANY, ""


def _silence(error: BaseException, timeout: float) -> str:
    """Tell a server that is silent from one that speaks in drops."""
    from dfgen.registry.transport import LateError

    late = any(isinstance(link, LateError) for link in _chain(error))
    return "the answer comes too slowly" if late else f"no answer for {round(timeout, 1):g} s"


def _chain(error: BaseException | None) -> list[BaseException]:
    """The error and what it was made from, in urllib3's three ways of keeping it."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        nested = next((arg for arg in reversed(error.args) if isinstance(arg, BaseException)), None)
        error = nested or error.__cause__ or error.__context__
    return found


def _is_cut(error: BaseException) -> bool:
    names = {type(link).__name__ for link in _chain(error)}
    return not names.isdisjoint({"IncompleteRead", "InvalidChunkLength"})


def _reason(error: BaseException) -> str:
    """The plainest words that the chain has: the operating system's, else the kind of failure."""
    from http.client import HTTPException

    for link in reversed(_chain(error)):
        if isinstance(link, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
            return _RESET
        if isinstance(link, OSError) and (words := link.strerror or str(link)):
            return words[0].lower() + words[1:]
    if any(isinstance(link, HTTPException) for link in _chain(error)):
        return _NOT_HTTP
    return "the connection failed"


def _tls(error: BaseException) -> tuple[str, int, str]:
    import ssl

    last = next((link for link in reversed(_chain(error)) if isinstance(link, ssl.SSLError)), ssl.SSLError())
    if isinstance(last, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {last.verify_message}", _ONCE, _AUTHORITY
    if isinstance(last, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _RESET, ANY, ""
    reason = getattr(last, "reason", None) or "the handshake failed"
    if reason in _NOT_TLS:
        return "it speaks plain HTTP, not HTTPS", _ONCE, _PLAIN
    return f"TLS: {reason.lower().replace('_', ' ')}", FEW, ""
