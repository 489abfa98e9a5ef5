"""The prober: asks every model of a project again and again, and says what it finds.

    python -m components.synthetic_probe.prober [--config FILE] [--host ADDRESS] [--port PORT]

One loop runs everything, so `/healthz` answers only while it turns: 200 if every model is asked on
time, whatever the models do, else 500 with those that are not. `/metrics` is for Prometheus.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

from components.synthetic_probe import settings
from components.synthetic_probe.answer_lines import Tally
from components.synthetic_probe.ask import ask, open_session
from components.synthetic_probe.exposition import Exposition
from components.synthetic_probe.schedule import Clock, Schedule
from components.synthetic_probe.verdict import Reason, Result

# As objects.py and reach.py render them, which would bring pydantic into the image.
CONFIG_PATH: Final = "/etc/prober/config.json"
METRICS_PORT: Final = 9090
# A parsed answer may take 25 times its bytes, and the pod has 128 MiB.
_JUDGES: Final = 2
# Of one probe: a name look-up cannot be stopped, and may outlive several intervals of 5 s.
_THREADS: Final = 8
# For a scrape that is being answered; the pod's grace is 10 s.
_STOP_SECONDS: Final = 2.0

_log = logging.getLogger("prober")


class Report:
    """Hands each result to the metrics, and to the log when a model's state changes.

    Of a candidate the log has every answer: who waits for them reads it (answers.py).
    """

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition
        self._reasons: dict[str, Reason | None] = {}
        self._tallies: dict[str, Tally] = {}

    def __call__(self, row: settings.Row, result: Result, again: bool) -> None:
        """Take in one result."""
        if again:
            self._exposition.count(row, result)
        else:
            self._exposition.record(row, result, time.time())
        if row.track:
            tally = self._tallies.get(row.id, Tally()).after(right=result.reason is None)
            self._tallies[row.id] = tally
            _log.info("%s", tally.line(row.id, row.version))
        if row.id in self._reasons and self._reasons[row.id] == result.reason:
            return
        self._reasons[row.id] = result.reason
        if result.reason:
            _log.warning("%s failing: %s: %s", row.id, result.reason, result.detail)
        else:
            _log.info("%s ok: %.3f s", row.id, result.seconds)


def _application(exposition: Exposition, schedule: Schedule) -> web.Application:
    async def metrics(_: web.Request) -> web.Response:
        kind = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=exposition.text(), headers=kind)

    async def healthz(_: web.Request) -> web.Response:
        faults = schedule.faults()
        return web.Response(status=500 if faults else 200, text="\n".join(faults or ["ok"]))

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz)])
    return application


def _listen(host: str, port: int) -> socket.socket:
    """No host is both families of addresses, whichever the cluster has."""
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


async def serve(told: settings.Settings, listener: socket.socket, stop: asyncio.Event) -> None:
    """Ask, and report on `listener`, until `stop` is set."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS * (1 + len(told.rows)), "prober"))
    exposition = Exposition(told.project)
    judges = ThreadPoolExecutor(_JUDGES, "judge")
    async with open_session() as session:
        clock = Clock(now=loop.time, sleep=asyncio.sleep)
        schedule = Schedule(clock, partial(ask, session, judges), Report(exposition))
        application = _application(exposition, schedule)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=_STOP_SECONDS)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        schedule.begin(told.rows)
        at = listener.getsockname()[1]
        _log.info("%s: %d probes, metrics on port %d", told.project, len(told.rows), at)
        await stop.wait()
        _log.info("%s: stopping", told.project)
        await schedule.end()
        await runner.cleanup()


async def _until_told(told: settings.Settings, listener: socket.socket) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(told, listener, stop)


def main(words: list[str]) -> int:
    """Run the program with the command line's `words`."""
    parser = argparse.ArgumentParser(prog="prober", description="Asks every model of a project.")
    parser.add_argument("--config", type=Path, default=CONFIG_PATH, help="default: %(default)s")
    where = "listen on this address; default: all"
    parser.add_argument("--host", metavar="ADDRESS", default="", help=where)
    parser.add_argument("--port", type=int, default=METRICS_PORT, help="default: %(default)s")
    options = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    about = f"{options.config}"
    try:
        told = settings.load(Path(options.config))
        about = f"address {options.host or 'all'}, port {options.port}"
        listener = _listen(options.host, options.port)
    except (OSError, ValueError) as error:
        print(f"prober: {about}: {error}", file=sys.stderr)
        return 2
    asyncio.new_event_loop().run_until_complete(_until_told(told, listener))
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    # Not sys.exit: it waits for threads, and one may be in a look-up longer than the pod's grace.
    os._exit(code)
