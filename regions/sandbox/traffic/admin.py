"""What the stand-in says about itself: whether it is ready, and what it has counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from regions.sandbox.traffic.counts import Counts

PORT: Final = 9901
"""Where Envoy has its own."""


async def serve(address: str, counts: Counts, is_ready: Callable[[], bool]) -> web.AppRunner:
    """Answer `/healthz`, `/metrics` and `/stats`; raises OSError when the port is taken."""

    async def healthz(request: web.Request) -> web.Response:
        if is_ready():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="the first lists aren't in yet\n")

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(text=counts.metrics())

    async def stats(request: web.Request) -> web.Response:
        return web.json_response(counts.stats())

    program = web.Application()
    program.router.add_get("/healthz", healthz)
    for path in ("/metrics", "/stats/prometheus"):  # the second is Envoy's own
        program.router.add_get(path, metrics)
    program.router.add_get("/stats", stats)
    runner = web.AppRunner(program, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, PORT).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner
