"""Laws of every object of every region: heads, names, hardening, and the same set everywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from components.gates.acts import ACTS
from components.gates.claims import CLAIM
from components.gates.foreign_fields import FOREIGN
from components.kube import Object
from model_specs.names import LABEL_PROJECT, MANAGED_BY, MAX_NAME
from regions.resolve import resolve
from stacks.reviewing.aws_nouns import nouns
from tests.examples import (
    REGIONS,
    Identity,
    a_model,
    a_profile,
    a_tree,
    by_identity,
    containers,
    identity,
    objects_of,
    of_kind,
    parts_of,
    plan_of,
    planned,
    profiles,
    rendered,
    selects,
    template,
    workloads,
)
from tests.tracked import ROOT

CACHE = "isoserve-cache"
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip
HOST_FIELDS = ("hostIPC", "hostNetwork", "hostPID", "hostUsers", "shareProcessNamespace")
LONGEST = "a" * MAX_NAME
every_region = pytest.mark.parametrize("region", REGIONS)


def pods_of(region: str) -> list[tuple[str, Object, Object]]:
    """Each workload's name, itself and its pod spec."""
    found = workloads(objects_of(region))
    assert found, "a region without workloads proves nothing"
    return [(identity(made).name, made, template(made)["spec"]) for made in found]


def tenant_pods_of(region: str) -> list[tuple[str, Object, Object]]:
    return [row for row in pods_of(region) if row[1]["metadata"]["namespace"] != CACHE]


# -- what the README says of them --------------------------------------------------------------


def test_the_readme_has_a_row_for_each_noun_and_for_no_other() -> None:
    _, _, table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| noun | of |")
    rows = re.findall(r"^\| (\w+) \|", table.partition("\n\n")[0], re.MULTILINE)
    made = {part.noun for region in REGIONS for part in parts_of(region)}
    made |= {part.noun for region in REGIONS for part in nouns(plan_of(region))}
    assert set(rows) == made | {*ACTS, CLAIM, FOREIGN, "RolloutGate"}, "of acts, all"
    assert len(rows) == len(set(rows)), "one row each"


# -- heads and names -------------------------------------------------------------------------


@every_region
def test_every_object_says_who_made_it_and_how_the_provider_treats_it(region: str) -> None:
    for made in objects_of(region):
        metadata = made["metadata"]
        assert selects(MANAGED_BY, metadata["labels"]), "the gate lists ours by this label"
        notes = metadata["annotations"]
        assert notes["pulumi.com/skipAwait"] == "true", "one gate waits, not every object"
        assert notes["pulumi.com/patchFieldManager"] == "isoserve", (
            "with a random manager a killed `up` meets its own fields as a stranger's"
        )


@every_region
def test_no_two_objects_are_the_same_one(region: str) -> None:
    found = [identity(made) for made in objects_of(region)]
    assert len(found) == len(set(found)), "the second would overwrite the first"


@every_region
def test_no_two_parts_have_the_same_logical_name(region: str) -> None:
    names = [(part.noun, part.name) for part in parts_of(region)]
    assert len(names) == len(set(names)), "the engine refuses two resources of one name"
    assert all(part.objects for part in parts_of(region)), "an empty component says nothing"


def check_names(found: list[Object]) -> None:
    for made in found:
        kind, _, name = identity(made)
        assert DNS_LABEL.fullmatch(name), f"{kind} {name} is no DNS label"
        assert len(name) <= (52 if kind == "CronJob" else 63), f"{kind} {name} is too long"
        labels = dict(made["metadata"]["labels"])
        if made in workloads(found):
            labels |= template(made)["metadata"]["labels"]
        for key, value in labels.items():
            assert len(value) <= 63, f"{kind} {name}: label {key} is too long"
            assert LABEL_VALUE.fullmatch(value), f"{kind} {name}: {key} is no label value"
        if kind == "HTTPRoute":
            for host in made["spec"]["hostnames"]:
                assert all(len(part) <= 63 for part in host.split(".")), f"{host}: no DNS name"
        if kind == "ScaledObject":
            assert len(f"keda-hpa-{name}") <= 63, "KEDA makes an HPA of this name"


@every_region
def test_names_and_labels_are_what_kubernetes_accepts(region: str) -> None:
    found = objects_of(region)
    assert found
    check_names(found)


@pytest.mark.parametrize("like", ["us-east-1", "sandbox-onprem"])
def test_the_longest_names_still_fit(like: str) -> None:
    candidate = {"strategy": "canary", "candidate": {"image": "triton"}}
    models = (
        a_model(LONGEST, LONGEST, access="public", rollout=candidate, capacity={"spot": True}),
        a_model(LONGEST, "b" * MAX_NAME, batch={"command": ["x"]}),
        a_model(LONGEST, "c" * MAX_NAME, batch={"command": ["x"], "schedule": "0 1 * * *"}),
        a_model(LONGEST, "d" * MAX_NAME, machine_type="gpu.l40s.4", cache="always"),
    )
    without = () if like == "us-east-1" else ("keda", "prometheus_operator")
    plan = resolve(a_tree(*models), a_profile(like, without), "r" * 20)
    assert {s.workload.model[0] for s in plan.servers} == {"a", "d"}, plan.gaps
    check_names(rendered(plan))


@every_region
def test_every_object_in_a_namespace_finds_it(region: str) -> None:
    """A namespace is ours, or the region gives us namespace rights only."""
    plan = plan_of(region)
    made = {identity(o).name for o in of_kind("Namespace", objects_of(region))}
    given = {project.namespace for project in plan.projects if not project.owns_namespace}
    used = {identity(o).namespace for o in objects_of(region)} - {""}
    assert used <= made | given, "an object in a namespace that nobody makes is refused"


@every_region
def test_a_tenants_objects_stand_in_its_own_namespace(region: str) -> None:
    projects = {project.name for project in plan_of(region).projects}
    for part in parts_of(region):
        for made in part.objects if part.model else ():
            project = part.model.split("/")[0]
            assert made["metadata"]["namespace"] == project in projects
            assert made["metadata"]["labels"][LABEL_PROJECT] == project


@every_region
def test_objects_are_plain_values(region: str) -> None:
    for made in objects_of(region):
        assert json.loads(json.dumps(made)) == made, "a tuple or a key of another type is lost"


@every_region
def test_rendering_twice_gives_the_same(region: str) -> None:
    assert rendered(plan_of(region)) == objects_of(region), "a preview would show phantom changes"


# -- the hardening table, on every pod template ----------------------------------------------


@every_region
def test_no_container_may_gain_rights(region: str) -> None:
    for name, _, pod in pods_of(region):
        for one in containers(pod):
            rights = one["securityContext"]
            assert rights["allowPrivilegeEscalation"] is False, name
            assert rights["capabilities"]["drop"] == ["ALL"], name
            assert rights["readOnlyRootFilesystem"] is True, "what runs is what was pinned"
            assert not rights.get("privileged", False), name
            assert "procMount" not in rights, name
            assert "add" not in rights["capabilities"], name


@every_region
def test_no_tenants_pod_runs_as_root(region: str) -> None:
    for name, _, pod in tenant_pods_of(region):
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, name
        for field in ("fsGroup", "runAsGroup", "runAsUser"):
            assert context[field] >= 10_001, f"{name}: an id of the host's own users"
        for one in containers(pod):
            mixed = {"runAsUser", "runAsGroup", "runAsNonRoot"} & set(one["securityContext"])
            assert not mixed, f"{name}: a container may not undo what its pod says"


@every_region
def test_every_pod_has_the_runtimes_seccomp_profile_and_no_host(region: str) -> None:
    for name, _, pod in pods_of(region):
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not any(pod.get(field) for field in HOST_FIELDS), name
        assert "sysctls" not in pod["securityContext"], name
        for one in containers(pod):
            assert not any("hostPort" in port for port in one.get("ports", ())), name


@every_region
def test_only_the_cache_agent_sees_the_nodes_disk(region: str) -> None:
    for name, made, pod in pods_of(region):
        kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
        allowed = RESTRICTED_VOLUMES
        if made["metadata"]["namespace"] == CACHE:
            allowed = RESTRICTED_VOLUMES | {"hostPath"}
        assert kinds <= allowed, f"{name}: Pod Security `restricted` refuses {kinds - allowed}"


@every_region
def test_no_pod_has_a_token_it_does_not_need(region: str) -> None:
    accounts = {identity(o): o for o in of_kind("ServiceAccount", objects_of(region))}
    for name, made, pod in pods_of(region):
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["serviceAccountName"] != "default", "everybody shares the default one"
        key = Identity("ServiceAccount", made["metadata"]["namespace"], pod["serviceAccountName"])
        assert key in accounts, f"{name}: a pod without its account is never created"
        assert accounts[key]["automountServiceAccountToken"] is False, name


@every_region
def test_every_image_is_pinned_and_checked_on_every_pull(region: str) -> None:
    for name, _, pod in pods_of(region):
        for one in containers(pod):
            assert re.search(r"@sha256:[0-9a-f]{64}$", one["image"]), "a tag can be moved"
            assert one["imagePullPolicy"] == "Always", (
                f"{name}: a node's copy is no proof of this tenant's right to pull"
            )


@every_region
def test_requests_are_limits(region: str) -> None:
    for name, _, pod in pods_of(region):
        for one in containers(pod):
            sizes = one["resources"]
            assert sizes["requests"] == sizes["limits"], f"{name}: a burst that others pay for"
            assert {"cpu", "ephemeral-storage", "memory"} <= set(sizes["limits"]), (
                f"{name}: the ResourceQuota refuses a pod that does not say"
            )


@every_region
def test_only_who_asked_for_gpus_has_them(region: str) -> None:
    plan = plan_of(region)
    gpus = {
        (server.workload.namespace, track.name): track.placement.gpus
        for server in plan.servers
        for track in server.tracks
    }
    gpus |= {(job.workload.namespace, job.workload.model): job.placement.gpus for job in plan.jobs}
    for name, made, pod in pods_of(region):
        asked = [
            one["resources"]["limits"]["nvidia.com/gpu"]
            for one in containers(pod)
            if "nvidia.com/gpu" in one["resources"]["limits"]
        ]
        wanted = gpus.get((made["metadata"]["namespace"], name), 0)
        assert asked == ([str(wanted)] if wanted else []), f"{name}: a GPU held for nothing"


@every_region
def test_secrets_are_files_and_never_environment(region: str) -> None:
    for name, _, pod in pods_of(region):
        for one in containers(pod):
            assert "envFrom" not in one, name
            sources = [entry.get("valueFrom", {}) for entry in one.get("env", ())]
            assert not any("secretKeyRef" in source for source in sources), (
                f"{name}: the environment is read by every child and shown in every dump"
            )


@every_region
def test_every_mount_has_its_volume_and_every_volume_its_mount(region: str) -> None:
    for name, _, pod in pods_of(region):
        volumes = {volume["name"] for volume in pod["volumes"]}
        mounts = {m["name"] for one in containers(pod) for m in one["volumeMounts"]}
        assert mounts == volumes, f"{name}: the API server refuses the pod, or a volume idles"


@every_region
def test_every_config_map_and_claim_of_a_pod_is_there(region: str) -> None:
    found, theirs = by_identity(objects_of(region)), profiles()[region].tls_ca
    for name, made, pod in pods_of(region):
        namespace = made["metadata"]["namespace"]
        for volume in pod["volumes"]:
            if "configMap" in volume and volume["configMap"]["name"] != theirs:
                key = Identity("ConfigMap", namespace, volume["configMap"]["name"])
                assert key in found, f"{name} would wait for it for ever"
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]
                key = Identity("PersistentVolumeClaim", namespace, claim["claimName"])
                assert key in found, f"{name} would wait for it for ever"
                assert claim["readOnly"] is True, "a tenant never writes what others read"


@every_region
def test_every_server_has_three_probes_on_a_port_it_opens(region: str) -> None:
    for name, made, pod in pods_of(region):
        if made["kind"] in ("Job", "CronJob"):
            continue
        for one in pod["containers"]:
            ports = {port["name"] for port in one["ports"]}
            for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
                get = one[probe]["httpGet"]
                assert get["port"] in ports, f"{name}: {probe} asks a closed port"
                assert "host" not in get, f"{name}: a probe of another host is refused"
                assert "initialDelaySeconds" not in one[probe], "the startup probe does that"
            assert one["livenessProbe"] != one["readinessProbe"], (
                f"{name}: a pod that is only busy would be restarted"
            )


BUILT_IN = {"system-cluster-critical", "system-node-critical"}
"""Priority classes that the API server itself makes."""


@every_region
def test_the_kubelet_never_evicts_the_cache_agent(region: str) -> None:
    for name, made, pod in pods_of(region):
        critical = pod.get("priorityClassName") == "system-node-critical"
        assert critical == (made["kind"] == "DaemonSet"), (
            f"{name}: under disk pressure the agent alone can free what its models take"
        )


@every_region
def test_every_priority_class_is_there(region: str) -> None:
    made = {identity(o).name for o in of_kind("PriorityClass", objects_of(region))}
    used = {pod["priorityClassName"] for _, _, pod in pods_of(region) if "priorityClassName" in pod}
    assert used <= made | BUILT_IN, "a pod of an unknown class is refused"
    assert made <= used | {"isoserve-preemptible"}, "one that no pod has is a leftover"


@every_region
def test_every_selector_matches_its_own_template(region: str) -> None:
    for name, made, _ in pods_of(region):
        if made["kind"] in ("DaemonSet", "Deployment"):
            selector = made["spec"]["selector"]["matchLabels"]
            assert selects(selector, template(made)["metadata"]["labels"]), name


@every_region
def test_no_workload_selects_pods_of_another(region: str) -> None:
    rows = [row for row in pods_of(region) if row[1]["kind"] in ("DaemonSet", "Deployment")]
    for name, made, _ in rows:
        selector = made["spec"]["selector"]["matchLabels"]
        namespace = made["metadata"]["namespace"]
        taken = [
            other
            for other, it, _ in pods_of(region)
            if it["metadata"]["namespace"] == namespace
            and selects(selector, template(it)["metadata"]["labels"])
        ]
        assert taken == [name], f"{name} would adopt the pods of {taken}"


# -- the same everywhere ---------------------------------------------------------------------

Row = tuple[str, str, Identity]
CAPABILITY_OF = {
    "Gateway": "cluster_scope",
    "HorizontalPodAutoscaler": "keda",
    "Namespace": "cluster_scope",
    "PodMonitor": "prometheus_operator",
    "PriorityClass": "cluster_scope",
    "PrometheusRule": "prometheus_operator",
    "ScaledObject": "keda",
    "ValidatingAdmissionPolicy": "cluster_scope",
    "ValidatingAdmissionPolicyBinding": "cluster_scope",
}
"""Kinds that a region has or has not by one capability."""


def rows_of(region: str) -> set[Row]:
    return {
        (part.noun, part.name, identity(made)) for part in parts_of(region) for made in part.objects
    }


def models_of(region: str) -> set[str]:
    plan = plan_of(region)
    return {s.workload.id for s in plan.servers} | {j.workload.id for j in plan.jobs}


def declared(row: Row, here: str, there: str) -> bool:
    """Whether one of two regions may have this object and the other not."""
    noun, name, (kind, namespace, _) = row
    lacking = set(plan_of(here).capabilities) ^ set(plan_of(there).capabilities)
    served = models_of(here) ^ models_of(there)
    spot = {
        d.model
        for region in (here, there)
        for d in plan_of(region).downgrades
        if d.feature == "spot nodes"
    }
    issuers = {
        g.tls_issuer for region in (here, there) for g in plan_of(region).gateways if g.tls_secret
    }
    return (
        name in served
        or CAPABILITY_OF.get(kind, "") in lacking
        or (noun in ("GpuNodePool", "ModelCache") and (bool(served) or "cluster_scope" in lacking))
        or (noun == "GpuNodePool" and plan_of(here).provider != plan_of(there).provider)
        or (noun in ("ModelServer", "ReplicaAutoscaler") and name in spot)
        or (kind == "Certificate" and "" in issuers)
        or (namespace.startswith("isoserve-") and "cluster_scope" in lacking)
    )


@pytest.mark.parametrize("region", REGIONS[1:])
def test_every_region_has_the_same_objects(region: str) -> None:
    reference = REGIONS[0]
    odd = [
        row
        for row in sorted(rows_of(region) ^ rows_of(reference))
        if not declared(row, region, reference)
    ]
    assert not odd, f"{reference} and {region} differ in {odd}: values may, the set may not"


def test_regions_that_can_do_the_same_register_exactly_the_same() -> None:
    assert rows_of("eu-central-1") == rows_of("us-east-1"), "stacks of equal regions are equal"


@every_region
def test_no_name_holds_the_region(region: str) -> None:
    for noun, name, (kind, namespace, own) in rows_of(region):
        for text in (name, namespace, own):
            assert region not in text, f"{noun} {kind} {text}: URNs of all stacks are compared"


def test_only_names_of_nodes_are_a_places_own() -> None:
    facts = ("onprem", "aws", "dc1", "123456789012")
    for region in REGIONS:
        for _, name, (kind, namespace, own) in rows_of(region):
            if kind != "Node":
                assert not any(fact in text for fact in facts for text in (name, namespace, own))


def test_a_part_says_whose_it_is() -> None:
    for part in parts_of("sandbox-onprem"):
        assert part.model in ("", part.name), "a model's part is named like the model"
        if part.noun in ("ModelServer", "ModelRoute", "ReplicaAutoscaler", "ModelJob"):
            assert part.model, "a stack can be split by project only when parts say whose they are"


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for below in value.values():
            yield from references(below)
    elif isinstance(value, list):
        for below in value:
            yield from references(below)
    elif isinstance(value, str):
        yield value


def test_a_projects_slice_names_no_other_project() -> None:
    models = (a_model("alpha", "one"), a_model("omega", "two"))
    plan = planned(*models)
    own = [o for o in rendered(plan) if o["metadata"].get("namespace") == "alpha"]
    assert own
    for made in own:
        words = [text for text in references(made) if "omega" in text]
        assert not words, f"{identity(made)} needs {words}: a stack is split by project one day"
