"""Rules about the bucket of models: it stays, it is closed, and what it holds is encrypted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from policies.documents import (
    Block,
    faults_of_people,
    is_on,
    listed,
    principals,
    statements,
)
from policies.facts import Facts
from policies.resources import Resource
from policies.rule import Estate, Fault, Rule, each, whole

_BUCKET: Final = "aws:s3/bucket:Bucket"
_ENCRYPTION: Final = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
_LIFECYCLE: Final = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
_OWNER: Final = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
_POLICY: Final = "aws:s3/bucketPolicy:BucketPolicy"
_REPLICATION: Final = "aws:s3/bucketReplicationConfig:BucketReplicationConfig"
_VERSIONING: Final = "aws:s3/bucketVersioning:BucketVersioning"
_WALL: Final = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"

_SETTINGS: Final = (_ENCRYPTION, _LIFECYCLE, _POLICY, _VERSIONING)
_ALL: Final = (*_SETTINGS, _OWNER, _REPLICATION, _WALL)
KEPT: Final = (_BUCKET, *_ALL, "aws:kms/alias:Alias", "aws:kms/key:Key")
"""What holds models, and what stands around them."""

_CLOSED: Final = (
    "blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"
)  # fmt: skip
_CLEAR: Final = {"Bool": {"aws:SecureTransport": "false"}}
_ABORT_DAYS: Final = 7


def _name(facts: Facts) -> str:
    return facts.profile.registry.bucket


def _arn(bucket: str, facts: Facts) -> str:
    return facts.arn(f"s3:::{bucket}")


@each("P23", "protected-registry", *KEPT)
def _protected(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """Nothing that holds models can be deleted by a change of the program, nor its walls be."""
    if not resource.protected:
        yield Fault(resource, "can be deleted by `up`", "register it with protect", "registry")


@each("P23", "registry-versioned", _VERSIONING)
def _versioned(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """An object that is overwritten or deleted can be had back."""
    status = (resource.values.get("versioningConfiguration") or {}).get("status")
    if status != "Enabled":
        what = f"keeps no old versions: status is {status!r}"
        yield Fault(resource, what, "set it to Enabled", "registry.bucket")


@whole("P23", "registry-present")
def _present(estate: Estate) -> Iterator[Fault]:
    """The profile's bucket is there and is the only one: what is missing would be deleted."""
    wanted, found = _name(estate.facts), estate.of(_BUCKET)
    fix = "register the bucket of registry.bucket and no other"
    for bucket in found:
        if bucket.values.get("bucket") != wanted:
            what = f"is bucket {bucket.values.get('bucket')!r}, the profile's is {wanted!r}"
            yield Fault(bucket, what, fix, "registry.bucket")
    if len(found) != 1:
        what = f"should be there once, got {len(found)}"
        yield Fault(_bucket(estate), what, fix, "registry.bucket")


def _bucket(estate: Estate) -> Resource:
    """The bucket, or what stands for it where it is missing."""
    lost = Resource(_BUCKET, "models", {"bucket": _name(estate.facts)}, False, "")
    return next(iter(estate.of(_BUCKET)), lost)


@whole("P24", "s3-settings")
def _settings(estate: Estate) -> Iterator[Fault]:
    """The bucket has each setting once: versions, encryption, policy, lifecycle; walls and an owner
    where the store knows them; copies where it is the home. Access logs are left to the account's
    trail: they need a bucket that is not this one.
    """
    profile = estate.facts.profile
    wanted = [*_SETTINGS]
    wanted += [_OWNER, _WALL] if "s3_access_control" in profile.capabilities else []
    copies = profile.registry.replicate_to and "s3_replication" in profile.capabilities
    wanted += [_REPLICATION] if copies else []
    for setting in estate.of(*_ALL):
        if setting.values.get("bucket") != _name(estate.facts):
            what = f"is for bucket {setting.values.get('bucket')!r}"
            yield Fault(setting, what, "let it be for registry.bucket", "registry.bucket")
    for kind in wanted:
        number = len(estate.of(kind))
        if number != 1:
            what = f"should have one {kind.rpartition(':')[2]}, got {number}"
            yield Fault(_bucket(estate), what, "register it once", "registry.bucket")


@each("P24", "s3-walls", _WALL)
def _walls(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """Nothing can make the bucket public: all four blocks are on."""
    for block in _CLOSED:
        if not is_on(resource.values.get(block)):
            yield Fault(resource, f"leaves {block} off", "switch it on", "registry.bucket")


@each("P24", "s3-owner", _BUCKET, _OWNER)
def _owner(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """The bucket's owner owns every object, access lists count for nothing, and the bucket sets
    nothing beside the settings that rules judge.
    """
    values, fix = resource.values, "take it out"
    if resource.kind == _OWNER:
        owner = (values.get("rule") or {}).get("objectOwnership")
        if owner != "BucketOwnerEnforced":
            what = f"lets access lists count: ownership is {owner!r}"
            yield Fault(resource, what, "set BucketOwnerEnforced", "registry.bucket")
        return
    for field in ("grants", "policy", "website"):
        if values.get(field):
            yield Fault(resource, f"sets {field} on the bucket itself", fix, "registry.bucket")
    if values.get("acl") not in (None, "private"):
        yield Fault(resource, f"has access list {values['acl']!r}", fix, "registry.bucket")
    if values.get("forceDestroy"):
        yield Fault(resource, "is deleted with all it holds", fix, "registry.bucket")


@each("P24", "s3-encryption", _ENCRYPTION)
def _encrypted(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """Every object is encrypted: by a key of ours where the store has keys, else by the store."""
    own = "kms" in facts.profile.capabilities
    wanted = "aws:kms" if own else "AES256"
    rules = listed(resource.values.get("rules"))
    if not rules:
        yield Fault(resource, "has no rule", f"encrypt by {wanted}", "registry.bucket")
    for rule in rules:
        by = rule.get("applyServerSideEncryptionByDefault") or {}
        if by.get("sseAlgorithm") != wanted:
            what = f"encrypts by {by.get('sseAlgorithm')!r}"
            yield Fault(resource, what, f"encrypt by {wanted}", "registry.bucket")
        if own and not by.get("kmsMasterKeyId"):
            yield Fault(resource, "names no key", "name the registry's key", "registry.bucket")


def _refuses_the_clear(statement: Block, facts: Facts) -> bool:
    bucket = _arn(_name(facts), facts)
    return (
        statement.get("Effect") == "Deny"
        and "*" in principals(statement)
        and "s3:*" in listed(statement.get("Action"))
        and {bucket, f"{bucket}/*"} <= set(listed(statement.get("Resource")))
        and statement.get("Condition") == _CLEAR
    )


@each("P24", "s3-policy", _POLICY)
def _policy(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """The bucket refuses requests in the clear, lets in nobody of another account, and does not
    lock its own account out.
    """
    document, place = resource.values.get("policy"), "registry.bucket"
    found = statements(document)
    if not any(_refuses_the_clear(one, facts) for one in found):
        fix = "deny s3:* to everyone while aws:SecureTransport is false"
        yield Fault(resource, "takes requests in the clear", fix, place)
    account = facts.profile.account
    for what, fix in faults_of_people(document, account.partition.name, account.account_id):
        yield Fault(resource, what, fix, place)
    for statement in found:
        for_all = statement.get("Effect") == "Deny" and "*" in principals(statement)
        if for_all and not statement.get("Condition"):
            yield Fault(resource, "locks everyone out", "give the denial a condition", place)


def _lives_on(rule: Block) -> Iterator[str]:
    """What in a lifecycle rule takes away objects that are in use."""
    for field in ("expiration", "transitions", "transition"):
        used: Any = rule.get(field)
        if used:
            yield field


@each("P24", "s3-lifecycle", _LIFECYCLE)
def _lifecycle(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """Forgotten uploads and old versions go, everywhere in the bucket; current ones never do."""
    enabled = [r for r in listed(resource.values.get("rules")) if r.get("status") == "Enabled"]
    everywhere = [r for r in enabled if not any((r.get("filter") or {}).values())]
    uploads = [(r.get("abortIncompleteMultipartUpload") or {}) for r in everywhere]
    days = [one["daysAfterInitiation"] for one in uploads if one.get("daysAfterInitiation")]
    place = "registry.bucket"
    if not days or min(days) > _ABORT_DAYS:
        fix = f"abort them everywhere after {_ABORT_DAYS} days at most"
        yield Fault(resource, "keeps parts of uploads that nobody ended", fix, place)
    old = [(r.get("noncurrentVersionExpiration") or {}).get("noncurrentDays") for r in everywhere]
    if not any(old):
        yield Fault(resource, "keeps old versions for ever", "let them expire everywhere", place)
    for rule in enabled:
        for field in _lives_on(rule):
            what = f"takes models away by {field} of rule {rule.get('id')!r}"
            yield Fault(resource, what, "take it out", place)


def _copy_faults(rule: Block, key_arn: str) -> Iterator[str]:
    if rule.get("status") != "Enabled" or any((rule.get("filter") or {}).values()):
        yield "does not copy everything"
    if (rule.get("deleteMarkerReplication") or {}).get("status") != "Disabled":
        yield "copies deletions too"
    if key_arn:
        chosen = rule.get("sourceSelectionCriteria") or {}
        if (chosen.get("sseKmsEncryptedObjects") or {}).get("status") != "Enabled":
            yield "leaves out what a key encrypts"
        keys = (rule.get("destination") or {}).get("encryptionConfiguration") or {}
        if keys.get("replicaKmsKeyId") != key_arn:
            yield f"encrypts the copy by {keys.get('replicaKmsKeyId')!r}"


@each("P24", "s3-replication", _REPLICATION)
def _replicated(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """Everything is copied to each bucket of the profile and to no other, deletions are not, and
    each copy is encrypted by the key of its place.
    """
    profile = facts.profile
    wanted = {_arn(copy.bucket, facts): copy for copy in profile.registry.replicate_to}
    found: dict[str, Any] = {}
    for rule in listed(resource.values.get("rules")):
        to = str((rule.get("destination") or {}).get("bucket"))
        found[to] = rule
        if to not in wanted:
            fix = "list the bucket in registry.replicate_to"
            yield Fault(resource, f"copies to {to!r}", fix, "registry.replicate_to")
    for index, (to, copy) in enumerate(wanted.items()):
        place = f"registry.replicate_to.{index}"
        key_arn = copy.key_arn if "kms" in profile.capabilities else ""
        whys: Iterable[str] = _copy_faults(found[to], key_arn) if to in found else ["is missing"]
        for why in whys:
            fix = "render the rule from registry.replicate_to"
            yield Fault(resource, f"has a rule for {copy.bucket} that {why}", fix, place)


RULES: Final[tuple[Rule, ...]] = (
    _protected, _versioned, _present, _settings, _walls, _owner, _encrypted, _policy, _lifecycle,
    _replicated,
)  # fmt: skip
