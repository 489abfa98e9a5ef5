"""Why the API server does not refuse by hand what a rule refuses in what is rendered.

The admission guard (components/admission_guard.py) holds a rule where one expression over one
object can say it. For every other rule the reason stands here: tests hold that no rule is without.
"""

from __future__ import annotations

from typing import Final

SPEC: Final = "what is right follows from spec and profile, which the API server does not have"
"""To hand it to the API server was looked at for `as-asked`, and is not built:

- A digest of what was asked, as an annotation: CEL has no digest to compare it by (kubernetes.io,
  "Common Expression Language in Kubernetes": the libraries), and a hand can copy an annotation.
- A ConfigMap of each project as the policies' parameter, with every workload's images, commands and
  arguments: CEL reads no JSON, but texts with their lengths before them can be compared. It has to
  come before the workloads and go after them; pods of an old ReplicaSet start in between, so it has
  to hold the plan before as well, which no plan knows; and a Pod that a hand makes is of no
  workload in it. A parameter is also found later than it is made (kubernetes/kubernetes issue
  130887, open), and what is not found must deny, which would stop a project's pods.
- A policy for each model: as many expressions as models in every request for a pod.

What remains: a drift check names the field and who set it, and `up` takes it back.
"""
SEVERAL: Final = "only several objects show it together, and an admission policy sees one"
PROGRAM: Final = "it is about the program and its providers, not about an object that a hand edits"
AWS: Final = "it is no object of the cluster: who may change it is the account's own matter"
GUESS: Final = "what looks like a secret is found by how random it is, which CEL cannot measure"
WELCOME: Final = "people make Secrets by hand: that is how a value stays out of specs and states"

NOT_REFUSED: Final[dict[str, str]] = {
    name: why
    for why, names in (
        (
            SPEC,
            "model-digest cache-digest cache-disk own-account program-stated registry-keys"
            " tenant-roles labels-owner-cost startup-budget rollout-stated drain-order"
            " scaler-stated node-pool as-asked known-kinds ttl-limit",
        ),
        (
            SEVERAL,
            "cache-held private-no-ingress permissive-inside-only registry-reachable callers-reach"
            " rollout-feasible high-promise-replicas pdb-one spread spot-base scaler-bounds"
            " scaling-as-asked scaler-own-load gpu-quota synthetic-probe burn-alerts"
            " metrics-scraped dashboard iam-accounts nothing-missing",
        ),
        (
            PROGRAM,
            "api-served provider-account provider-allowed provider-cluster provider-pinned no-force"
            " aws-judged options-closed",
        ),
        (
            AWS,
            "protected-registry registry-versioned registry-present s3-settings s3-walls s3-owner"
            " s3-encryption s3-policy s3-lifecycle s3-replication kms-baseline kms-present"
            " iam-trust iam-least iam-nodes iam-bounds node-machine node-group node-present",
        ),
        (GUESS, "no-secret-config no-secret-annotation"),
        (WELCOME, "no-secret-object"),
    )
    for name in names.split()
}
"""The reason, by the rule's name."""
