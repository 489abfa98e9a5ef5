"""The admission guard as it was agreed: by policy, its row of the catalogue and its spec's digest.

A change of the guard is a change of what holds the rules on the API server: whoever makes it writes
the new digest here (`python -m tests.policies.guard_digests`), where a reviewer sees it. What
differs from region to region is left out (see policies.legal.platform.places).
"""

from __future__ import annotations

from typing import Final

AGREED: Final[dict[str, tuple[str, str]]] = {
    "isoserve-caller-keys": (
        "P04",
        "b7787bf4872f13802b0955d6167509195acd6c8504d477329cd55f6a4ccdb83e",
    ),
    "isoserve-egress-allow-list": (
        "P28",
        "1fbc02ee4a9957482769921ad89f30958fd6d5c789e6413af9681815e830dd9d",
    ),
    "isoserve-gpu-shape": (
        "P17",
        "a03ce3e7422208f07450b2f38522b4925a29747cfc725f41ae5ec77e105193db",
    ),
    "isoserve-image-digest": (
        "P02",
        "d15beb67c5d5833449a38ec25cdf9c2339078a406f3b82093389fe0e663eca10",
    ),
    "isoserve-image-host": (
        "P02",
        "a602a3f64d8898d49ef7e036e736cf526a5df488113f33e109ab6934c699ed73",
    ),
    "isoserve-keda-fallback": (
        "P15",
        "95946dbc793a83559c69cf9c2668ea67e2980a91a48e864ef73bba4bfce141f0",
    ),
    "isoserve-known-gateways": (
        "P04",
        "3bda159d4c226ac9f599a7d239897f8be1385764af012df521f20c64db8a2031",
    ),
    "isoserve-netpol-default-deny": (
        "P28",
        "4648850e830186f62c595e9b532cdcdfcf00bd3a36e2f936458137bd2ce92296",
    ),
    "isoserve-no-secret-literal": (
        "P22",
        "90d4f292b15dae4fe2c393c112a254b5b37ff88f91341417e52c73d100b32997",
    ),
    "isoserve-no-side-door": (
        "P05",
        "c2f6508fc7842f186dba07e62960948014585b99d380290a7f448ca6032c6af7",
    ),
    "isoserve-pdb-sane": (
        "P11",
        "c9fda09105577e90bfda55c5aa6d809c55d958065a44e47ca24d7a5ace99abfd",
    ),
    "isoserve-pss-namespace": (
        "P01",
        "e2d1b895cbf6a19f52fc6c78c717141669392bc08a88f7b88a9f576bf57605a9",
    ),
    "isoserve-pss-restricted": (
        "P01",
        "b6f00447307115278548dc9f7fafff7a31ced9e9ff87ac3458811c1c51c65562",
    ),
    "isoserve-public-needs-auth": (
        "P04",
        "34aa23b99fbaafd6d96b575ab91fed2831d3239e261cda6eb27c8e5fee2fce4c",
    ),
    "isoserve-rbac-bindings": (
        "P29",
        "7b3a8b5f0b8fb97fec306932814ce623ac90c65f075835088bd0bf4b36c4dddd",
    ),
    "isoserve-rbac-least": (
        "P29",
        "a1af212714de37bbd52a50f9f451c80f15ae3cac2eaa4398aa301fdbba227a42",
    ),
    "isoserve-route-own-name": (
        "P21",
        "07d59b85ef228d2974b43f0ae7f07d13a3f75ad75a3aa92a56778a87123fda66",
    ),
    "isoserve-tenant-isolation": (
        "P21",
        "f0d3cd1c8454fb48ed87a8df59dd2154a632d4f129f2c121a84a430f8b889c52",
    ),
    "isoserve-tenant-volumes": (
        "P21",
        "f673dcc5a3602da5620d405f99d8fbbd9fb23a0a1391ec210fb482c8ba5ca5d6",
    ),
    "isoserve-weights-read-only": (
        "P21",
        "ee4b37b0ad32562efec68a562c6d256591459dbc1711bd561680f904d31b91ea",
    ),
}
