"""The registry's keys are for what downloads."""

from __future__ import annotations

from typing import Final

import pytest

from policies.registry_keys import RULES
from tests.policies.cases import Case, check, failing, setting
from tests.policies.estate import changed, named, said

(KEYS,) = RULES
HERE: Final = "seoul-dc1"
SERVER: Final = "Deployment search/embedder"
POD: Final = "spec template spec"
MOUNTS: Final = f"{POD} containers 0 volumeMounts"
SECRET: Final = {"secretName": "isoserve-registry"}
PROJECTED: Final = {"sources": [{"secret": {"name": SECRET["secretName"]}}]}
FAULT: Final = "shows the registry's keys, Secret isoserve-registry, to model-server"
CASES: Final = (
    Case(rule=KEYS, of=SERVER, path=f"{MOUNTS} 0 name", value="registry-credentials",
         says=FAULT, field="secrets", region=HERE),
    Case(rule=KEYS, of=SERVER, path=f"{POD} volumes 1 secret", value=SECRET,
         says=FAULT, field="secrets", region=HERE),
    Case(rule=KEYS, of=SERVER, path=f"{POD} volumes 1 projected", value=PROJECTED,
         says=FAULT, field="secrets", region=HERE),
)  # fmt: skip
FAILING: Final = failing(CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_keys_that_a_model_s_own_code_sees_are_found(case: Case) -> None:
    check(case)


def test_a_pod_that_downloads_has_them_in_its_first_container() -> None:
    pod = named(SERVER, HERE).spec["template"]["spec"]
    volumes = {one["name"]: one for one in pod["volumes"]}
    assert volumes["registry-credentials"]["secret"] == SECRET, "so the rule is not deaf here"
    assert said(KEYS, region=HERE) == []


def test_a_debugging_container_does_not_see_them_either() -> None:
    shell = {"name": "shell", "volumeMounts": [{"name": "registry-credentials"}]}
    change = setting(f"{POD} ephemeralContainers", [shell])
    found = said(KEYS, changed(named(SERVER, HERE), change), region=HERE)
    assert "to shell" in found[0].place.message


def test_where_roles_serve_a_secret_of_this_name_is_any_secret() -> None:
    change = setting(f"{POD} volumes 1 secret", SECRET)
    assert said(KEYS, changed(named(SERVER), change)) == []
