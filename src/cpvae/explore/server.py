"""The server of a live page: on this machine alone, or elsewhere to those who have its token.

A page of another site could ask a server on this machine, too. So the server answers only requests that name it as it
was opened (`Host`). A name that another site made up for this machine does not do that. It takes questions only as
JSON, which a browser sends to a foreign server only after asking it first.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cpvae.errors import InputError
from cpvae.explore import check_library
from cpvae.explore.answers import Answers
from cpvae.explore.page import document

MOST_BYTES = 64 * 2**20  # of a question: a group for each of some million rows
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def make_application(answers: Answers, host: str, token: str | None) -> Any:
    """Make the application: the page at /, and its questions below /answer/.

    Args:
        answers: what it answers.
        host: at which it is bound.
        token: that a request must bring in its address; None for a server that only this machine reaches.
    """
    from tornado import web

    local = is_loopback(host)

    class Handler(web.RequestHandler):
        """Answer to those who may ask."""

        def set_default_headers(self) -> None:
            for name, value in HEADERS.items():
                self.set_header(name, value)

        def prepare(self) -> None:
            name = self.request.host.rsplit(":", 1)[0].strip("[]")
            if local and not is_loopback(name):
                raise web.HTTPError(403, reason="Open it by the address that was printed")
            if token is not None and not hmac.compare_digest(
                self.get_query_argument("token", "").encode(), token.encode()
            ):
                raise web.HTTPError(403, reason="The token is missing or wrong")

        def write_error(self, status_code: int, **_: Any) -> None:
            self.set_header("Content-Type", "application/json")
            self.finish(json.dumps({"error": self._reason}))

        def data_received(self, chunk: bytes) -> None:
            """Take nothing in parts; tornado wants to know."""

    class Page(Handler):
        """The page."""

        def get(self) -> None:
            self.finish(document(answers, live=True))  # anew: names may have been saved since

    class Question(Handler):
        """The answer to one question, as JSON."""

        def post(self, question: str) -> None:
            if self.request.headers.get("Content-Type", "").split(";")[0].strip() != "application/json":
                raise web.HTTPError(415, reason="Expected JSON")
            try:
                asked = json.loads(self.request.body)
            except (ValueError, RecursionError):  # the latter of lists in lists in lists
                raise web.HTTPError(400, reason="Expected JSON") from None
            self.set_header("Content-Type", "application/json")
            try:
                self.finish(json.dumps({"answer": answers.answer(question, asked)}, allow_nan=False))
            except (InputError, RecursionError) as error:
                self.set_status(400)
                self.finish(json.dumps({"error": str(error)}))

    return web.Application([("/", Page), (r"/answer/([a-z]+)", Question)])


def serve(answers: Answers, host: str, port: int, say: Callable[[str], None], opened: Callable[[str], None]) -> None:
    """Serve a page until Ctrl-C.

    Args:
        answers: what it answers.
        host: to bind; port: 0 for any that is free.
        say: is told the address; opened: is given it once the server listens.

    Raises:
        InputError: Bokeh is not installed, or the address cannot be bound.
    """
    check_library()
    with suppress(KeyboardInterrupt):  # the way to end it
        asyncio.run(_serve(answers, host, port, say, opened))


async def _serve(
    answers: Answers, host: str, port: int, say: Callable[[str], None], opened: Callable[[str], None]
) -> None:
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets

    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    server = HTTPServer(make_application(answers, host, token), max_body_size=MOST_BYTES, max_buffer_size=MOST_BYTES)
    try:
        sockets = bind_sockets(port, host)
    except OSError as error:
        raise InputError(
            f"cannot listen at {host} port {port}: {error.strerror or error}; give another --host or --port"
        ) from error
    server.add_sockets(sockets)
    place = f"[{host}]" if ":" in host else host
    address = f"http://{place}:{sockets[0].getsockname()[1]}/" + (f"?token={token}" if token else "")
    say(f"open {address}")
    say("Ctrl-C ends it")
    opened(address)
    await asyncio.Event().wait()
