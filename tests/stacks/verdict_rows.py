"""What somebody might change in a pull request, by kind, and what the review must say of it."""

from __future__ import annotations

from typing import Any, Final

Row = tuple[str, str, Any, str]
"""The file, the path in it (tests.policies.cases.setting), its new value, and the risk that is
raised; a row's verdict is that of its table. An empty path is the whole file of another project."""

PROVIDED: Final = ("gateway-api", "envoy-gateway", "cert-manager")
USE1: Final = "regions/us-east-1.yaml"
EUC1: Final = "regions/eu-central-1.yaml"
SEOUL: Final = "regions/seoul-dc1.yaml"
CHAT: Final = "model_specs/chat/project.yaml"
SEARCH: Final = "model_specs/search/project.yaml"
ASSISTANT: Final = "model_specs/chat/assistant.yaml"
INDEX: Final = "model_specs/search/nightly-index.yaml"
SENTIMENT: Final = "model_specs/search/sentiment.yaml"
WAIVERS: Final = "policies/waivers.yaml"
REGION: Final = "region entrusted"
PROJECT: Final = "project entrusted"
SHA: Final = "sha256:" + "ab" * 32

JWK: Final = {
    "kty": "RSA",
    "kid": "k1",
    "alg": "RS256",
    "use": "sig",
    "n": "n" * 342,
    "e": "AQAB",
    "crv": "",
    "x": "",
    "y": "",
}

APPROVED: Final[dict[str, tuple[Row, ...]]] = {
    "whose tokens count": (
        (USE1, "sign_in issuer", "https://login.example.net", REGION),
        (USE1, "sign_in jwks_uri", "https://login.example.net/jwks.json", REGION),
        (USE1, "sign_in audience", "another", REGION),
        (USE1, "sign_in", None, REGION),
        (USE1, "cluster oidc_issuer", "oidc.eks.us-east-1.amazonaws.com/id/OTHER", REGION),
        (USE1, "cluster jwks_uri", "https://oidc.example.net/keys", REGION),
        (USE1, "cluster jwks", [JWK], REGION),
        (USE1, "sign_in jwks", [JWK], REGION),
        (USE1, "sign_in groups_claim", "roles", REGION),
    ),
    "where it runs, and as whom": (
        (USE1, "cluster name", "other", REGION),
        (USE1, "cluster context", "other", REGION),
        (USE1, "cluster kubeconfig", "./kubeconfig", REGION),
        (USE1, "account profile", "admin", REGION),
        (USE1, "account config_file", "./aws/config", REGION),
        (USE1, "account credentials_file", "./aws/credentials", REGION),
        (SEOUL, "account account_id", "999999999999", REGION),
        (USE1, "account subnet_ids", ["subnet-01a", "subnet-99z"], REGION),
        (USE1, "account node_security_group_ids", ["sg-99z"], REGION),
        (USE1, "kubernetes_version", "1.35", REGION),
        (USE1, "zones", ["us-east-1a", "us-east-1b"], REGION),
        (USE1, "capabilities", ["cluster_scope", "kms", "s3_access_control", "s3_replication"],
         REGION),
        (USE1, "addons", dict.fromkeys(PROVIDED, "provided"), REGION),
        (USE1, "chart_mirror", "oci://charts.example.net", REGION),
        (USE1, "addon_values", {"keda": {"image": {"registry": "other.example.net"}}}, REGION),
    ),
    "how it is reached": (
        (USE1, "domain", "use1.models.example.net", REGION),
        (USE1, "gateway_class", "other", REGION),
        (USE1, "tls_secret", "other", REGION),
        (USE1, "tls_ca", "kube-root-ca.crt", REGION),
        (USE1, "tls_issuer", "ClusterIssuer/other", REGION),
        (USE1, "gateways", {"internal": {"annotations": {"example.com/side": "outside"}}}, REGION),
        (USE1, "gateways", {"public": {"annotations": {"example.com/side": "inside"}}}, REGION),
        (USE1, "proxy_namespaces", ["elsewhere"], REGION),
        (USE1, "cluster networks", ["10.0.0.0/8"], REGION),
        (USE1, "cluster disk_free_percent", 0, REGION),
        (USE1, "cluster node_autoscaler", {"provision_timeout_seconds": 60}, REGION),
        (USE1, "reachable 0 port", 1, "not served"),
        (USE1, "reachable 1", {"host": "collect.example.net", "port": 443,
         "networks": ["203.0.113.9/32"]}, REGION),
        (USE1, "reachable 1", {"service": "vault.vault", "port": 8200, "pods": {"app": "vault"}},
         REGION),
    ),
    "who watches, and where people look": (
        (USE1, "prometheus_url", "http://prometheus.elsewhere.svc:9090", REGION),
        (USE1, "prometheus_namespace", "elsewhere", REGION),
        (USE1, "prometheus_labels", {"release": "other"}, REGION),
        (USE1, "grafana_url", "https://grafana.example.net", REGION),
        (USE1, "runbook_url", "https://runbooks.example.net", REGION),
    ),
    "whose programs and weights run": (
        (USE1, "addon_objects", [{"kind": "Secret", "name": "pull", "source": "x"}], REGION),
        (USE1, "image_hosts", ["registry.example.com", "registry.example.net"], REGION),
        (USE1, "agent_image", f"registry.example.com/isoserve/cache-agent@{SHA}", REGION),
        (USE1, "prober_image", f"registry.example.com/isoserve/prober@{SHA}", REGION),
        (USE1, "pull_secret", "other", REGION),
        (SEOUL, "registry endpoint", "https://s3.example.net", REGION),
        (SEOUL, "registry credentials_secret", "other", REGION),
        (SEOUL, "registry pod_port", 9000, REGION),
        (SEOUL, "registry addresses", ["198.51.100.0/24"], REGION),
        (USE1, "registry replicate_to", [], REGION),
        (USE1, "registry replicate_to 0 bucket", "other-models", REGION),
        (USE1, "registry replicate_to 0 region", "seoul-dc1", REGION),
        (USE1, "registry replicate_to 0 key_arn",
         "arn:aws:kms:eu-central-1:111122223333:key/99999999-12ab-34cd-56ef-1234567890ab", REGION),
    ),
    "what it stands on, and costs": (
        (USE1, "machines gpu.l4.1 instance_types", ["g6.4xlarge"], REGION),
        (SEOUL, "machines gpu.l4.1 node_names", [f"dc1-l4-9{n}" for n in range(8)], REGION),
        (USE1, "machines cpu.4 replicas_per_node", 2, REGION),
        (USE1, "machines gpu.l4.1 on_demand max", 600, REGION),
        (USE1, "machines gpu.l4.1 on_demand min", 50, REGION),
        (USE1, "machines gpu.l4.1 spot max", 400, REGION),
        (USE1, "machines gpu.l4.1 spot min", 40, REGION),
        (USE1, "machines gpu.l4.1 cache_disk_gib", 500, REGION),
        (USE1, "machines gpu.l4.1 price_usd_per_hour on_demand", 0.01, REGION),
        (USE1, "machines gpu.l4.1 price_usd_per_hour spot", 0.01, REGION),
        (USE1, "machines gpu.l4.1 price_usd_per_hour as_of", "2026-11-02", REGION),
        (USE1, "machines gpu.l4.1 taints", [{"key": "example.com/theirs", "value": "yes"}], REGION),
        (USE1, "machines gpu.l4.1 simulated", True, REGION),
    ),
    "who may do what in a project": (
        (CHAT, "members admins", ["chat-leads", "strangers"], PROJECT),
        (CHAT, "members developers", ["chat-ml", "strangers"], PROJECT),
        (CHAT, "members viewers", ["strangers"], PROJECT),
        (CHAT, "members admins", ["chat-ml"], PROJECT),
        (CHAT, "members admins", [], PROJECT),
        (SEARCH, "share_with", ["chat"], PROJECT),
        ("model_specs/labs/project.yaml", "", {}, PROJECT),
        ("model_specs/labs/project.yaml", "", {"members": {"admins": ["strangers"]}}, PROJECT),
    ),
    "how much a project may do": (
        (CHAT, "gpu_quota gpu.l4.1", 5, PROJECT),
        (CHAT, "gpu_quota gpu.l4.1", 400, PROJECT),
        (CHAT, "gpu_quota gpu.h100.8", 8, PROJECT),
        (CHAT, "cpu_quota", 30_000, PROJECT),
        (CHAT, "memory_quota_gib", 200_000, PROJECT),
        (CHAT, "cost_cap_usd_per_month", 60_000_000, PROJECT),
        (CHAT, "cost_cap_usd_per_month", None, PROJECT),
        (CHAT, "pull_secret", "other", PROJECT),
        (ASSISTANT, "requests_per_minute", 121, "callers' quota raised"),
        (ASSISTANT, "requests_per_minute", 1_000_000, "callers' quota raised"),
    ),
    "what a model reaches, and who reaches it": (
        (SENTIMENT, "access", "permissive", "access widened"),
        (SENTIMENT, "access", "public", "access widened"),
        (SENTIMENT, "share_with", ["chat"], "access widened"),
        (ASSISTANT, "callers", {"keys": ["shop"]}, "access widened"),
        (SENTIMENT, "secrets", [{"name": "vault", "mount": "/secrets/vault"}], "secrets change"),
        (SENTIMENT, "served_names", ["team/sentiment"], "served name goes"),
        (SENTIMENT, "calls", [{"service": "vectors.feature-store", "port": 6334}],
         "way out opened"),
        (INDEX, "calls", [{"host": "collect.example.net", "port": 443}], "not served"),
        (ASSISTANT, "image", f"registry.example.net/server@{SHA}", "not served"),
        (INDEX, "batch input", "others", "data access widened"),
        (INDEX, "batch output", "others", "data access widened"),
        (SENTIMENT, "scaling", {"max": 4}, "cost"),
    ),
    "an exception": (
        (WAIVERS, "waivers", [{"rule": "image-digest", "resource": "Deployment search/sentiment",
         "owner": "search-leads", "reason": "until the next release is out",
         "expires": "2026-12-31"}], "exceptions change"),
        (WAIVERS, "waivers", [{"rule": "as-asked", "resource": "Deployment chat/assistant",
         "owner": "chat-leads", "reason": "until the next release is out",
         "expires": "2026-12-31"}], "exceptions change"),
    ),
}  # fmt: skip
"""NEEDS APPROVAL at least, whatever else is said: nobody may do these alone."""

BLOCKED: Final[dict[str, tuple[Row, ...]]] = {
    "what a field is held against by others": (
        (USE1, "provider", "on_prem", "E371"),
        (USE1, "account region", "us-west-2", "E371"),
        (USE1, "account account_id", "999999999999", "protected thing goes"),
        (USE1, "registry endpoint", "https://s3.example.net", "E371"),
        (SEOUL, "machines gpu.l4.1 node_names", ["dc1-l4-01", "dc1-l4-02"], "E371"),
        (SENTIMENT, "scaling", {"max": 50}, "E381"),
        (SENTIMENT, "machine_type", "gpu.h100.8", "E381"),
    ),
    "what holds data goes": (
        (SEOUL, "registry bucket", "others", "protected thing goes"),
    ),
    "an exception that excepts too much, or is over": (
        (WAIVERS, "waivers", [{"rule": "*", "resource": "*", "owner": "search-leads",
         "reason": "until the next release is out", "expires": "2026-12-31"}], "P36"),
        (WAIVERS, "waivers", [{"rule": "as-asked", "resource": "Deployment chat/assistant",
         "owner": "chat-leads", "reason": "until the next release is out",
         "expires": "2029-12-31"}], "P36"),
        (WAIVERS, "waivers", [{"rule": "as-asked"}], "E203"),
    ),
}  # fmt: skip
"""BLOCKED, by the error's code or the risk's name."""

PROGRAM: Final[dict[str, tuple[str, ...]]] = {
    "what is rendered": ("components/kube.py", "components/model_pod.py", "components/new.so",
                         "components/synthetic_probe/Dockerfile", "components/a b.py",
                         "components/__init__.py", "components/yaml/__init__.py",
                         "components/.gitignore"),
    "what is refused": ("policies/images.py", "policies/catalogue.py", "policies/__main__.py",
                        "policies/PulumiPolicy.yaml", "policies/legal/rules.py",
                        "policies/schema.yaml"),
    "which findings are excepted": ("policies/waivers.yaml",),
    "what the commands and `up` do": ("stacks/__main__.py", "stacks/reviewing/verdict.py",
                                      "stacks/review.py", "stacks/Pulumi.us-east-1.yaml",
                                      "stacks/yaml.py", "stacks/x.pth"),
    "what is planned": ("regions/limits.py", "regions/x.yml", "regions/more/us-west-2.yaml",
                        "regions/us-east-1.yaml.py"),
    "what the sandbox imitates": ("regions/sandbox/__init__.py", "regions/sandbox/pins.yaml"),
    "what a spec may say": ("model_specs/runtimes.py", "model_specs/m.yaml",
                            "model_specs/chat/plugin.py", "model_specs/a/b/c.yaml",
                            "model_specs/chat/m.YAML"),
    "the packages that all of it runs with": ("requirements.txt", "requirements-dev.txt",
                                              "requirements/base.in"),
    "how a change is judged and rolled out": (".github/workflows/review.yml",
                                              ".github/scripts/deploy.sh",
                                              ".github/actions/region/action.yml",
                                              ".github/CODEOWNERS", ".github/new.md.sh"),
    "which files a review on this machine sees": (".gitignore",),
    "how it is built, tested and owned": (
        "Makefile", "GNUmakefile", "pyproject.toml", "setup.py", "setup.cfg", "Pulumi.yaml",
        "Pulumi.us-east-1.yaml", ".ci/run", "CODEOWNERS", ".gitattributes", ".gitmodules",
        "sitecustomize.py", "usercustomize.py", "conftest.py", "yaml.py", "pydantic/__init__.py",
        "pulumi.py", "isoserve.pth", "tests.py", "README.md.py", "LICENSE.py", ".envrc",
        ".python-version", "Model_specs/chat/m.yaml", "docs/regions/us-east-1.yaml",
    ),
}  # fmt: skip
"""Files of the program, by what the review says that they decide."""
