"""The admission guard as it was agreed: by policy, its row of the catalogue and its spec's digest.

A change of the guard is a change of what holds the rules on the API server: whoever makes it writes
the new digest here (`python -m tests.policies.guard_digests`), where a reviewer sees it. What
differs from region to region is left out (see policies.legal.platform.places).
"""

from __future__ import annotations

from typing import Final

AGREED: Final[dict[str, tuple[str, str]]] = {
    "isoserve-egress-allow-list": (
        "P28",
        "4b3c25298de5808af3f220730f9d9cd55965b052a72df64b32be41bdb5db4bc5",
    ),
    "isoserve-gpu-shape": (
        "P17",
        "d19cffdd3da13d38717a29a20cc35e63d2d52f7ffee7540f2b1f3d08fce79460",
    ),
    "isoserve-image-digest": (
        "P02",
        "d15beb67c5d5833449a38ec25cdf9c2339078a406f3b82093389fe0e663eca10",
    ),
    "isoserve-keda-fallback": (
        "P15",
        "95946dbc793a83559c69cf9c2668ea67e2980a91a48e864ef73bba4bfce141f0",
    ),
    "isoserve-known-gateways": (
        "P04",
        "780bac46db7290cc10ff5bbb650877068aa2082ec5c2489095dcbbaf47218faa",
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
        "f9c666b846e2c5a8c6a7fe89b0bc4b50ac1117c9d4c2f95a9adb77e838f84bcb",
    ),
    "isoserve-pdb-sane": (
        "P11",
        "6380b0e60a6c52670370a293ef800187dc3c6dd6bb9781d3016b1e5692b54722",
    ),
    "isoserve-pss-namespace": (
        "P01",
        "e2d1b895cbf6a19f52fc6c78c717141669392bc08a88f7b88a9f576bf57605a9",
    ),
    "isoserve-pss-restricted": (
        "P01",
        "65c8b8ede247728dd5bcc8a854e420b6beeccc081bfc15bee74cf5db12240c4f",
    ),
    "isoserve-public-needs-auth": (
        "P04",
        "b56676577fd3934ab4382369dbf460de01dfa49de24cd38a6b7a2a9a0c0772b4",
    ),
    "isoserve-rbac-bindings": (
        "P29",
        "52524ee1ca80ce1d4a28bd52c5443dbc16f28b82799caaeb4e304448cd81f5aa",
    ),
    "isoserve-rbac-least": (
        "P29",
        "1c5fb840f85adb34cb860443180c2b2cbb870e618d68b823c26e30b986fd49ab",
    ),
    "isoserve-route-own-name": (
        "P21",
        "567f5db2b246ebddad8b72db865d8db0775035271c9a4a0344dba9574d929436",
    ),
    "isoserve-tenant-isolation": (
        "P21",
        "e9f0841b8b227d2974d22abfd9171e089728c0ee323a1c3aa112724a14627f2e",
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
