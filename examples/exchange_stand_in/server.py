"""The stand-in as an HTTP server on this machine, and the ways in which it can fail."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

from examples.exchange_stand_in.answers import Answers, Gap, Refused

ROOTS = {
    "public": "/api/v3",
    "private": "/api/v3",
    "v1": "/api/v1",
    "fapiPublic": "/fapi/v1",
    "fapiPublicV2": "/fapi/v2",
    "fapiPublicV3": "/fapi/v3",
    "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2",
    "fapiPrivateV3": "/fapi/v3",
    "fapiData": "/futures/data",
    "dapiPublic": "/dapi/v1",
    "dapiPrivate": "/dapi/v1",
    "dapiPrivateV2": "/dapi/v2",
    "dapiData": "/futures/data",
    "eapiPublic": "/eapi/v1",
    "eapiPrivate": "/eapi/v1",
    "papi": "/papi/v1",
    "papiV2": "/papi/v2",
    "sapi": "/sapi/v1",
    "sapiV2": "/sapi/v2",
    "sapiV3": "/sapi/v3",
    "sapiV4": "/sapi/v4",
}
"""ccxt's names of Binance's addresses: all of them, so that nothing can ask the real one."""


class ExchangeStandIn:
    """An exchange on a free port of 127.0.0.1, in a thread of this process. Its failures may be changed while it runs.

    with ExchangeStandIn() as exchange:
        config["exchange"] = exchange.config() | {"pair_whitelist": ["BTC/USDT"]}
    """

    def __init__(self, port: int = 0, *, seed: int = 1, clock: Callable[[], float] = time.time) -> None:
        self.down = False
        """It answers 503 to everything."""
        self.unavailable: list[str] = []
        """It answers 503 to requests whose path begins so."""
        self.rate_limited = False
        """It answers 429 to everything."""
        self.delay_s = 0.0
        """It waits before each answer."""
        self.requests: list[str] = []
        """Paths with their queries, as they came."""
        self._answers = Answers(seed)
        self._clock = clock
        self._server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"exchange": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def gaps(self) -> list[Gap]:
        """Candles that it doesn't have; append to it."""
        return self._answers.gaps

    def config(self) -> dict[str, Any]:
        """The section `exchange` of a freqtrade config, without pairs.

        `only_from_ccxt`: freqtrade would ask data.binance.vision for old candles of the real exchange. `enable_ws`: there are no websockets.
        """
        urls = {"api": {name: f"{self.url}{root}" for name, root in ROOTS.items()}}
        return {"name": "binance", "enable_ws": False, "only_from_ccxt": True, "ccxt_config": {"urls": urls}}

    def respond(self, path: str) -> tuple[int, Any]:
        """HTTP status and JSON value for a GET."""
        self.requests.append(path)
        if self.delay_s:
            time.sleep(self.delay_s)
        if self.down or any(path.startswith(begin) for begin in self.unavailable):
            return 503, {"msg": "Service Temporarily Unavailable"}
        if self.rate_limited:
            return 429, {"code": -1003, "msg": "Too much request weight used; please use WebSocket live updates to avoid polling the API."}
        asked = urlsplit(path)
        try:
            return 200, self._answers.answer(asked.path, dict(parse_qsl(asked.query)), int(self._clock() * 1000))
        except Refused as refused:
            return refused.status, {"code": refused.code, "msg": refused.message}

    def start(self) -> Self:
        """Answer from now on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer no more; the port is closed."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class _Handler(BaseHTTPRequestHandler):
    exchange: ClassVar[ExchangeStandIn]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        status, value = self.exchange.respond(self.path)
        body = json.dumps(value).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status == 429:
                self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:  # who asked has gone: a job that was cancelled, say
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in http.server
        """Say nothing: the output is the address."""
