"""`python -m regions.sandbox up|down|status|token|build|env`: regions that live on this machine."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
from types import FrameType
from typing import NoReturn

from regions.sandbox import charts, clusters, curl, engine, lifecycle, servers, status, toolchain
from regions.sandbox.console import OUT, line, step
from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import REGIONS
from regions.sandbox.node import example_images, gateway, images, issuer, packages

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 is done, 2 says that input or environment have to change."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except SandboxError as reason:
        print(f"sandbox: {reason}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sandbox: interrupted; the same command continues from here", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m regions.sandbox", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start everything and run `pulumi up` for each region")
    up.add_argument("--region", action="append", choices=REGIONS, help="only this one; repeatable")
    up.add_argument(
        "--kubeconfig",
        action="append",
        default=[],
        metavar="REGION=PATH[:CONTEXT]",
        help="use an existing cluster for a region",
    )
    up.set_defaults(run=_up)
    down = commands.add_parser("down", help="end every process and forget the regions")
    down.set_defaults(run=_down)
    show = commands.add_parser("status", help="what is served at this moment")
    show.add_argument("--json", action="store_true", help="for machines")
    show.set_defaults(run=_status)
    build = commands.add_parser("build", help="build the engine parts that are missing")
    build.set_defaults(run=_build)
    token = commands.add_parser("token", help="print a token of a region's sign-in, for an hour")
    token.add_argument("region", choices=REGIONS)
    token.add_argument("subject", help="who has signed in")
    token.add_argument("groups", nargs="*", help="the groups that callers of specs name")
    token.set_defaults(run=_token)
    env = commands.add_parser("env", help="print what plain `pulumi` needs, for `eval`")
    env.set_defaults(run=_env)
    return parser


def _up(options: argparse.Namespace) -> int:
    given = [clusters.parse(option) for option in options.kubeconfig]
    kubeconfigs = {region: (path, context) for region, path, context in given}
    regions = [one for one in REGIONS if one in (options.region or REGIONS)]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with lifecycle.alone():
        begun = lifecycle.was_begun()
        try:
            counts = lifecycle.up(regions, kubeconfigs)
        except KeyboardInterrupt:
            if begun or kubeconfigs:  # what others wait for, or have, stays
                raise
            lifecycle.end_interrupted()
            return INTERRUPTED
    rows = status.read(toolchain.locate(), regions)
    status.show(rows)
    _show_how_to_ask(rows)
    if not any(progress.changed for progress in counts.values()):
        line("sandbox", "up", "nothing changed")
    return 0


def _show_how_to_ask(rows: list[status.ModelStatus]) -> None:
    for row in rows:
        model = f"{row.project}/{row.model}"
        asked = curl.commands(row.region).get(model) if row.probe == "passes" else None
        if asked:
            OUT.print(f"\n# {model} in {row.region}: paste this for a prediction", markup=False)
            OUT.print(asked, markup=False, soft_wrap=True)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    # The engines run in their own process groups, where a terminal's Ctrl-C doesn't reach them.
    lifecycle.interrupt()
    raise KeyboardInterrupt


def _build(_options: argparse.Namespace) -> int:
    with lifecycle.alone(), step("sandbox", "toolchain") as running:
        running.note = f"pulumi {toolchain.prepare(running.say, own_clusters=False).pulumi}"
        servers.ensure(running.say)
        packages.require()
        toolchain.prepare_node(running.say)
        images.base(running.say)
        example_images.example_images(running.say)
        gateway.gateway_images(running.say)
        charts.pack()
    return 0


def _down(_options: argparse.Namespace) -> int:
    with lifecycle.alone():
        lifecycle.down()
    return 0


def _status(options: argparse.Namespace) -> int:
    rows = status.read(toolchain.locate())
    if options.json:
        print(json.dumps([row.as_dict() for row in rows], indent=2))
    else:
        status.show(rows)
    return 0


def _token(options: argparse.Namespace) -> int:
    print(issuer.token(options.region, options.subject, options.groups))
    return 0


def _env(_options: argparse.Namespace) -> int:
    for name, value in engine.environment(toolchain.locate()).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    try:
        code = main()
        OUT.file.flush()
    except BrokenPipeError:
        # The reader of our output has gone; what is left to print has nobody to read it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)
