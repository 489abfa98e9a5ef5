"""The legal things of AWS, and the two providers by which everything is made."""

from __future__ import annotations

from typing import Any, Final

from policies.legal import iam
from policies.legal.asked import (
    NotAsked,
    Plain,
    arn_of_role,
    labels_of_machine,
    slug,
    vendors_taint,
)
from policies.legal.shapes import ABSENT, Asked, Judged, Later, Subject, Text
from regions.machines import MACHINES
from regions.offers import Offer

_ON: Final = "true"
_NODE_RESOURCE: Final = "k8s.io/cluster-autoscaler/node-template/resources/"


def _bucket(subject: Subject) -> str:
    return subject.facts.profile.registry.bucket


_OF_BUCKET: Final[Plain] = {"bucket": Asked(_bucket)}


def _compatible(subject: Subject) -> bool:
    """Whether the store only speaks S3, with no account behind it."""
    return subject.facts.profile.provider != "aws"


def _skips(subject: Subject) -> Any:
    return "true" if _compatible(subject) else "false"


def _machine(subject: Subject) -> tuple[str, Offer]:
    """The machine type that a template's or group's logical name begins with."""
    for name, offer in subject.facts.profile.machines.items():
        if subject.resource.name == slug(name) or _capacity(subject, name):
            return name, offer
    raise NotAsked("is for no machine type that the profile offers")


def _capacity(subject: Subject, machine: str) -> str:
    """`on_demand` or `spot`, by a group's logical name; empty where it is of another machine."""
    names = {f"{slug(machine)}-on-demand": "on_demand", f"{slug(machine)}-spot": "spot"}
    return names.get(subject.resource.name, "")


def _node_labels(subject: Subject, capacity: str) -> Plain:
    return labels_of_machine(MACHINES[_machine(subject)[0]], capacity, on_aws=True)


def _template_tags(subject: Subject) -> list[Plain]:
    name = slug(_machine(subject)[0])
    tags = {"Name": f"isoserve-{name}", **_node_labels(subject, "")}
    return [{"resourceType": kind, "tags": tags} for kind in ("instance", "volume")]


def _disks(subject: Subject) -> list[Plain]:
    percent = subject.facts.profile.cluster.disk_free_percent
    ebs = {
        "deleteOnTermination": "true",
        "encrypted": "true",
        "throughput": 500,
        "volumeSize": _machine(subject)[1].disk_gib(percent),
        "volumeType": "gp3",
    }
    return [{"deviceName": "/dev/xvda", "ebs": ebs}]


def _cluster(subject: Subject) -> str:
    return subject.facts.profile.cluster.name


LAUNCH_TEMPLATE: Final[Plain] = {
    "name": Asked(lambda s: f"isoserve-{_cluster(s)}-{slug(_machine(s)[0])}"),
    "updateDefaultVersion": True,
    "blockDeviceMappings": Asked(_disks),
    "metadataOptions": {
        "httpEndpoint": "enabled",
        "httpPutResponseHopLimit": 1,
        "httpTokens": "required",
    },
    "tagSpecifications": Asked(_template_tags),
    "vpcSecurityGroupIds": Asked(
        lambda s: [*s.facts.profile.account.node_security_group_ids] or ABSENT
    ),
}


def _of_group(subject: Subject) -> str:
    return _capacity(subject, _machine(subject)[0])


def _group_name(subject: Subject) -> str:
    """The pool's name; the digest behind it changes with what EKS cannot change in place."""
    name = str(subject.resource.values.get("nodeGroupName"))
    own = f"isoserve-{slug(_machine(subject)[0])}-{_of_group(subject).replace('_', '-')}-"
    digest = name.removeprefix(own)
    is_digest = len(digest) == 8 and not set(digest) - set("0123456789abcdef")
    return name if name.startswith(own) and is_digest else f"{own}DIGEST"


def _sizes(subject: Subject) -> Plain:
    """The profile's bounds, and a first size between them that an autoscaler takes over."""
    nodes = getattr(_machine(subject)[1], _of_group(subject))
    first = (subject.resource.values.get("scalingConfig") or {}).get("desiredSize")
    fits = isinstance(first, int) and nodes.min <= first <= nodes.max
    return {
        "desiredSize": first if fits else nodes.min,
        "maxSize": nodes.max,
        "minSize": nodes.min,
    }


def _taints(subject: Subject) -> list[Plain]:
    row, machine = {"effect": "NO_SCHEDULE"}, MACHINES[_machine(subject)[0]]
    if machine.gpus:
        taint = vendors_taint(machine)
        return [{**row, **taint}] if taint else []
    spot = {**row, "key": "isoserve.dev/capacity", "value": "spot"}
    return [spot] if _of_group(subject) == "spot" else []


def _ami(subject: Subject) -> str:
    row = MACHINES[_machine(subject)[0]]
    return row.kind.ami_types[row.architecture]


def _tags(subject: Subject) -> Any:
    """What the cluster autoscaler does not know of nodes to come."""
    (machine, offer), tags = _machine(subject), {}
    row = MACHINES[machine]
    if not row.kind.is_counted:
        tags[f"{_NODE_RESOURCE}{row.kind.resource}"] = str(row.gpus * offer.replicas_per_node)
    return tags or ABSENT


NODE_GROUP: Final[Plain] = {
    "clusterName": Asked(_cluster),
    "nodeGroupName": Asked(_group_name),
    "nodeRoleArn": Later(Asked(lambda s: arn_of_role(s, iam.node_role(s)))),
    "subnetIds": Asked(lambda s: [*s.facts.profile.account.subnet_ids]),
    "amiType": Asked(_ami),
    "capacityType": Asked(lambda s: _of_group(s).upper()),
    "instanceTypes": Asked(lambda s: [*_machine(s)[1].instance_types]),
    "labels": Asked(lambda s: _node_labels(s, _of_group(s))),
    "launchTemplate": {
        # Which template it is: `node-present` looks at both.
        "id": Later(Judged("node-present")),
        "version": Later(Text("[1-9][0-9]*")),
    },
    "scalingConfig": Asked(_sizes),
    "tags": Asked(_tags),
    "taints": Asked(_taints),
    "updateConfig": {"maxUnavailable": 1},
}


def _copies(subject: Subject) -> list[Plain]:
    profile = subject.facts.profile
    has_keys = "kms" in profile.capabilities
    return [
        _copy(subject, copy.region, copy.bucket, copy.key_arn if has_keys else "", priority)
        for priority, copy in enumerate(profile.registry.replicate_to)
    ]


def _copy(subject: Subject, region: str, bucket: str, key: str, priority: int) -> Plain:
    to: Plain = {"bucket": subject.facts.arn(f"s3:::{bucket}")}
    encrypted = {"sourceSelectionCriteria": {"sseKmsEncryptedObjects": {"status": "Enabled"}}}
    return {
        "id": region,
        "priority": priority,
        "status": "Enabled",
        "filter": {"prefix": ""},
        **(encrypted if key else {}),
        "deleteMarkerReplication": {"status": "Disabled"},
        "destination": to | ({"encryptionConfiguration": {"replicaKmsKeyId": key}} if key else {}),
    }


def _has_keys(subject: Subject) -> bool:
    return "kms" in subject.facts.profile.capabilities


def _files(field: str) -> Asked:
    """A file of the shared configuration; `provider-account` compares no paths, which differ from
    machine to machine."""

    def value(subject: Subject) -> Any:
        if not getattr(subject.facts.profile.account, field):
            return ABSENT
        name = {"config_file": "sharedConfigFiles", "credentials_file": "sharedCredentialsFiles"}
        got = str(subject.resource.values.get(name[field]))
        wanted = str(getattr(subject.facts.profile.account, field)).removeprefix("~")
        is_own = got.startswith('["/') and got.endswith(f'{wanted}"]') and got.count('"') == 2
        return got if is_own else f'["{wanted}"]'

    return Asked(value)


_PLUGIN: Final = Text(r"\d+\.\d+\.\d+\S*")
"""What the engine adds: the plugin's version, which comes with the pinned package."""
AWS_PROVIDER: Final[Plain] = {
    "version?": _PLUGIN,
    "region": Asked(lambda s: s.facts.profile.account.region),
    # A machine without the profile, such as a CI job's, has credentials in its environment.
    "profile?": Judged("provider-account"),
    "allowedAccountIds": Asked(
        lambda s: ABSENT if _compatible(s) else f'["{s.facts.profile.account.account_id}"]'
    ),
    "sharedConfigFiles": _files("config_file"),
    "sharedCredentialsFiles": _files("credentials_file"),
    "s3UsePathStyle": Asked(_skips),
    "skipCredentialsValidation": Asked(_skips),
    "skipMetadataApiCheck": Asked(_skips),
    "skipRegionValidation": Asked(_skips),
    "skipRequestingAccountId": Asked(_skips),
}
KUBERNETES_PROVIDER: Final[Plain] = {
    "version?": _PLUGIN,
    "context": Judged("provider-cluster"),
    "clusterIdentifier": Judged("provider-cluster"),
    "kubeconfig": Judged("provider-cluster"),
    "enableConfigMapMutable": _ON,
}
ENCRYPTION: Final[Plain] = {
    **_OF_BUCKET,
    "rules": [
        {
            "applyServerSideEncryptionByDefault": {
                "kmsMasterKeyId?": Later(Judged("s3-encryption")),
                "sseAlgorithm": Asked(lambda s: "aws:kms" if _has_keys(s) else "AES256"),
            },
            "bucketKeyEnabled": Asked(_has_keys),
        }
    ],
}
AWS: Final[dict[str, Plain]] = {
    "aws:ec2/launchTemplate:LaunchTemplate": LAUNCH_TEMPLATE,
    "aws:eks/nodeGroup:NodeGroup": NODE_GROUP,
    "aws:iam/role:Role": {
        "assumeRolePolicy": iam.TRUST,
        "name": Asked(iam.role_name),
    },
    "aws:iam/rolePolicy:RolePolicy": {
        "name?": Text(r"[a-z0-9-]+-[0-9a-f]{7}"),  # the engine's: no field of the program
        "policy": Later(iam.RIGHTS),
        "role": Later(Asked(iam.role_name)),
    },
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": {
        "policyArn": Judged("iam-nodes"),
        "role": Later(Asked(iam.node_role)),
    },
    "aws:kms/alias:Alias": {
        "name": Asked(lambda s: f"alias/isoserve-{s.facts.region}-models"),
        "targetKeyId": Later(Judged("kms-present")),
    },
    "aws:kms/key:Key": {
        "deletionWindowInDays": 30,
        "description": "isoserve: encrypts the model registry",
        "enableKeyRotation": True,
        "isEnabled": True,
        "policy": iam.KEY,
    },
    "aws:s3/bucket:Bucket": _OF_BUCKET,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {
        **_OF_BUCKET,
        "rules": [
            {
                "id": "tidy",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                "noncurrentVersionExpiration": {"noncurrentDays": 90},
            }
        ],
    },
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": {
        **_OF_BUCKET,
        "rule": {"objectOwnership": "BucketOwnerEnforced"},
    },
    "aws:s3/bucketPolicy:BucketPolicy": {**_OF_BUCKET, "policy": iam.TLS_ONLY},
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {
        **_OF_BUCKET,
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    },
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": {
        **_OF_BUCKET,
        "role": Later(Asked(lambda s: arn_of_role(s, iam.replication_role(s)))),
        "rules": Asked(_copies),
    },
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        ENCRYPTION
    ),
    "aws:s3/bucketVersioning:BucketVersioning": {
        **_OF_BUCKET,
        "versioningConfiguration": {"status": "Enabled"},
    },
    "pulumi:providers:aws": AWS_PROVIDER,
    "pulumi:providers:kubernetes": KUBERNETES_PROVIDER,
}
