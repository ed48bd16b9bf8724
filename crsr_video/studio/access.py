"""Access control: only a browser that has opened the address with the token may use the studio."""

import secrets
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "crsr_studio"


class AccessControl:
    """ASGI middleware that checks the cookie, `Host` and `Origin` of every request.

    The address of the first visit contains the token (``/?token=...``). The response sets a cookie
    and redirects to the same address without the token. Checking `Host` keeps other names from
    being resolved to this machine (DNS rebinding); checking `Origin` keeps other pages out.

    Args:
        app: The application to protect.
        token: The secret token.
        hosts: Accepted values of `Host`, such as "127.0.0.1:8321".
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: frozenset[str]) -> None:
        self._app = app
        self._token = token
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        offered = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not self._is_expected_address(headers):
            await self._refuse(scope, receive, send, "the studio was addressed by an unknown name")
        elif scope["type"] == "http" and scope["path"] == "/" and self._is_token(offered):
            response = RedirectResponse("/", status_code=303)
            response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            await response(scope, receive, send)
        elif self._is_token(_cookie(headers)):
            await self._app(scope, receive, send)
        else:
            await self._refuse(
                scope,
                receive,
                send,
                "open the address that crsr-video studio printed; it holds the key to this page",
            )

    def _is_token(self, value: str) -> bool:
        return secrets.compare_digest(value.encode(), self._token.encode())

    def _is_expected_address(self, headers: Headers) -> bool:
        if headers.get("host", "") not in self._hosts:
            return False
        origin = headers.get("origin")
        return origin is None or urlsplit(origin).netloc in self._hosts

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send, reason: str) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4403, "reason": reason})
            return
        await PlainTextResponse(reason, status_code=403)(scope, receive, send)


def _cookie(headers: Headers) -> str:
    found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    return found.value if found is not None else ""
