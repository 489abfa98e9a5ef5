"""Traffic of one region, as kube-proxy, the cluster's DNS and Envoy Gateway make it elsewhere.

    python -m regions.sandbox.traffic REGION

Runs until SIGTERM. What it isn't is written in gateway.py and propagation.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from urllib.parse import urlsplit

from model_specs.errors import SpecErrors
from regions.profile import load_profiles
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import connect
from regions.sandbox.layout import REGIONS, ROOT, kubeconfig_of
from regions.sandbox.networks import gateway_address
from regions.sandbox.traffic import admin, watch
from regions.sandbox.traffic.region import RegionTraffic

_REGISTRY = "registry.isoserve-system.svc"
"""The name of the registry's store where the profile has no endpoint, as in a region on AWS."""


def outside_name(region: str) -> str:
    """The host of the region's registry."""
    endpoint = load_profiles(ROOT / "regions", (region,))[region].registry.endpoint
    return urlsplit(endpoint).hostname or _REGISTRY


async def run(region: str) -> None:
    """Carry the region's traffic until SIGTERM or SIGINT."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    traffic = RegionTraffic(region, outside_name(region), loop.call_later)
    traffic.write_first_hosts()
    address = gateway_address(region)
    try:
        said = await admin.serve(address, traffic.counts, lambda: traffic.is_ready)
    except OSError as reason:
        await traffic.close()
        raise SandboxError(
            f"{address}:{admin.PORT} can't be listened on ({reason.strerror}): is the traffic of "
            f"{region} carried already?"
        ) from reason
    async with watch.open_session(connect(region, kubeconfig_of(region))) as session:
        heard = [
            watch.follow(session, kind, traffic.propagation.hear, traffic.complaints)
            for kind in watch.PATHS
        ]
        work = [asyncio.create_task(one) for one in (*heard, traffic.run())]
        end = asyncio.create_task(ended.wait())
        await asyncio.wait([*work, end], return_when=asyncio.FIRST_COMPLETED)
        defects = [fault for task in work if task.done() and (fault := task.exception())]
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    await said.cleanup()
    await traffic.close()
    if defects:
        raise defects[0]


def main(arguments: list[str]) -> None:
    """Run for the region that is named."""
    if len(arguments) != 1 or arguments[0] not in REGIONS:
        sys.exit(f"usage: python -m regions.sandbox.traffic {{{'|'.join(REGIONS)}}}")
    try:
        asyncio.run(run(arguments[0]))
    except (SandboxError, SpecErrors) as reason:
        sys.exit(str(reason))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1:])
