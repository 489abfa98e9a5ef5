"""Complete, valid plans of which a test states only what it is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from model_specs.names import (
    LABEL_CAPACITY,
    LABEL_MACHINE,
    LABEL_MODEL,
    LABEL_PROJECT,
)
from model_specs.runtimes import RUNTIMES, load
from regions.model_plan import (
    AccessPlan,
    BackendPlan,
    ContainerPlan,
    DrainPlan,
    ListenPlan,
    PlacementPlan,
    ProbePlan,
    ScalerPlan,
    ServerPlan,
    SloPlan,
    StartupPlan,
    Toleration,
    TrackPlan,
    WeightsPlan,
    WorkloadPlan,
)
from regions.plan import (
    AccountPlan,
    ClusterPlan,
    GatewayPlan,
    ProberPlan,
    ProjectPlan,
    PrometheusPlan,
    RegionPlan,
    RegistryPlan,
)

DIGEST: Final = "9f0c" * 16
PINNED: Final = f"registry.example.com/isoserve/thing@sha256:{DIGEST}"
EVERYTHING: Final = (
    "cluster_scope",
    "custom_metrics",
    "envoy_gateway",
    "gateway_api",
    "keda",
    "prometheus_operator",
)


def a_placement(**over: Any) -> PlacementPlan:
    machine = "gpu.l4.1"
    whole = PlacementPlan(
        machine_type=machine,
        node_selector={LABEL_CAPACITY: "on_demand", LABEL_MACHINE: machine},
        fallback_seconds=0,
        tolerations=(
            Toleration(key=LABEL_MACHINE, value=machine),
            Toleration(key="nvidia.com/gpu", value=""),
        ),
        gpus=1,
        gpu_resource="nvidia.com/gpu",
        runtime_class="",
        cpu=6,
        memory_gib=24,
        ephemeral_gib=8,
        tmp_gib=4,
        shared_memory_gib=8,
    )
    return replace(whole, **over)


def a_scaler(**over: Any) -> ScalerPlan:
    selector = (
        'isoserve_dev_project="search",isoserve_dev_model="sentiment",'
        'isoserve_dev_track=~"stable|spot"'
    )
    whole = ScalerPlan(
        kind="scaled_object",
        min=1,
        max=2,
        query=load(RUNTIMES["vllm"], selector),
        query_by_pod="",
        carried=0,
        threshold=4,
        wake_query="",
        idle_seconds=600,
        schedules=(),
        prometheus_url="http://prometheus.monitoring.svc:9090",
        scale_down_seconds=300,
    )
    return replace(whole, **over)


def a_container(**over: Any) -> ContainerPlan:
    whole = ContainerPlan(
        image=PINNED,
        command=("vllm", "serve"),
        args=("/models/current",),
        user=10001,
        group=10001,
        working_dir="/tmp",
        env={},
    )
    return replace(whole, **over)


def a_listen(**over: Any) -> ListenPlan:
    whole = ListenPlan(
        port=8000,
        live_path="/health",
        ready_path="/health",
        metrics_path="/metrics",
        metrics_port=8000,
    )
    return replace(whole, **over)


def a_track(**over: Any) -> TrackPlan:
    whole = TrackPlan(
        name="sentiment",
        track="stable",
        role="stable",
        container=a_container(),
        listen=a_listen(),
        weights=WeightsPlan(
            mode="cache",
            address=f"search/sentiment:v3@sha256:{DIGEST}",
            digest=DIGEST,
            bytes=8 * 1024**3,
            fetch_mib_per_second=100,
            claim="models-gpu-l4-1",
            pinned=False,
        ),
        placement=a_placement(),
        startup=StartupPlan(
            budget_seconds=600, progress_deadline_seconds=720, gate_timeout_seconds=900
        ),
        drain=DrainPlan(pre_stop_seconds=10, shutdown_seconds=40, grace_seconds=60),
        scaler=a_scaler(),
        interruption="",
        guaranteed=1,
        surge=0,
        unavailable=1,
        labels={LABEL_MODEL: "sentiment", LABEL_PROJECT: "search"},
    )
    return replace(whole, **over)


def a_workload(**over: Any) -> WorkloadPlan:
    whole = WorkloadPlan(
        id="search/sentiment",
        project="search",
        model="sentiment",
        namespace="search",
        labels={LABEL_MODEL: "sentiment", LABEL_PROJECT: "search"},
        differs=(),
        secrets=(),
        priority_class="isoserve-standard",
        agent_image=PINNED,
        pull_secrets=(),
        registry_url="s3://isoserve-models",
        registry_endpoint="",
        registry_region="us-east-1",
        registry_secret="",
        registry_ports=(443,),
        registry_addresses=(),
        calls=(),
        reader_role_arn="",
        scraper_namespace="monitoring",
    )
    return replace(whole, **over)


def an_access(**over: Any) -> AccessPlan:
    whole = AccessPlan(
        mode="private",
        endpoint="http://sentiment.search.svc",
        hostname="",
        gateway="",
        proxy_namespaces=(),
        caller_namespaces=("search",),
        requests_per_minute=600,
        timeout_seconds=300,
        stream_idle_seconds=0,
        cors_origins=(),
        jwks="",
        prober_jwks="",
        groups_claim="",
        groups=(),
        keys=(),
        backends=(BackendPlan(service="sentiment", role="stable", weight=100),),
        mirror_service="",
        mirror_percent=0,
        issuer="",
        jwks_uri="",
        prober_issuer="",
        prober_jwks_uri="",
        audience="",
    )
    return replace(whole, **over)


def a_public_access(**over: Any) -> AccessPlan:
    whole = an_access(
        mode="public",
        endpoint="https://sentiment--search.models.example.com",
        hostname="sentiment--search.models.example.com",
        gateway="public",
        proxy_namespaces=("envoy-gateway-system",),
        issuer="https://id.example.com",
        jwks_uri="https://id.example.com/keys",
        prober_issuer="https://oidc.example.com",
        prober_jwks_uri="https://oidc.example.com/keys",
        audience="isoserve",
    )
    return replace(whole, **over)


def a_probe(**over: Any) -> ProbePlan:
    whole = ProbePlan(
        url="http://sentiment.search.svc/v1/completions",
        method="POST",
        body={"max_tokens": 1, "model": "sentiment", "prompt": "ping"},
        status=200,
        json_path="",
        length=0,
        matches="",
        latency_seconds=10.0,
        interval_seconds=30,
        written=True,
        needs_token=False,
        candidate_url="",
        candidate_interval_seconds=15,
        right_answers=3,
    )
    return replace(whole, **over)


def an_slo(**over: Any) -> SloPlan:
    whole = SloPlan(
        availability=0.995,
        latency_seconds=5.0,
        runbook_url="https://runbooks.example.com/isoserve",
    )
    return replace(whole, **over)


def a_server(**over: Any) -> ServerPlan:
    whole = ServerPlan(
        workload=a_workload(),
        live_role="stable",
        tracks=(a_track(),),
        access=an_access(),
        probe=a_probe(),
        slo=an_slo(),
        spread_zones=True,
    )
    return replace(whole, **over)


def a_prober(**over: Any) -> ProberPlan:
    whole = ProberPlan(
        project="search",
        namespace="search",
        image=PINNED,
        pull_secrets=(),
        servers=("search/sentiment",),
        proxy_namespaces=("envoy-gateway-system",),
        scraper_namespace="monitoring",
        tls_ca="",
    )
    return replace(whole, **over)


def a_project(**over: Any) -> ProjectPlan:
    whole = ProjectPlan(
        name="search",
        namespace="search",
        owns_namespace=True,
        admins=("search-admins",),
        developers=("search-developers",),
        viewers=(),
        gpus={"nvidia.com/gpu": 8},
        cpu=64,
        memory_gib=256,
        pods=500,
        claims=20,
        callee_namespaces=("envoy-gateway-system", "search"),
    )
    return replace(whole, **over)


def a_gateway(**over: Any) -> GatewayPlan:
    whole = GatewayPlan(
        name="public",
        namespace="isoserve-gateway",
        gateway_class="envoy",
        hostname="*.models.example.com",
        tls_secret="models-tls",
        tls_issuer="",
        annotations={},
        proxy_namespaces=("envoy-gateway-system",),
    )
    return replace(whole, **over)


def a_registry(**over: Any) -> RegistryPlan:
    whole = RegistryPlan(
        bucket="isoserve-models",
        url="s3://isoserve-models",
        endpoint="",
        ports=(443,),
        addresses=(),
        region="us-east-1",
        key_alias="alias/isoserve-us-east-1-models",
        partition="aws",
        dns_suffix="amazonaws.com",
        access_control=True,
        kms=True,
        replicate_to=(),
        oidc_issuer="",
        account_id="000000000000",
        grants=(),
    )
    return replace(whole, **over)


def an_account(**over: Any) -> AccountPlan:
    whole = AccountPlan(
        region="us-east-1",
        partition="aws",
        dns_suffix="amazonaws.com",
        account_id="000000000000",
        profile="",
        config_file="",
        credentials_file="",
        s3_compatible=False,
        subnet_ids=("subnet-a", "subnet-b"),
        node_security_group_ids=(),
    )
    return replace(whole, **over)


def a_region_plan(**over: Any) -> RegionPlan:
    """One project with one GPU model, in a region that can do everything."""
    whole = RegionPlan(
        region="us-east-1",
        provider="aws",
        zones=("us-east-1a", "us-east-1b"),
        domain="models.example.com",
        capabilities=EVERYTHING,
        cluster=ClusterPlan(name="serving", kubeconfig="kubeconfig", context="serving"),
        account=an_account(),
        registry=a_registry(),
        grafana_url="https://grafana.example.com",
        prometheus=PrometheusPlan(
            url="http://prometheus.monitoring.svc:9090", namespace="monitoring", labels={}
        ),
        proxy_namespaces=("envoy-gateway-system",),
        image_hosts=("registry.example.com",),
        pull_secret="",
        reachable=(),
        addon_objects=(),
        system_namespaces=("isoserve-cache", "isoserve-gateway", "isoserve-system"),
        priority_classes=(("isoserve-preemptible", 1000), ("isoserve-standard", 1_000_000)),
        projects=(a_project(),),
        pools=(),
        caches=(),
        gateways=(a_gateway(),),
        servers=(a_server(),),
        jobs=(),
        probers=(a_prober(),),
        expired=(),
        downgrades=(),
        gaps=(),
    )
    return replace(whole, **over)
