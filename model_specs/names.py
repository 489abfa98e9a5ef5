"""Names a person may choose, and the keys under which rendered objects carry them."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, WithJsonSchema

from model_specs.errors import refuse, shown

DOMAIN: Final = "isoserve.dev"
SUBDOMAIN: Final = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
"""What nodes, Secrets and most objects may be called, in 253 characters. Source: kubernetes.io,
"Object Names and IDs", DNS Subdomain Names."""
LABEL_PROJECT: Final = f"{DOMAIN}/project"
LABEL_MODEL: Final = f"{DOMAIN}/model"
LABEL_TRACK: Final = f"{DOMAIN}/track"
LABEL_MACHINE: Final = f"{DOMAIN}/machine-type"
LABEL_CAPACITY: Final = f"{DOMAIN}/capacity"
LABEL_ROLE: Final = f"{DOMAIN}/role"
ANNOTATION_REGION: Final = f"{DOMAIN}/region"
"""On a region's and its projects' own objects: another region on the same cluster meets it."""
LABEL_ACCELERATOR: Final = "k8s.amazonaws.com/accelerator"
"""The cluster autoscaler waits for GPUs to appear on nodes of AWS that carry it."""
TAG_NODE_RESOURCE: Final = "k8s.io/cluster-autoscaler/node-template/resources/"
"""Begins the tag of a node group that says how many of a resource a new node of it will have.
Source: kubernetes/autoscaler@00a2c93, cluster-autoscaler/cloudprovider/aws/aws_manager.go."""
PROBE_HEADER: Final = "x-isoserve-probe"
"""The prober sends it as `true`: its requests are routed alike and counted apart."""
SYSTEM_NAMESPACE: Final = "isoserve-system"
CACHE_NAMESPACE: Final = "isoserve-cache"
ADDONS_STACK: Final = ".addons"
"""What follows a region's name in the name of the stack of its add-ons."""
GATEWAY_NAMESPACE: Final = "isoserve-gateway"
"""Where the Gateways stand; their proxies stand where the region's profile says."""
CACHE_ACCOUNT: Final = "cache-agent"
"""ServiceAccount of the cache agents, which their IAM role trusts by name."""
PROBER: Final = "prober"
API_KEY: Final = "api-key--"
"""Begins the name of the Secret with a caller's API key, which its caller's name ends. No name that
a spec writes holds two hyphens, so no model mounts one by its `secrets`."""
KEYS_POLICY: Final = "--keys"
"""What follows a model's name in that of the SecurityPolicy of callers with keys."""
CALLERS_RULE: Final = "callers"
"""Name of a route's rule for everybody but the prober, where callers have keys."""
DATA: Final = "_datasets"
"""The folder of the registry's bucket below which projects keep their data; no project's name."""
MODEL_PATH: Final = "/models/current"
"""Where every container finds the model's files, whatever way they came."""
SCRATCH: Final = "/tmp"
"""The one directory of a model's container that it may write to, besides /dev/shm."""
MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "isoserve"}

# A route's host is `<model>--<project>.<domain>`, one DNS label of 63 characters; the longest
# Kubernetes name made from a model is `keda-hpa-<model>-candidate`.
MAX_NAME: Final = 30
RESERVED: Final = ("default", "system", "kube", "isoserve")
_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


def _slug(text: str) -> str:
    """The nearest legal name, offered in the error's hint."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-0123456789")[:MAX_NAME].strip("-")
    return slug or "my-model"


def check_name(name: str) -> str:
    """`name` itself when it is a legal project or model name.

    Raises PydanticCustomError with the code, the rule and a legal name near it.
    """
    if not name.isascii():
        why = f"names are plain ASCII, got {shown(name)}"
        raise refuse("E313", f"{why}; type it anew with a-z, 0-9 and hyphens")
    if not _NAME.fullmatch(name) or "--" in name:
        rule = "names are lower-case letters, digits and single hyphens and start with a letter"
        raise refuse("E311", f"{rule}, got {shown(name)}; use {_slug(name)}")
    if len(name) > MAX_NAME:
        why = "names share <model>--<project>, one DNS label of 63 characters"
        raise refuse("E312", f"{why}, at most {MAX_NAME} each, got {len(name)}; use {_slug(name)}")
    if name.split("-")[0] in RESERVED:
        why = f"names starting with {', '.join(RESERVED)} belong to the platform"
        raise refuse("E314", f"{why}, got {shown(name)}; choose another")
    return name


Name = Annotated[
    str,
    AfterValidator(check_name),
    WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$", "maxLength": MAX_NAME}),
]
