"""`python -m examples.exchange_stand_in --port 8080`: runs until it is interrupted, and prints its address and a freqtrade config for it."""

from __future__ import annotations

import argparse
import json
import signal
import threading

from examples.exchange_stand_in.server import ExchangeStandIn


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.exchange_stand_in", description="A local look-alike of Binance's public REST API.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other prices")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="wait before each answer")
    parser.add_argument("--down", action="store_true", help="answer 503 to everything")
    parser.add_argument("--rate-limited", action="store_true", help="answer 429 to everything")
    asked = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with ExchangeStandIn(asked.port, seed=asked.seed) as exchange:
        exchange.delay_s, exchange.down, exchange.rate_limited = asked.delay, asked.down, asked.rate_limited
        print(exchange.url, flush=True)
        print(json.dumps({"exchange": exchange.config()}, indent=1), flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
