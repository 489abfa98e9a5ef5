"""Who may call a model, asked of the real gateways of both regions by real requests.

One model stands by its spec in each mode in turn. Tokens are of the region's own sign-in and of its
API server, keys and certificates of the region's authority.
"""

from __future__ import annotations

import json
import secrets
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final

import pytest
import yaml

from components.kube import Object
from regions.sandbox.kube import execute
from tests.engine.real_region import eventually
from tests.engine.world import REGIONS, World, body, path_of

pytestmark = pytest.mark.engine

MODEL: Final = "search/ranker"
PATH: Final = "/v2/models/ranker/infer"
GROUP: Final = "search-users"
ORIGIN: Final = "https://shop.example.com"
LISTED: Final = ("shop", "partner", "eager", "patient")
"""Callers whose keys let them in."""
QUOTA: Final = 12
"""Requests a minute: the prober's own six are counted for the prober."""
IN_FORCE_SECONDS: Final = 120.0
_TIMEOUT_SECONDS: Final = 10
_ASK: Final = """
import sys, urllib.error, urllib.request
made = urllib.request.Request(sys.argv[1], data=sys.argv[2].encode(), method="POST")
made.add_header("Content-Type", "application/json")
try:
    print(urllib.request.urlopen(made, timeout=5).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    print("unreachable")
"""

every_region = pytest.mark.parametrize("region", REGIONS)


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody outside the cluster, who asks one region's gateways."""

    world: World
    region: str
    _tokens: dict[tuple[str, ...], str] = field(default_factory=dict)

    def host(self, side: str) -> str:
        """The model's host at a gateway."""
        return f"ranker--search.{'internal.' if side == 'internal' else ''}{self.domain()}"

    def domain(self) -> str:
        """Below which all hosts of the region are."""
        return str(self.profile()["domain"])

    def profile(self) -> Any:
        """The region's profile, as it is written."""
        return yaml.safe_load((self.world.root / "regions" / f"{self.region}.yaml").read_text())

    def ask(
        self, side: str, headers: Mapping[str, str] | None = None, *, method: str = "POST"
    ) -> tuple[str, dict[str, str]]:
        """The status of the spec's own request, else the error's name; and the answer's headers."""
        address = self.world.network(self.region).gateway_address(side)
        connection: HTTPConnection = HTTPConnection(address, 80, timeout=_TIMEOUT_SECONDS)
        if side == "public":
            connection = _Secure(address, self.host(side), self._trust())
        own = {"Content-Type": "application/json", "Host": self.host(side), **(headers or {})}
        try:
            connection.request(method, PATH, json.dumps(self.body()), own)
            answer = connection.getresponse()
            answer.read()
            return str(answer.status), {key.lower(): text for key, text in answer.getheaders()}
        except (OSError, HTTPException) as error:
            return type(error).__name__, {}
        finally:
            connection.close()

    def body(self) -> Object:
        """The spec's own example request."""
        spec = yaml.safe_load(self.world.spec(MODEL).read_text())
        body: Object = spec["probe"]["request"]["body"]
        return body

    def signed_in(self, subject: str, *groups: str) -> dict[str, str]:
        """The header with a token of the sign-in."""
        key = (subject, *groups)
        if key not in self._tokens:
            done = self.world.sandbox("token", self.region, *key)
            assert done.returncode == 0, done.stderr
            self._tokens[key] = done.stdout.strip()
        return {"Authorization": f"Bearer {self._tokens[key]}"}

    def as_account(self, namespace: str, name: str, audience: str) -> dict[str, str]:
        """The header with a token that the API server signs for a ServiceAccount."""
        cluster = self.world.cluster(self.region)
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                 "spec": {"audiences": [audience], "expirationSeconds": 600}}  # fmt: skip
        made = cluster.session.post(cluster.url + path, json=asked, timeout=30)
        assert made.ok, made.text
        return {"Authorization": f"Bearer {made.json()['status']['token']}"}

    def from_pod(self, project: str, url: str) -> str:
        """What the spec's own request comes to, sent by the prober's pod of a project."""
        cluster = self.world.cluster(self.region)
        query = "labelSelector=isoserve.dev%2Frole%3Dprober"
        found = cluster.get(f"/api/v1/namespaces/{project}/pods?{query}")
        assert found is not None
        name = str(found["items"][0]["metadata"]["name"])
        kubeconfig = self.world.root / ".isoserve" / self.region / "kubeconfig"
        words = ("python", "-c", _ASK, url, json.dumps(self.body()))
        return execute(kubeconfig, project, name, *words).strip()

    def _trust(self) -> ssl.SSLContext:
        certificates = self.world.root / ".isoserve" / self.region / "certs"
        return ssl.create_default_context(cafile=str(certificates / "authority.crt"))


class _Secure(HTTPSConnection):
    """A connection to an address that checks the certificate of a host."""

    def __init__(self, address: str, host: str, trust: ssl.SSLContext) -> None:
        super().__init__(host, 443, timeout=_TIMEOUT_SECONDS, context=trust)
        self._address = address

    def connect(self) -> None:
        plain = HTTPConnection(self._address, 443, timeout=_TIMEOUT_SECONDS)
        plain.connect()
        self.sock = self._context.wrap_socket(plain.sock, server_hostname=self.host)  # type: ignore[attr-defined]


def await_status(
    caller: Caller, side: str, wanted: str, headers: Mapping[str, str] | None = None
) -> None:
    """Wait until the gateway has heard of the spec; else fail with what it answers instead."""
    deadline = time.monotonic() + IN_FORCE_SECONDS
    while (seen := caller.ask(side, headers)[0]) != wanted:
        assert time.monotonic() < deadline, f"{caller.region}, {side}: {seen} instead of {wanted}"
        time.sleep(0.5)


@contextmanager
def standing_as(world: World, **fields: Any) -> Iterator[None]:
    """While it lasts, both regions serve the model with these fields of its spec changed."""
    text = world.spec(MODEL).read_text()
    try:
        world.edit_spec(MODEL, **fields)
        for region in REGIONS:
            world.must_apply(region)
        yield
    finally:
        world.spec(MODEL).write_text(text)
        for region in REGIONS:
            world.must_apply(region)


@every_region
def test_a_permissive_model_answers_every_project_and_nobody_outside(
    world: World, region: str
) -> None:
    caller = Caller(world, region)
    await_status(caller, "internal", "200")
    url = f"http://{caller.host('internal')}{PATH}"
    assert caller.from_pod("chat", url) == "200", "a pod of another project, by the gateway"
    assert caller.ask("public")[0] == "404", "the gateway on the internet knows it not"


def test_a_private_model_is_behind_no_gateway_and_asked_by_its_own_project(world: World) -> None:
    with standing_as(world, access="private"):
        for region in REGIONS:
            caller = Caller(world, region)
            await_status(caller, "internal", "404")
            assert caller.ask("public")[0] == "404"
            own = "http://ranker.search.svc" + PATH
            assert caller.from_pod("search", own) == "200", "its own project"
            assert caller.from_pod("chat", own) == "unreachable", "and no other"


@pytest.fixture(scope="module")
def public(world: World) -> Iterator[World]:
    """The model is called by those of one group who sign in, and by pages of one origin."""
    with standing_as(
        world,
        access="public",
        callers={"groups": [GROUP]},
        cors_origins=[ORIGIN],
        requests_per_minute=QUOTA,
    ):
        for region in REGIONS:
            caller = Caller(world, region)
            await_status(caller, "public", "200", caller.signed_in("early", GROUP))
        yield world


@every_region
def test_who_may_call_a_public_model_and_who_may_not(public: World, region: str) -> None:
    caller = Caller(public, region)
    audience = caller.profile()["sign_in"]["audience"]
    forged = caller.signed_in("alice", GROUP)["Authorization"][:-12] + "AAAAAAAAAAAA"
    rows = {
        "nobody": (None, "401"),
        "a token that nobody signed": ({"Authorization": forged}, "401"),
        "who has signed in and is of the group": (caller.signed_in("alice", GROUP), "200"),
        "who is of that group and of others": (caller.signed_in("carol", "a", GROUP), "200"),
        "who is of another group": (caller.signed_in("mallory", "others"), "403"),
        "who is of none": (caller.signed_in("mallory"), "403"),
        "the project's prober": (caller.as_account("search", "prober", audience), "200"),
        "another project's prober": (caller.as_account("chat", "prober", audience), "403"),
        "the prober for another audience": (caller.as_account("search", "prober", "other"), "403"),
    }
    found = {who: caller.ask("public", headers)[0] for who, (headers, _) in rows.items()}
    assert found == {who: status for who, (_, status) in rows.items()}


@every_region
def test_a_quota_is_each_callers_own_and_no_header_lends_it(public: World, region: str) -> None:
    caller = Caller(public, region)
    eager, other = caller.signed_in("eager", GROUP), caller.signed_in("patient", GROUP)
    _await_new_minute()
    found = [caller.ask("public", eager)[0] for _ in range(QUOTA + 3)]
    assert found == ["200"] * QUOTA + ["429"] * 3, "the quota, and no request more"
    assert caller.ask("public", other)[0] == "200", "another has its own"
    borrowed = {**eager, "x-isoserve-caller": "patient"}
    assert caller.ask("public", borrowed)[0] == "429", (
        "a name that the caller gives changes nothing"
    )


@every_region
def test_pages_of_listed_origins_alone_are_told_that_they_may_call(
    public: World, region: str
) -> None:
    caller = Caller(public, region)
    question = {"Access-Control-Request-Method": "POST"}

    def allowed(origin: str) -> str | None:
        _, told = caller.ask("public", {"Origin": origin, **question}, method="OPTIONS")
        return told.get("access-control-allow-origin")

    assert allowed(ORIGIN) == ORIGIN
    assert allowed("https://elsewhere.example.com") is None
    assert allowed(f"{ORIGIN}.example.net") is None, "no prefix of one"


@every_region
def test_a_public_model_has_no_second_door(public: World, region: str) -> None:
    caller = Caller(public, region)
    assert caller.ask("internal")[0] == "404", "the internal gateway knows it not"
    assert caller.from_pod("chat", "http://ranker.search.svc" + PATH) == "unreachable"
    assert caller.from_pod("search", "http://ranker.search.svc" + PATH) == "200", "its own project"


# -- callers with keys -----------------------------------------------------------------------


def _key() -> str:
    """As `openssl rand -hex 32` makes one."""
    return secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class Holders:
    """Callers of the model who have keys, the same in both regions, and one who may not call it."""

    world: World
    keys: Mapping[str, str]

    def bearer(self, name: str) -> dict[str, str]:
        """The header with a caller's key, as clients of OpenAI's API send it."""
        return {"Authorization": f"Bearer {self.keys[name]}"}

    def write(self, region: str, name: str, entries: Mapping[str, str]) -> None:
        """What an admin of the project may do of a Secret: replace it with all its entries."""
        made = body("v1", "Secret", f"api-key--{name}", "search", stringData=dict(entries))
        cluster = self.world.cluster(region)
        path = cluster.url + path_of(made)
        if not (answer := cluster.session.put(path, json=made, timeout=30)).ok:
            answer = cluster.session.post(path.rpartition("/")[0], json=made, timeout=30)
        assert answer.ok, answer.text

    def remove(self, region: str, name: str) -> None:
        """What an admin of the cluster may do of it."""
        made = body("v1", "Secret", f"api-key--{name}", "search")
        self.world.cluster(region).delete(path_of(made))


@pytest.fixture(scope="module")
def holders(public: World) -> Iterator[Holders]:
    """The model that was called by tokens is called by those who have keys."""
    found = Holders(public, {name: _key() for name in (*LISTED, "stranger")})
    for region in REGIONS:
        for name, key in found.keys.items():
            found.write(region, name, {name: key})
    with standing_as(public, callers={"keys": list(LISTED)}):
        for region in REGIONS:
            await_status(Caller(public, region), "public", "200", found.bearer("shop"))
        yield found
    for region in REGIONS:
        for name in found.keys:
            found.remove(region, name)


@every_region
def test_who_has_a_key_of_a_listed_caller_may_call_and_nobody_else(
    holders: Holders, region: str
) -> None:
    caller = Caller(holders.world, region)
    audience = caller.profile()["sign_in"]["audience"]
    prober = caller.as_account("search", "prober", audience)
    probe = {"x-isoserve-probe": "true"}
    rows = {
        "nobody": (None, "401"),
        "a listed caller": (holders.bearer("shop"), "200"),
        "another listed caller": (holders.bearer("partner"), "200"),
        "one without the word": ({"Authorization": holders.keys["shop"]}, "200"),
        "a key that nobody has": ({"Authorization": f"Bearer {_key()}"}, "401"),
        "a caller whom the spec does not name": (holders.bearer("stranger"), "401"),
        "a key in another header": ({"x-api-key": holders.keys["shop"]}, "401"),
        "who has signed in": (caller.signed_in("alice", GROUP), "401"),
        "the prober": ({**prober, **probe}, "200"),
        "the prober, not as one": (prober, "401"),
        "a listed caller as the prober": ({**holders.bearer("shop"), **probe}, "401"),
        "who has signed in, as the prober": ({**caller.signed_in("alice", GROUP), **probe}, "401"),
    }
    found = {who: caller.ask("public", headers)[0] for who, (headers, _) in rows.items()}
    assert found == {who: status for who, (_, status) in rows.items()}


@every_region
def test_a_quota_is_each_keys_own_and_no_header_lends_it(holders: Holders, region: str) -> None:
    caller = Caller(holders.world, region)
    _await_new_minute()
    found = [caller.ask("public", holders.bearer("eager"))[0] for _ in range(QUOTA + 3)]
    assert found == ["200"] * QUOTA + ["429"] * 3, "the quota, and no request more"
    assert caller.ask("public", holders.bearer("patient"))[0] == "200", "another has its own"
    names = {"x-isoserve-caller": "patient", "x-isoserve-client": "patient"}
    borrowed = {**holders.bearer("eager"), **names}
    assert caller.ask("public", borrowed)[0] == "429", (
        "a name that the caller gives changes nothing"
    )


@every_region
def test_pages_of_listed_origins_may_call_with_keys(holders: Holders, region: str) -> None:
    asked = {"Access-Control-Request-Method": "POST"}
    caller = Caller(holders.world, region)
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://elsewhere.example.com", None)):
        _, told = caller.ask("public", {"Origin": origin, **asked}, method="OPTIONS")
        assert told.get("access-control-allow-origin") == allowed


@every_region
def test_a_key_is_renewed_and_revoked_without_an_up(holders: Holders, region: str) -> None:
    caller, renewed = Caller(holders.world, region), _key()
    holders.write(region, "partner", {"partner": renewed})
    await_status(caller, "public", "200", {"Authorization": f"Bearer {renewed}"})
    assert caller.ask("public", holders.bearer("partner"))[0] == "401", "the old one is none"
    assert caller.ask("public", holders.bearer("shop"))[0] == "200", "and others keep theirs"
    holders.write(region, "partner", {"partner": holders.keys["partner"]})
    await_status(caller, "public", "200", holders.bearer("partner"))


@every_region
def test_a_secret_that_is_gone_shuts_its_model_to_all_callers_and_the_doctor_says_so(
    holders: Holders, region: str
) -> None:
    caller = Caller(holders.world, region)
    holders.remove(region, "partner")
    await_status(caller, "public", "403", holders.bearer("shop"))
    named = {**holders.bearer("shop"), "x-isoserve-client": "shop"}
    assert caller.ask("public", named)[0] == "500", "nor is a name believed that nobody has proved"
    env = holders.world.engine_env()
    told = holders.world.run("isoserve", "doctor", "-r", region, "--json", env=env).stdout
    holders.write(region, "partner", {"partner": holders.keys["partner"]})
    await_status(caller, "public", "200", holders.bearer("shop"))
    mends = [one["mend"] for one in json.loads(told)["findings"] if one["check"] == "secrets"]
    assert any("api-key--partner --from-literal=partner=" in mend for mend in mends), told


@every_region
def test_an_entry_that_no_gateway_reads_is_refused_by_the_guard(
    holders: Holders, region: str
) -> None:
    """One such entry, of any project, would keep every change of every model from the gateway, and
    without one it takes the keys of another model."""
    cluster = holders.world.cluster(region)
    for entries in ({}, {"shop": ""}, {"shop": "short"}, {"other": _key()}):
        made = body("v1", "Secret", "api-key--shop", "search", stringData=entries)
        answer = cluster.session.put(cluster.url + path_of(made), json=made, timeout=30)
        assert answer.status_code == 422, answer.text
        assert "isoserve-caller-keys" in answer.text


def test_the_prober_still_gets_right_answers(holders: Holders) -> None:
    def words() -> list[str]:
        return [row["probe"] for row in holders.world.status() if row["model"] == "ranker"]

    what = "it has a rule of the route for itself"
    assert eventually(lambda: words() == ["passes", "passes"] or None, what, seconds=60)


def _await_new_minute() -> None:
    """Quotas are counted by the minutes of the clock: one that ends soon would hold two."""
    while time.time() % 60 > 30:
        time.sleep(0.5)
