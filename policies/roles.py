"""Rules about IAM: who becomes a role, and that a role may no more than its work needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from model_specs.names import CACHE_ACCOUNT, CACHE_NAMESPACE, DATA
from policies.documents import Block, allowing, faults_of_form, listed, statements
from policies.facts import Facts
from policies.models import registry_readers
from policies.resources import Resource
from policies.rule import Estate, Fault, Rule, each, whole
from regions.aws_partitions import Partition

_ROLE: Final = "aws:iam/role:Role"
_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
_ATTACHMENT: Final = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
_ALIAS: Final = "aws:kms/alias:Alias"
_ROLE_ARN: Final = "eks.amazonaws.com/role-arn"

_NODE_POLICIES: Final = (
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
)
_COPIER: Final = {"Service": "s3.amazonaws.com"}
_READS: Final = frozenset({"s3:GetObject"})
_LISTS: Final = frozenset({"s3:ListBucket"})
_WRITES: Final = frozenset({"s3:AbortMultipartUpload", "s3:PutObject"})
_DECRYPTS: Final = frozenset({"kms:Decrypt"})
_DECRYPTS_AND_ENCRYPTS: Final = _DECRYPTS | {"kms:GenerateDataKey"}
_COPIES_FROM: Final = frozenset(
    {
        "s3:GetObjectVersionAcl",
        "s3:GetObjectVersionForReplication",
        "s3:GetObjectVersionTagging",
        "s3:GetReplicationConfiguration",
        "s3:ListBucket",
    }
)
_COPIES_TO: Final = frozenset({"s3:ReplicateObject", "s3:ReplicateTags"})
_ENCRYPTS: Final = frozenset({"kms:Encrypt", "kms:GenerateDataKey"})
_OBJECTS: Final = re.compile(r"arn:aws[a-z-]*:s3:::[a-z0-9-]+(/[A-Za-z0-9/._=-]*\*)?")
_KEY: Final = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/([a-zA-Z0-9-]+|\*)")
_SUBJECT: Final = re.compile(r"system:serviceaccount:([a-z0-9-]+):([a-z0-9-]+|\*)")


@dataclass(frozen=True, slots=True)
class _Pods:
    """The ServiceAccounts that a role is for."""

    namespace: str
    account: str


def _ec2(facts: Facts) -> Block:
    """EC2 as EKS demands it in the trust of a node's role."""
    return {"Service": f"ec2.{facts.profile.account.partition.dns_suffix}"}


def _pods(statement: Block) -> _Pods | None:
    """Whom of the cluster a trust statement is for; None when that is not plain."""
    condition = statement.get("Condition") or {}
    subjects = [
        value
        for test in ("StringEquals", "StringLike")
        for key, value in (condition.get(test) or {}).items()
        if key.endswith(":sub")
    ]
    match = _SUBJECT.fullmatch(str(subjects[0])) if len(subjects) == 1 else None
    return _Pods(match[1], match[2]) if match else None


def _wanted_trust(pods: _Pods, facts: Facts) -> Block:
    """The one statement that lets these pods in."""
    issuer, account = facts.profile.cluster.oidc_issuer, facts.profile.account.account_id
    return {
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {f"{issuer}:aud": "sts.amazonaws.com"},
            "StringLike": {
                f"{issuer}:sub": f"system:serviceaccount:{pods.namespace}:{pods.account}"
            },
        },
        "Effect": "Allow",
        "Principal": {"Federated": facts.arn(f"iam::{account}:oidc-provider/{issuer}")},
    }


def _trust_faults(statement: Block, name: Any, facts: Facts) -> Iterator[str]:
    if statement.get("Principal") in (_ec2(facts), _COPIER):
        if statement.get("Action") != "sts:AssumeRole":
            yield f"lets a service do {statement.get('Action')!r}"
        return
    pods = _pods(statement)
    if pods is None or {k: v for k, v in statement.items() if k != "Sid"} != _wanted_trust(
        pods, facts
    ):
        yield "is open to others than named ServiceAccounts of this cluster"
        return
    yield from _name_faults(pods, str(name), facts)


def _name_faults(pods: _Pods, name: str, facts: Facts) -> Iterator[str]:
    """Whom a role is for, beside whom its name says."""
    if pods.namespace not in (CACHE_NAMESPACE, *facts.projects):
        yield f"is for namespace {pods.namespace!r}, which is no project's"
    if pods.namespace == CACHE_NAMESPACE and pods.account != CACHE_ACCOUNT:
        yield f"is for ServiceAccount {pods.account!r} of the cache, not its agents'"
    if pods.namespace == CACHE_NAMESPACE or pods.account == "*":
        if name != facts.role(pods.namespace):
            yield f"is named {name!r} and is for namespace {pods.namespace!r}"
    elif facts.job_with_data(pods.namespace, pods.account) is None:
        yield f"is for ServiceAccount {pods.account!r} alone, which is no job with data"
    elif not facts.is_role_of_job(name, pods.namespace):
        yield f"is named {name!r} and is for a job of {pods.namespace!r}"


@each("P26", "iam-trust", _ROLE)
def _trust(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A role is for EC2, for S3, or for the ServiceAccounts of the one namespace it is named after,
    by this cluster's issuer and for STS alone; the agents' role is for their account only, and that
    of a batch job with data for the job's.
    """
    place, values = "cluster.oidc_issuer", resource.values
    found = statements(values.get("assumeRolePolicy"))
    fix = "trust system:serviceaccount:<project>:* of cluster.oidc_issuer"
    if len(found) != 1:
        yield Fault(resource, f"has {len(found)} statements of trust", "write one", place)
    for statement in found:
        for why in _trust_faults(statement, values.get("name"), facts):
            yield Fault(resource, why, fix, place)
    for field in ("inlinePolicies", "managedPolicyArns"):
        if values.get(field):
            what = f"carries {field}, which no rule reads"
            yield Fault(resource, what, "attach it as a resource of its own", place)


def _wide(statement: Block) -> Iterator[str]:
    """What a statement that allows leaves open."""
    actions, resources = listed(statement.get("Action")), listed(statement.get("Resource"))
    if not actions or not resources:
        yield "allows without saying what on what"
    for action in actions:
        if "*" in action or "?" in action:
            yield f"allows {action!r}"
    condition = statement.get("Condition") or {}
    for resource in resources:
        key = _KEY.fullmatch(resource)
        if not key and not _OBJECTS.fullmatch(resource):
            yield f"allows it on {resource!r}"
        aliases = (condition.get("ForAnyValue:StringEquals") or {}).get("kms:ResourceAliases")
        if key and key[1] == "*" and (not aliases or "*" in str(aliases)):
            yield f"allows it on every key of {resource!r}"
        through = listed((condition.get("StringEquals") or {}).get("kms:ViaService"))
        if key and not (through and all(str(one).startswith("s3.") for one in through)):
            yield "allows use of a key beside S3"


@each("P26", "iam-least", _POLICY)
def _least(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """No role may do `*` or anything on `*`: actions are named, a wildcard only ends the path of
    objects in a named bucket, and keys are used through S3 and found by their alias or ARN.
    """
    document, place = resource.values.get("policy"), "registry.bucket"
    for why in faults_of_form(document):
        yield Fault(resource, why, "say what is allowed, and on what", place)
    for statement in allowing(document):
        for why in _wide(statement):
            yield Fault(resource, why, "name the actions, the bucket and the prefix", place)


@each("P26", "iam-nodes", _ATTACHMENT)
def _nodes(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """Of AWS's ready-made policies only the three that a node needs are attached."""
    arn = resource.values.get("policyArn")
    if arn not in {facts.arn(f"iam::aws:policy/{name}") for name in _NODE_POLICIES}:
        yield Fault(resource, f"attaches {arn!r}", "give pods roles of their own", "machines")


@dataclass(frozen=True, slots=True)
class _Rights:
    """The prefixes of the bucket that pods read and list, and those that they write."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]


def _rights(pods: _Pods, facts: Facts) -> _Rights:
    """What these pods are given. A job with data may have to download its model beside it."""
    if pods.namespace == CACHE_NAMESPACE:
        return _Rights(("",), ())
    batch = facts.job_with_data(pods.namespace, pods.account)
    models, data = f"{pods.namespace}/", f"{DATA}/{pods.namespace}/"
    if batch is None:
        return _Rights((models,), ())
    reads, writes = (
        tuple(f"{data}{path}/" for path in (one,) if path) for one in (batch.input, batch.output)
    )
    return _Rights((models, *reads), writes)


def _pods_faults(statement: Block, rights: _Rights, facts: Facts) -> Iterator[str]:
    """What pods may do beyond their rights."""
    bucket = facts.arn(f"s3:::{facts.profile.registry.bucket}")
    actions, resources = {*listed(statement["Action"])}, listed(statement["Resource"])
    condition = statement.get("Condition")
    keys = _DECRYPTS_AND_ENCRYPTS if rights.writes else _DECRYPTS
    named = " and ".join(rights.reads) or "the registry"
    if actions <= _READS:
        if resources not in [[f"{bucket}/{prefix}*"] for prefix in rights.reads]:
            yield f"reads {resources} and not {named} alone"
    elif actions <= _LISTS:
        allowed = [{"StringLike": {"s3:prefix": f"{prefix}*"}} for prefix in rights.reads]
        if resources != [bucket] or condition not in allowed:
            yield f"lists more than {named}"
    elif actions <= _WRITES and rights.writes:
        if resources not in [[f"{bucket}/{prefix}*"] for prefix in rights.writes]:
            yield f"writes {resources} and not {' and '.join(rights.writes)} alone"
    elif not _DECRYPTS <= actions <= keys:
        yield f"may {sorted(actions)}, which these pods do not need"


def _suffixes(partition: Partition) -> set[str]:
    """How the host of S3 may end for KMS, which is not documented for other partitions."""
    return {"amazonaws.com", partition.dns_suffix}


def _decrypt_faults(statement: Block, aliases: list[Any], facts: Facts) -> Iterator[str]:
    """What a role may decrypt beyond what S3 reads of the registry for it."""
    if "kms:Decrypt" in listed(statement["Action"]):
        account, condition = facts.profile.account, statement.get("Condition") or {}
        keys = facts.arn(f"kms:{account.region}:{account.account_id}:key/*")
        hosts = {f"s3.{account.region}.{end}" for end in _suffixes(account.partition)}
        allowed = {
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": aliases[0] if aliases else ""},
            "StringEquals": {"kms:ViaService": hosts},
        }
        found = {test: dict(keys) for test, keys in condition.items()}
        through = found.get("StringEquals", {})
        through["kms:ViaService"] = {*listed(through.get("kms:ViaService"))}
        if listed(statement["Resource"]) != [keys] or found != allowed:
            yield "decrypts more than the registry's objects"


def _copier_faults(statement: Block, facts: Facts) -> Iterator[str]:
    """What S3 may do beyond copying from the registry to the profile's copies."""
    registry = facts.profile.registry
    home = facts.arn(f"s3:::{registry.bucket}")
    actions, resources = {*listed(statement["Action"])}, {*listed(statement["Resource"])}
    there = {facts.arn(f"s3:::{copy.bucket}/*") for copy in registry.replicate_to}
    keys = {copy.key_arn for copy in registry.replicate_to}
    if actions <= _COPIES_FROM:
        allowed = {home, f"{home}/*"}
    elif actions <= _COPIES_TO:
        allowed = there
    elif actions <= _ENCRYPTS:
        allowed = keys
    elif actions <= _DECRYPTS:
        return
    else:
        yield f"may {sorted(actions)}, which no copy needs"
        return
    if not resources <= allowed:
        yield f"may {sorted(actions)} on {sorted(resources - allowed)}"


def _bound_faults(
    role: Resource, granted: list[Resource], aliases: list[Any], facts: Facts
) -> Iterator[str]:
    trusts = statements(role.values["assumeRolePolicy"])
    if len(trusts) != 1:
        yield f"is trusted by {len(trusts)} statements and not by one"
        return
    (trust,) = trusts
    allowed = [one for policy in granted for one in allowing(policy.values["policy"])]
    if trust["Principal"] == _ec2(facts):
        if granted:
            yield "gives nodes, and by them every pod, a policy of its own"
        return
    if not allowed:
        yield "may do nothing"
    pods = _pods(trust)
    if trust["Principal"] != _COPIER and pods is None:
        yield "is for nobody in particular"
        return
    for statement in allowed:
        yield from _decrypt_faults(statement, aliases, facts)
        if pods is None:
            yield from _copier_faults(statement, facts)
        else:
            yield from _pods_faults(statement, _rights(pods, facts), facts)


@whole("P26", "iam-bounds")
def _bounds(estate: Estate) -> Iterator[Fault]:
    """A project's role reads and lists its own prefix, the agents' role the registry, a job's its
    input and writes its output, S3's copies to the profile's buckets, the nodes' nothing; every
    policy is of such a role.
    """
    facts, place = estate.facts, "registry.bucket"
    aliases = [alias.values.get("name") for alias in estate.of(_ALIAS)]
    roles = {role.values["name"]: role for role in estate.of(_ROLE)}
    granted: dict[str, list[Resource]] = {name: [] for name in roles}
    for policy in estate.of(_POLICY, _ATTACHMENT):
        name = str(policy.values.get("role"))
        if name not in roles:
            fix = "give it to a role that is made here"
            yield Fault(policy, f"is of role {name!r}, which no rule reads", fix, place)
        elif policy.kind == _POLICY:
            granted[name].append(policy)
        elif _ec2(facts) not in (
            trust.get("Principal") for trust in statements(roles[name].values["assumeRolePolicy"])
        ):
            yield Fault(policy, f"is attached to {name!r}, no node's", "take it off", place)
    for name, role in roles.items():
        for why in _bound_faults(role, granted[name], aliases, facts):
            fix = "let it read the project's prefix, or a job's data, and no more"
            yield Fault(role, why, fix, place)


@whole("P26", "iam-accounts")
def _accounts(estate: Estate) -> Iterator[Fault]:
    """A ServiceAccount that takes a role takes its own namespace's, a job's with data the one that
    is for it alone, and that role is made. A model's takes one where its pods read the registry,
    and only there."""
    facts = estate.facts
    made = {
        role.values["name"]: _pods(trust)
        for role in estate.of(_ROLE)
        for trust in statements(role.values["assumeRolePolicy"])
    }
    of_jobs = {pods: name for name, pods in made.items() if pods and pods.account != "*"}
    account, readers = facts.profile.account.account_id, estate.once(registry_readers)
    for user in estate.of("ServiceAccount"):
        arn = (user.metadata.get("annotations") or {}).get(_ROLE_ARN)
        pods = _Pods(user.namespace, user.metadata["name"])
        own = of_jobs.get(pods, facts.role(user.namespace))
        if arn is not None and arn != facts.arn(f"iam::{account}:role/{own}"):
            yield Fault(user, f"takes role {arn!r}", f"let it take {own}", "")
        elif user.model and (arn is not None) != (
            user.model in readers and facts.profile.provider == "aws"
        ):
            what = "takes a role, and nothing of it reads" if arn else "takes no role to read"
            yield Fault(user, f"{what} the registry", "let those that read it take it alone", "")
        elif arn is not None and own not in made:
            yield Fault(user, f"takes role {own}, which nobody makes", "make the role", "")


RULES: Final[tuple[Rule, ...]] = (_trust, _least, _nodes, _bounds, _accounts)
