"""Lists machine types: what a replica gets, what each region has of them and what that costs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from model_specs.errors import nearest
from model_specs.load import Model
from model_specs.runtimes import RUNTIMES
from regions.gpu_memory import fits_memory, heads_divided
from regions.limits import other_machine
from regions.machines import MACHINES, MachineType
from regions.offers import Offer
from regions.tracks import Version, versions
from stacks.outcome import OK, Outcome, refusal, table
from stacks.tree import Tree, moment_of, tree_of

_HEAD = (
    "MACHINE", "GPU", "GPUS", "GPU GiB", "CPU", "MEMORY GiB", "REGION", "NODES", "$/H", "$/H SPOT",
    "PRICE OF",
)  # fmt: skip


def _model(tree: Tree, wanted: str) -> Model:
    for model in tree.specs.models:
        if model.id == wanted:
            return model
    message = f"no such model, got {wanted!r}; {nearest(wanted, [m.id for m in tree.specs.models])}"
    raise refusal("--fits", "E333", message)


def _without_gpu(machine: MachineType, what: Version) -> str:
    needs = what.runtime.needs_gpu and what.serves and not machine.gpus
    return f"{what.runtime.name} cannot start without a GPU" if needs else ""


def _of_another(machine: MachineType, what: Version) -> str:
    own = RUNTIMES.get(what.runtime.name)
    return other_machine(own, machine) if own and what.image == own.image else ""


def _misfit(tree: Tree, machine: MachineType, model: Model) -> str:
    """Why the machine type cannot hold the model; empty if it can."""
    spec = model.spec.model_copy(update={"machine_type": machine.name})
    found = versions(tree.specs, spec).values()
    tests = (_without_gpu, _of_another, fits_memory, heads_divided)
    reasons = (why(machine, version) for version in found for why in tests)
    return next(filter(None, reasons), "").split(";")[0]  # the table is the advice


def _too_few(offer: Offer, model: Model) -> str:
    room = (offer.on_demand.max + offer.spot.max) * offer.replicas_per_node
    most = model.spec.scaling.max
    return f"scaling.max is {most}, room for {room}" if most > room else ""


def _rows(tree: Tree, model: Model | None) -> Iterator[dict[str, Any]]:
    """One row for each machine type and region that has it, or one without a region."""
    for machine in MACHINES.values():
        row: dict[str, Any] = {
            "machine_type": machine.name,
            "gpu": machine.gpu,
            "gpu_kind": machine.kind.name,
            "gpus": machine.gpus,
            "gpu_memory_gib": machine.gpu_memory_gib,
            "architecture": machine.architecture,
            "cpu": machine.cpu,
            "memory_gib": machine.memory_gib,
        }
        misfit = _misfit(tree, machine, model) if model else ""
        offers = {
            region: profile.machines[machine.name]
            for region, profile in tree.profiles.items()
            if machine.name in profile.machines
        }
        for region, offer in offers.items():
            price = offer.price_usd_per_hour
            why = misfit or (_too_few(offer, model) if model else "")
            yield row | {
                "region": region,
                "nodes_max": offer.on_demand.max + offer.spot.max,
                "on_demand_usd_per_hour": price.on_demand,
                "spot_usd_per_hour": price.spot,
                "price_as_of": str(price.as_of),
                **({"fits": not why, "reason": why} if model else {}),
            }
        if not offers:
            why = misfit or "no region has it"
            yield row | {"region": None, **({"fits": False, "reason": why} if model else {})}


def _money(amount: float | None) -> str:
    return "n/a" if amount is None else f"{amount:.2f}"


def _cells(row: dict[str, Any], fits: bool) -> list[str]:
    fixed = ("machine_type", "gpu", "gpus", "gpu_memory_gib", "cpu", "memory_gib")
    cells = [str(row[name] or "-") for name in fixed]
    if row["region"] is None:
        cells += ["-", "0", "n/a", "n/a", "n/a"]
    else:
        cells += [row["region"], str(row["nodes_max"])]
        cells += [_money(row["on_demand_usd_per_hour"]), _money(row["spot_usd_per_hour"])]
        cells.append(row["price_as_of"])
    return [*cells, "yes" if row["fits"] else f"no: {row['reason']}"] if fits else cells


def run(args: Namespace) -> Outcome:
    """List the catalogue."""
    tree = tree_of(args, moment_of(args))
    model = _model(tree, args.fits) if args.fits else None
    rows = list(_rows(tree, model))
    head = (*_HEAD, f"FITS {model.id}") if model else _HEAD
    cells = [_cells(row, model is not None) for row in rows]
    return Outcome(data=rows, text=table(head, cells), code=OK)
