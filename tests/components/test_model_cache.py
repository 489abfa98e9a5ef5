"""Agents stand where their models' pods stand, and tenants see their own directory, read-only."""

from __future__ import annotations

import json
from itertools import product

import pytest

from components.kube import Object
from tests.examples import (
    REGIONS,
    Identity,
    a_model,
    by_identity,
    identity,
    objects_of,
    of_kind,
    plan_of,
    planned,
    rendered,
    template,
    workloads,
)

every_region = pytest.mark.parametrize("region", REGIONS)
HOLDING = [region for region in REGIONS if plan_of(region).caches]
every_holder = pytest.mark.parametrize("region", HOLDING)
MACHINE = "isoserve.dev/machine-type"
CACHE = "isoserve-cache"
ROOT = "/var/lib/isoserve"


def agents_of(region: str) -> list[Object]:
    return of_kind("DaemonSet", objects_of(region))


def cached_pods(region: str) -> list[tuple[Object, Object, str]]:
    """Workload, pod spec and claim, of every pod that waits for a node's copy."""
    return [
        (made, template(made)["spec"], volume["persistentVolumeClaim"]["claimName"])
        for made in workloads(objects_of(region))
        for volume in template(made)["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    ]


@every_holder
def test_an_agent_stands_on_every_node_where_a_pod_waits_for_it(region: str) -> None:
    agents = {template(a)["spec"]["nodeSelector"][MACHINE]: a for a in agents_of(region)}
    assert cached_pods(region), "or this proves nothing"
    for made, pod, _ in cached_pods(region):
        machine = pod["nodeSelector"][MACHINE]
        assert machine in agents, f"{identity(made)} waits for ever"
        selector = template(agents[machine])["spec"]["nodeSelector"]
        assert selector.items() <= pod["nodeSelector"].items(), (
            "an agent that is pickier than the pods misses some of their nodes"
        )


@every_holder
def test_an_agent_tolerates_what_its_pods_tolerate(region: str) -> None:
    agents = {template(a)["spec"]["nodeSelector"][MACHINE]: a for a in agents_of(region)}
    for made, pod, _ in cached_pods(region):
        known = template(agents[pod["nodeSelector"][MACHINE]])["spec"]["tolerations"]
        for taint in pod.get("tolerations", ()):
            covered = [
                t
                for t in known
                if t["key"] == taint["key"]
                and (t["operator"] == "Exists" or t.get("value") == taint["value"])
                and t.get("effect", taint["effect"]) == taint["effect"]
            ]
            assert covered, f"{identity(made)} stands on a node that the agent may not enter"


@every_holder
def test_volumes_and_claims_are_pairs_bound_by_hand(region: str) -> None:
    found = by_identity(objects_of(region))
    volumes = of_kind("PersistentVolume", found.values())
    claims = of_kind("PersistentVolumeClaim", found.values())
    assert len(volumes) == len(claims) > 0
    for volume in volumes:
        spec = volume["spec"]
        wanted = spec["claimRef"]
        claim = found[Identity("PersistentVolumeClaim", wanted["namespace"], wanted["name"])]
        assert claim["spec"]["volumeName"] == identity(volume).name, "another may take its place"
        assert claim["spec"]["accessModes"] == spec["accessModes"] == ["ReadOnlyMany"]
        assert claim["spec"]["storageClassName"] == spec["storageClassName"]
        asked = claim["spec"]["resources"]["requests"]["storage"]
        assert asked == spec["capacity"]["storage"], "a claim larger than its volume never binds"
        assert spec["persistentVolumeReclaimPolicy"] == "Retain", (
            "the directory is the agent's to empty, not the volume controller's"
        )


@every_holder
def test_a_volumes_size_follows_no_disk(region: str) -> None:
    found = objects_of(region)
    sizes = {made["spec"]["capacity"]["storage"] for made in of_kind("PersistentVolume", found)}
    claims = of_kind("PersistentVolumeClaim", found)
    sizes |= {made["spec"]["resources"]["requests"]["storage"] for made in claims}
    assert sizes == {"1Gi"}, "the API server lets a claim neither grow nor shrink"


@every_holder
def test_a_volume_is_the_projects_own_directory_on_the_machines_of_its_type(region: str) -> None:
    for volume in of_kind("PersistentVolume", objects_of(region)):
        project = volume["spec"]["claimRef"]["namespace"]
        assert volume["spec"]["local"]["path"] == f"{ROOT}/{project}", "no tenant sees another's"
        (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        (where,) = term["matchExpressions"]
        assert (where["key"], where["operator"]) == (MACHINE, "In")
        claim = volume["spec"]["claimRef"]["name"]
        assert [claim] == [f"models-{m.replace('.', '-')}" for m in where["values"]]


@every_holder
def test_the_claim_of_a_pod_is_that_of_its_machines(region: str) -> None:
    for made, pod, claim in cached_pods(region):
        machine = pod["nodeSelector"][MACHINE]
        assert claim == f"models-{machine.replace('.', '-')}", (
            f"{identity(made)}: the volume's affinity and the pod's selector exclude each other"
        )


@every_holder
def test_the_agent_is_told_of_every_version_that_is_waited_for(region: str) -> None:
    held = {
        (identity(made).name, model["project"], model["digest"])
        for made in of_kind("ConfigMap", objects_of(region))
        if identity(made).namespace == CACHE
        for model in json.loads(made["data"]["models.json"])["models"]
    }
    for made, pod, _ in cached_pods(region):
        (first,) = pod["initContainers"]
        digest = first["args"][first["args"].index("--digest") + 1]
        name = f"cache-{pod['nodeSelector'][MACHINE].replace('.', '-')}"
        project = made["metadata"]["namespace"]
        assert (name, project, digest) in held, f"{identity(made)} waits for what nobody fetches"


def test_a_new_model_restarts_no_agent() -> None:
    one, two = a_model(name="one"), a_model(name="two")
    before, after = ({identity(o): o for o in rendered(planned(*m))} for m in ((one,), (one, two)))
    agent = Identity("DaemonSet", CACHE, "cache-gpu-l4-1")
    assert before[agent] == after[agent], "the agent reads its list anew; a restart drops downloads"
    config = Identity("ConfigMap", CACHE, "cache-gpu-l4-1")
    assert before[config] != after[config], "it is told of the new model"


@every_holder
def test_the_hostpath_is_the_caches_own_directory(region: str) -> None:
    for agent in agents_of(region):
        assert identity(agent).namespace == CACHE
        paths = [v["hostPath"] for v in template(agent)["spec"]["volumes"] if "hostPath" in v]
        assert paths == [{"path": ROOT, "type": "DirectoryOrCreate"}]


@every_holder
def test_agents_are_replaced_a_few_at_a_time(region: str) -> None:
    for agent in agents_of(region):
        rolling = agent["spec"]["updateStrategy"]["rollingUpdate"]
        assert rolling == {"maxUnavailable": "10%"}, "all at once asks the registry all at once"


@every_holder
def test_there_is_one_account_for_all_agents_of_a_region(region: str) -> None:
    accounts = [
        made
        for made in of_kind("ServiceAccount", objects_of(region))
        if identity(made).namespace == CACHE
    ]
    assert [identity(made).name for made in accounts] == ["cache-agent"]
    notes = accounts[0]["metadata"]["annotations"]
    aws = plan_of(region).provider == "aws"
    assert ("eks.amazonaws.com/role-arn" in notes) == aws, "only AWS has IAM roles"


@every_region
def test_without_cluster_rights_there_is_no_cache(region: str) -> None:
    guest = "cluster_scope" not in plan_of(region).capabilities
    assert bool(agents_of(region)) != guest
    assert bool(of_kind("PersistentVolume", objects_of(region))) != guest


def test_two_projects_on_one_machine_type_have_a_window_each() -> None:
    found = rendered(planned(a_model("alpha", "one"), a_model("omega", "two")))
    names = {identity(made) for made in found if made["kind"].startswith("PersistentVolume")}
    assert names == {
        Identity(kind, *where)
        for (kind, where) in [
            *product(["PersistentVolume"], [("", f"{p}-models-gpu-l4-1") for p in PROJECTS]),
            *product(["PersistentVolumeClaim"], [(p, "models-gpu-l4-1") for p in PROJECTS]),
        ]
    }
    assert len(of_kind("DaemonSet", found)) == 1, "the node holds the models of both once"


PROJECTS = ("alpha", "omega")
