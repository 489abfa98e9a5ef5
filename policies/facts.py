"""What rules may hold a resource against: the region's profile, and what people asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from model_specs.errors import SpecError
from model_specs.load import Model, Project, Specs, load
from model_specs.schema import Batch
from model_specs.source import Source, read
from policies.resources import Resource
from regions.profile import RegionProfile, load_profiles

_STEPS: Final = re.compile(r"\[([^\]]+)\]|([^.\[\]]+)")


@dataclass(frozen=True)
class Facts:
    """One region's profile, the specs as their authors wrote them, and the day of judgement."""

    region: str
    profile: RegionProfile
    profile_source: Source
    specs: Specs
    today: date

    @cached_property
    def models(self) -> dict[str, Model]:
        """Models by id."""
        return {model.id: model for model in self.specs.models}

    @property
    def projects(self) -> dict[str, Project]:
        """Projects by name, which is also that of their namespace."""
        return self.specs.projects

    def arn(self, rest: str) -> str:
        """The ARN that goes on with `rest` after the region's AWS partition."""
        return f"arn:{self.profile.account.partition.name}:{rest}"

    def job_with_data(self, namespace: str, account: str) -> Batch | None:
        """The batch job of a ServiceAccount, if it has data and so a role of its own."""
        model = self.models.get(f"{namespace}/{account}")
        batch = model.spec.batch if model else None
        return batch if batch and (batch.input or batch.output) else None

    @property
    def jobs_have_roles(self) -> bool:
        """Whether a job with data has a role of its own; an S3-compatible store has none."""
        return self.profile.provider == "aws" and not self.profile.registry.endpoint

    def role(self, namespace: str) -> str:
        """The name of the role of a namespace's pods."""
        return f"isoserve.{self.region}.{namespace}"

    def is_role_of_job(self, name: str, namespace: str) -> bool:
        """Whether a role's name is that of some job of the namespace.

        It ends in a dot and 8 digits, and IAM takes 64 characters.
        """
        return name.startswith(f"{self.role(namespace)}."[: 64 - 9])

    def callers(self, model: Model) -> frozenset[str]:
        """The projects that may call a model: its own, and those that it is shared with."""
        shared = (*model.spec.share_with, *self.projects[model.project].spec.share_with)
        return frozenset({model.project, *shared})

    @cached_property
    def callees(self) -> dict[str, frozenset[str]]:
        """By project, the namespaces that it may call: its own, and who shares with it here.

        And the gateways' proxies, where the region has them: anybody may call a permissive model.
        """
        routed = {"gateway_api", "envoy_gateway"} <= set(self.profile.all_capabilities)
        proxies = self.profile.proxy_namespaces if routed else ()
        found = {name: {name, *proxies} for name in self.projects}
        for model in self.specs.models:
            if model.spec.is_in(self.region) and model.spec.batch is None:
                for caller in self.callers(model) & set(found):
                    found[caller].add(model.project)
        return {name: frozenset(spaces) for name, spaces in found.items()}

    def place(self, resource: Resource, field: str, code: str, message: str) -> SpecError:
        """`message` at the line that a person would change.

        `field` is a path in the model's spec, in the project's, or in the region's profile,
        whichever the resource belongs to; a field that is not written is placed at its parent. A
        step that holds dots itself stands in brackets: `gpu_quota[gpu.l4.1]`.
        """
        source = self.profile_source
        if resource.model in self.models:
            source = self.models[resource.model].source
        elif resource.project in self.projects:
            source = self.projects[resource.project].source
        steps = (dotted or plain for dotted, plain in _STEPS.findall(field))
        where = tuple(int(step) if step.isdigit() else step for step in steps)
        return source.error(where, code, message)


def facts_of(
    specs: Specs, profile: RegionProfile, regions: Path, region: str, today: date
) -> Facts:
    """Facts of a region whose specs and profile are read; `regions` is the profile's directory.

    Raises SpecErrors when the profile's file is no longer there.
    """
    source = read(regions / f"{region}.yaml", f"{regions.name}/{region}.yaml")
    return Facts(region, profile, source, specs.here(region), today)


def read_facts(specs: Path, regions: Path, region: str, at: datetime) -> Facts:
    """Facts of one region at a moment. Raises SpecErrors when specs or profile are refused."""
    profile = load_profiles(regions, (region,))[region]
    return facts_of(load(specs).wanted_at(at), profile, regions, region, at.date())
