"""Each region has a loopback network of its own, and keeps it as long as anything of it runs."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from regions.sandbox import networks
from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import REGIONS


@pytest.fixture(autouse=True)
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "networks.json"
    monkeypatch.setattr(networks, "NETWORKS_FILE", path)
    return path


def chosen() -> list[str]:
    return [networks.network(region) for region in REGIONS]


def test_regions_have_networks_of_their_own_that_stay() -> None:
    networks.choose_networks(anything_runs=False)
    first = chosen()
    assert len(set(first)) == len(REGIONS), "two regions' pods listen on the same ports"
    networks.choose_networks(anything_runs=True)
    assert chosen() == first, "pods and printed commands name these addresses"


def test_a_network_in_which_a_stranger_listens_is_left_to_him() -> None:
    networks.choose_networks(anything_runs=False)
    taken = chosen()[0]
    with socket.create_server((f"{taken}.7.7", 0)):
        assert int(taken.partition(".")[2]) in networks.listening()
        networks.choose_networks(anything_runs=True)
        assert taken in chosen(), "while the sandbox runs, it is itself who listens"
        networks.choose_networks(anything_runs=False)
        assert taken not in chosen(), "another sandbox may stand on this machine"


@pytest.mark.parametrize("text", ["", "{", '{"sandbox-aws": 99}', '{"sandbox-aws": "x"}'])
def test_a_file_cut_short_by_a_kill_is_chosen_anew(own_file: Path, text: str) -> None:
    own_file.write_text(text)
    networks.choose_networks(anything_runs=True)
    assert len(set(chosen())) == len(REGIONS)


def test_without_a_sandbox_a_person_is_told_to_start_one() -> None:
    with pytest.raises(SandboxError, match=r"python -m regions\.sandbox up"):
        networks.gateway_address("sandbox-aws")
