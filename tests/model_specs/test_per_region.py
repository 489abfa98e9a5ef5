"""A spec says what differs in a region, and nothing that differs nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from model_specs.errors import SpecErrors
from model_specs.load import Model
from model_specs.runtimes import RUNTIMES
from tests.examples import a_model

LARGER = {"machine_type": "gpu.l4.4"}


def refusal(**fields: Any) -> tuple[str, str, str]:
    with pytest.raises(SpecErrors) as refused:
        a_model(**fields)
    (error,) = refused.value.errors
    return error.path, error.code, error.message


def test_a_map_differs_in_its_regions_and_serves_everywhere() -> None:
    model = a_model(regions={"here": LARGER})
    assert model.spec.is_in("elsewhere"), "a map says what differs, not where"
    assert model.spec.here("here").machine_type == "gpu.l4.4"
    assert model.spec.here("elsewhere").machine_type == "gpu.l4.1"


def test_a_list_says_where_and_what_differs_there() -> None:
    model = a_model(regions=["plain", {"here": LARGER}])
    served = {name: model.spec.is_in(name) for name in ("plain", "here", "elsewhere")}
    assert served == {"plain": True, "here": True, "elsewhere": False}
    assert model.spec.here("here").machine_type == "gpu.l4.4"
    assert model.spec.here("plain").machine_type == "gpu.l4.1"


def test_what_a_region_does_not_say_is_as_everywhere() -> None:
    scaling = {"min": 2, "max": 8, "queue_depth": 9}
    model = a_model(scaling=scaling, regions={"here": {"scaling": {"min": 4}}})
    (here,) = (model.spec.here("here").scaling,)
    assert (here.min, here.max, here.queue_depth) == (4, 8, 9)
    assert model.spec.here("here").model == model.spec.model, "one model, one set of weights"


def test_windows_of_a_region_stand_in_the_place_of_those_everywhere() -> None:
    night = {"start": "0 20 * * *", "end": "0 6 * * *", "replicas": 2}
    model = a_model(regions={"here": {"scaling": {"schedules": [night]}}})
    assert [one.replicas for one in model.spec.here("here").scaling.schedules] == [2]
    assert model.spec.here("elsewhere").scaling.schedules == ()


def test_a_model_that_differs_nowhere_is_the_very_same() -> None:
    model = a_model(regions={"here": LARGER})
    assert model.here("elsewhere") is model, "thousands of models differ in no region"
    assert model.here("here") is not model


@pytest.mark.parametrize(
    ("regions", "path", "code", "says"),
    [
        ({"here": {"machine_type": "gpu.l4.1"}}, "regions.here.machine_type", "E353",
         "it is so everywhere, got 'gpu.l4.1'; remove it"),
        ({"here": {"scaling": {"max": 2}}}, "regions.here.scaling.max", "E353",
         "it is so everywhere, got 2"),
        ({"here": {"tmp_gib": 4}}, "regions.here.tmp_gib", "E353", "it is so everywhere, got 4"),
        (["a", {"here": {"tmp_gib": 4}}], "regions[1].here.tmp_gib", "E353", "so everywhere"),
        ({"here": {}}, "regions.here", "E203", "nothing differs in this region"),
        ({"here": {"scaling": {}}}, "regions.here", "E203", "nothing differs in this region"),
        ([{"here": {}}], "regions[0].here", "E203", "write its name alone"),
        ({"here": None}, "regions.here", "E204", "should be an object"),
        ({"here": {"scaling": {"min": 5}}}, "regions.here.scaling", "E302",
         "in this region min is above max, got min 5 and max 2"),
        ({"here": {"scaling": {"scale_to_zero": True}}}, "regions.here", "E353",
         "scale_to_zero needs a gateway"),
        ({"here": {"machine": "gpu.l4.4"}}, "regions.here.machine", "E201",
         "did you mean machine_type?"),
        ({"here": {"image": "vllm"}}, "regions.here.image", "E202", "it belongs at image"),
        ({"here": {"tmp_gib": "9Gi"}}, "regions.here.tmp_gib", "E303", "write a bare number"),
        (["here", {"here": LARGER}], "regions[1]", "E333", "a region named twice, got 'here'"),
        ([{"a": LARGER, "b": LARGER}], "regions[0]", "E301", "at most 1 item"),
        ([3], "regions[0]", "E204", "should be a valid string"),
        ({}, "regions", "E333", "or what differs by name, got {}"),
        ({f"r{n}": {"tmp_gib": 9} for n in range(101)}, "regions", "E333", "at most 100"),
        ({"Here": LARGER}, "regions.Here", "E311", "use here"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_place(regions: Any, path: str, code: str, says: str) -> None:
    at, got, message = refusal(regions=regions)
    assert (at, got) == (path, code)
    assert says in message


def test_a_jobs_region_has_no_replicas_of_a_server() -> None:
    batch = {"batch": {"command": ["index"]}, "regions": {"here": {"scaling": {"max": 9}}}}
    path, code, message = refusal(**batch)
    assert (path, code) == ("regions.here.scaling", "E353")
    assert "it does not apply to batch" in message


def test_a_runtime_that_needs_a_gpu_is_asked_by_the_machine_of_the_region() -> None:
    assert RUNTIMES["vllm"].needs_gpu
    model: Model = a_model(regions={"here": {"machine_type": "cpu.4"}}).here("here")
    where = ("machine_type",)
    assert model.source.error(where, "E335", "x").path == "regions.here.machine_type"
    assert model.source.error(("image",), "E335", "x").path == "image", "of the file as it is"
