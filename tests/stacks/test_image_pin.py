"""`isoserve image pin`: what registries are asked, what they may answer, and what is written."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from stacks.images.credentials import Credentials, credentials
from stacks.images.errors import ImageError
from stacks.images.reference import reference
from stacks.images.registry import MOST_BYTES, Registries
from tests.examples import ROOT
from tests.image_registry import BODY, DIGEST, INDEX, Answer, Asked, Registry, Reply, registry
from tests.stacks.conftest import Isoserve, edit

OTHER = f"sha256:{'1' * 64}"
WHO = Credentials(name="ann", password="pä:ss", identity_token="")
BASIC = "Basic " + base64.b64encode("ann:pä:ss".encode()).decode()


@pytest.fixture(autouse=True)
def no_sign_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of docker's configuration, empty: whoever runs this may be signed in."""
    for name in ("REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


def found(answer: Answer, who: Credentials | None = None) -> tuple[str, list[Asked]]:
    """The digest that a registry with this `answer` is taken to say, and what it was asked."""
    with registry(answer) as served, Registries(lambda *_: who, plain_http=True) as asking:
        return asking.digest(reference(f"{served.host}/team/app:v1")), served.asked


def refused(answer: Answer, who: Credentials | None = None) -> str:
    with pytest.raises(ImageError) as error:
        found(answer, who)
    return str(error.value)


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("vllm/vllm-openai:v0.18.0", "docker.io/vllm/vllm-openai:v0.18.0"),
        ("python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("docker.io/python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("index.docker.io/a/b:1", "docker.io/a/b:1"),
        ("ghcr.io/a/b:1", "ghcr.io/a/b:1"),
        ("localhost:5000/a:1", "localhost:5000/a:1"),
        ("localhost/a:1", "localhost/a:1"),
        (f"h.example/a/b:1@{OTHER}", f"h.example/a/b:1@{OTHER}"),
    ],
)
def test_a_name_means_what_every_program_takes_it_for(text: str, whole: str) -> None:
    assert str(reference(text)) == whole


@pytest.mark.parametrize(
    "text",
    ["", "vllm", "a b:1", "Up/Case:1", "h.example/a", "h.example/a:", "a/b@sha256:12", "-/a:1"],
)
def test_what_names_no_image_to_ask_for_is_refused(text: str) -> None:
    with pytest.raises(ImageError, match="; write "):
        reference(text)


# -- registries ------------------------------------------------------------------------------


def test_a_registry_is_asked_for_an_index_first_and_without_its_body() -> None:
    digest, (asked,) = found(lambda _: Reply())
    assert digest == DIGEST
    assert (asked.method, asked.path) == ("HEAD", "/v2/team/app/manifests/v1")
    assert asked.headers["accept"].startswith(INDEX), "one digest for all architectures"


@pytest.mark.parametrize("head", [Reply(405), Reply(headers={"Content-Type": INDEX})])
def test_a_registry_without_that_header_is_read_and_its_answer_hashed(head: Reply) -> None:
    bare = {"Content-Type": f"{INDEX}; charset=utf-8"}
    digest, asked = found(lambda it: head if it.method == "HEAD" else Reply(headers=bare))
    assert (digest, [it.method for it in asked]) == (DIGEST, ["HEAD", "GET"])


def test_a_registry_that_lies_about_its_bytes_is_not_believed() -> None:
    lie = {"Content-Type": INDEX, "Docker-Content-Digest": OTHER}
    told = refused(lambda it: Reply(405) if it.method == "HEAD" else Reply(headers=lie))
    assert "gives other bytes" in told


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(404), "has no such image; mend its name or tag"),
        (Reply(403), "not ours to read; mend the name, or `docker login 127"),
        (Reply(429), "too many questions"),
        (Reply(500), "answers 500; try again later"),
        (Reply(headers={"Content-Type": "text/html", "Docker-Content-Digest": DIGEST}), "a page"),
        (Reply(headers={"Content-Type": INDEX, "Docker-Content-Digest": "sha512:" + "1" * 128}),
         "tells no sha256 digest"),
        (Reply(401), "wants a sign-in"),
        (Reply(401, {"WWW-Authenticate": 'Basic realm="x"'}), "wants a sign-in"),
        (Reply(401, {"WWW-Authenticate": "Bearer realm="}), "wants a sign-in"),
        (Reply(401, {"WWW-Authenticate": "Negotiate"}), "wants a sign-in"),
    ],
)  # fmt: skip
def test_an_answer_that_tells_nothing_is_said_with_what_to_do(reply: Reply, says: str) -> None:
    told = refused(lambda _: reply)
    assert says in told
    assert "/team/app:v1: " in told, "which of many images"


def test_a_schema_that_no_kubelet_runs_is_refused() -> None:
    old = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    told = refused(lambda _: Reply(headers={"Content-Type": old, "Docker-Content-Digest": DIGEST}))
    assert "no image's manifest" in told


def test_a_manifest_without_end_is_not_read_to_its_end() -> None:
    bare = {"Content-Type": INDEX}
    told = refused(lambda _: Reply(headers=bare, body=b"x" * (MOST_BYTES + 1)))
    assert f"larger than {MOST_BYTES} bytes" in told


def test_a_pinned_image_must_be_there_under_its_digest() -> None:
    with registry(lambda _: Reply()) as served, Registries(lambda *_: None, plain_http=True) as ask:
        image = reference(f"{served.host}/team/app:v1@{DIGEST}")
        assert ask.digest(image) == DIGEST
        assert served.asked[0].path.endswith(DIGEST)
        with pytest.raises(ImageError, match=r"has .* instead"):
            ask.digest(replace(image, digest=OTHER))


def test_who_does_not_answer_is_said_not_thrown() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
    with Registries(lambda *_: None, plain_http=True) as ask:
        for name in (host, "no-such-host.invalid", "h..example"):
            with pytest.raises(ImageError, match="cannot be reached from here"):
                ask.digest(reference(f"{name}/team/app:v1"))


def test_a_registry_without_tls_is_not_asked_where_nobody_said_so() -> None:
    with registry(lambda _: Reply()) as served, Registries(lambda *_: None) as ask:
        with pytest.raises(ImageError, match="--plain-http"):
            ask.digest(reference(f"{served.host}/team/app:v1"))
        assert not served.asked


# -- signing in ------------------------------------------------------------------------------


def challenged(token: Reply, scope: str = "") -> Answer:
    """A registry that wants a token of its own service."""

    def answer(asked: Asked) -> Reply:
        if urlsplit(asked.path).path == "/token":
            return token
        if asked.headers.get("authorization") == "Bearer t0k":
            return Reply()
        realm = f"http://{asked.headers['host']}/token"
        challenge = f'Bearer realm="{realm}",service="r, of ours"{scope},error="invalid_token"'
        return Reply(401, {"WWW-Authenticate": challenge})

    return answer


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_a_token_is_asked_for_without_a_name_where_nobody_signed_in(name: str) -> None:
    digest, (_, asked, then) = found(challenged(Reply(body=json.dumps({name: "t0k"}).encode())))
    assert digest == DIGEST
    assert parse_qs(urlsplit(asked.path).query) == {
        "service": ["r, of ours"], "scope": ["repository:team/app:pull"]
    }  # fmt: skip
    assert "authorization" not in asked.headers
    assert then.headers["authorization"] == "Bearer t0k"


def test_a_token_is_asked_for_by_name_and_password_and_for_the_scope_that_was_told() -> None:
    token = Reply(body=b'{"token": "t0k"}')
    _, (_, asked, _) = found(challenged(token, ',scope="repository:x/y:pull,push"'), WHO)
    assert asked.headers["authorization"] == BASIC
    assert parse_qs(urlsplit(asked.path).query)["scope"] == ["repository:x/y:pull,push"]


def test_an_identity_token_is_posted_and_not_written_into_an_address() -> None:
    who = Credentials(name="", password="", identity_token="long-lived")
    _, (_, asked, _) = found(challenged(Reply(body=b'{"access_token": "t0k"}')), who)
    assert (asked.method, asked.path) == ("POST", "/token")
    assert parse_qs(asked.body)["refresh_token"] == ["long-lived"]
    assert parse_qs(asked.body)["grant_type"] == ["refresh_token"]


def test_an_identity_token_is_given_to_nobody_whom_the_token_service_names() -> None:
    who = Credentials(name="", password="", identity_token="long-lived")
    with registry(lambda asked: Reply(body=b'{"token": "t0k"}')) as other:
        away = Reply(307, {"Location": f"http://{other.host}/token"})
        assert "answers 307" in refused(challenged(away), who)
        assert other.asked == []


@pytest.mark.parametrize("realm", ["https://[", "", "//"])
def test_a_token_service_that_has_no_address_is_refused(realm: str) -> None:
    told = {"WWW-Authenticate": f'Bearer realm="{realm}"'}
    assert "its tokens are given without TLS" in refused(lambda asked: Reply(401, told))


def test_a_token_nested_without_end_is_none() -> None:
    assert "gave no token" in refused(challenged(Reply(body=b"[" * 100_000)))


def test_a_registry_may_want_name_and_password_itself() -> None:
    def answer(asked: Asked) -> Reply:
        good = asked.headers.get("authorization") == BASIC
        return Reply() if good else Reply(401, {"WWW-Authenticate": 'Basic realm="r"'})

    assert found(answer, WHO)[0] == DIGEST
    wrong = Credentials(name="ann", password="no", identity_token="")
    assert "`docker login" in refused(answer, wrong)


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (Reply(401), "refuses us"),
        (Reply(body=b"<html>"), "gave no token"),
        (Reply(body=b"[]"), "gave no token"),
        (Reply(body=b'{"token": "a\\nb"}'), "gave no token"),
        (Reply(body=b'{"token": 7}'), "gave no token"),
    ],
)
def test_a_service_that_gives_no_token_is_said(token: Reply, says: str) -> None:
    assert says in refused(challenged(token), WHO)


def test_no_password_goes_where_there_is_no_tls() -> None:
    realm = "ftp://127.0.0.1/token"
    answer = Reply(401, {"WWW-Authenticate": f'Bearer realm="{realm}"'})
    assert "without TLS" in refused(lambda _: answer, WHO)


def test_a_password_is_not_sent_on_to_another_host() -> None:
    with registry(lambda _: Reply()) as other:

        def answer(asked: Asked) -> Reply:
            if asked.headers.get("authorization") != BASIC:
                return Reply(401, {"WWW-Authenticate": 'Basic realm="r"'})
            return Reply(307, {"Location": f"http://{other.host}{asked.path}"})

        assert found(answer, WHO)[0] == DIGEST
        assert "authorization" not in other.asked[0].headers


def signed_in(folder: Path, config: object) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def test_what_docker_login_wrote_is_found(no_sign_in: Path) -> None:
    packed = base64.b64encode("ann:pä:ss".encode()).decode()
    signed_in(no_sign_in, {"auths": {
        "r.example": {"auth": packed},
        "https://index.docker.io/v1/": {"identitytoken": "long-lived"},
    }})  # fmt: skip
    assert credentials("r.example", "team/app") == WHO
    assert credentials("docker.io", "team/app") == Credentials(
        name="", password="", identity_token="long-lived"
    )
    assert credentials("other.example", "team/app") is None


def test_the_sign_in_of_the_namespace_counts_before_that_of_the_host(no_sign_in: Path) -> None:
    def packed(name: str) -> dict[str, str]:
        return {"auth": base64.b64encode(f"{name}:x".encode()).decode()}

    signed_in(no_sign_in, {"auths": {
        "r.example": packed("all"),
        "r.example/team": packed("team"),
        "r.example/teams": packed("teams"),
        "other.example": {"auth": "###"},
    }})  # fmt: skip
    names = {"team/app": "team", "teams/app": "teams", "app": "all"}
    for repository, name in names.items():
        found = credentials("r.example", repository)
        assert found, "another host's broken entry is none of its business"
        assert found.name == name


def test_a_credential_helper_is_asked(
    no_sign_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-test"
    told = '{"Username": "ann", "Secret": "p\\u00e4:ss"}'
    helper.write_text(f"#!/bin/sh\n[ \"$(cat)\" = r.example ] && echo '{told}'\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    signed_in(no_sign_in, {"credHelpers": {"r.example": "test"}})
    assert credentials("r.example", "team/app") == WHO


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"auths": {"r.example": 1}}', '{"auths": {"r.example": {"auth": "??"}}}',
     '{"auths": {"r.example": {"auth": 7}}}', '{"credHelpers": {"r.example": "no-such"}}'],
)  # fmt: skip
def test_a_sign_in_that_cannot_be_read_is_said_with_its_file(no_sign_in: Path, text: str) -> None:
    (no_sign_in / "config.json").write_text(text)
    with pytest.raises(ImageError, match=r"config\.json: .*`docker login r\.example`"):
        credentials("r.example", "team/app")


# -- what is written -------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """One registry that stands for all hosts: the proxy through which they are asked."""
    with registry(lambda _: Reply()) as served:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://{served.host}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield served


def pin(isoserve: Isoserve, *words: str | Path) -> list[str]:
    done = isoserve("image", "pin", "--plain-http", *words)
    assert done.code == 0, done.err
    return done.out.splitlines()


def test_a_tag_in_a_profile_is_pinned_and_no_other_byte_changes(
    here: Path, hub: Registry, isoserve: Isoserve
) -> None:
    profile = here / "regions/us-east-1.yaml"
    before = profile.read_text()
    old = next(line for line in before.splitlines() if line.startswith("agent_image: "))
    edit(profile, old, 'agent_image: "registry.example.com/isoserve/cache-agent:v2"  # ours')
    (said,) = pin(isoserve)
    address = f"registry.example.com/isoserve/cache-agent:v2@{DIGEST}"
    assert said.endswith(f"us-east-1.yaml: agent_image pinned to {address}")
    assert profile.read_text() == before.replace(old, f'agent_image: "{address}"  # ours')
    assert [it.path for it in hub.asked] == [
        "http://registry.example.com/v2/isoserve/cache-agent/manifests/v2"
    ], "images that have a digest are asked of nobody"
    assert isoserve("check").code == 0
    assert pin(isoserve) == ["every image is pinned"]


def test_a_tag_of_docker_hub_in_a_spec_and_in_a_row_gets_its_host(
    here: Path, hub: Registry, isoserve: Isoserve
) -> None:
    spec, row = here / "model_specs/search/sentiment.yaml", here / "model_specs/catalogue/runtimes"
    edit(spec, "image: vllm", "image: vllm/vllm-openai:v0.18.0")
    (row / "mine.yaml").write_text("image: vllm/vllm-openai:v0.18.0\n")
    pin(isoserve, spec, row / "mine.yaml", "model_specs/search/project.yaml")
    address = f"docker.io/vllm/vllm-openai:v0.18.0@{DIGEST}"
    assert f"image: {address}" in spec.read_text()
    assert (row / "mine.yaml").read_text() == f"image: {address}\n"
    assert len(hub.asked) == 1, "an image of two files is asked for once"
    assert urlsplit(hub.asked[0].path).hostname == "registry-1.docker.io"


def test_a_candidate_is_pinned_as_well(here: Path, hub: Registry, isoserve: Isoserve) -> None:
    spec = here / "model_specs/search/mine.yaml"
    spec.write_text("image: vllm\nrollout:\n  candidate: {image: ghcr.io/a/b:1}\n")
    pin(isoserve, spec)
    assert f"image: ghcr.io/a/b:1@{DIGEST}" in spec.read_text()
    assert spec.read_text().startswith("image: vllm\n"), "a runtime is no image"


def test_a_field_is_given_another_image_in_every_profile(
    here: Path, hub: Registry, isoserve: Isoserve
) -> None:
    files = sorted((here / "regions").glob("*.yaml"))
    image = "registry.example.com/isoserve/prober:v3"
    done = isoserve(
        "image", "pin", "--plain-http", "--json", "--set", f"prober_image={image}", *files
    )
    assert [row["field"] for row in done.data["images"]] == ["prober_image"] * len(files)
    assert all(f"prober_image: {image}@{DIGEST}\n" in path.read_text() for path in files)


def test_images_are_pinned_to_another_tag_of_their_own(
    here: Path, hub: Registry, isoserve: Isoserve
) -> None:
    profile = here / "regions/us-east-1.yaml"
    pin(isoserve, profile, "--to", "v9")
    text = profile.read_text()
    for name in ("cache-agent", "prober"):
        assert f"registry.example.com/isoserve/{name}:v9@{DIGEST}" in text


def test_nothing_is_written_until_all_images_are_found(
    here: Path, hub: Registry, isoserve: Isoserve
) -> None:
    first, second = here / "model_specs/search/a.yaml", here / "model_specs/search/b.yaml"
    first.write_text("image: ghcr.io/a/b:1\n")
    second.write_text("# mine\nimage: ghcr.io/a/b\n")
    done = isoserve("image", "pin", "--plain-http", first, second)
    assert (done.code, done.out) == (1, "")
    assert "b.yaml:2:1  image  E392  no tag that could be asked for, got 'ghcr.io/a/b'" in done.err
    assert first.read_text() == "image: ghcr.io/a/b:1\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--set", "agent_image=ghcr.io/a/b:1", "regions/us-east-1.yaml"), 1, "images come from"),
        (("--set", "agent_image=127.0.0.1:5000/b:1", "regions/us-east-1.yaml"), 1, "E325"),
        (("--set", "agent=ghcr.io/a/b:1"), 2, "did you mean agent_image?"),
        (("--set", "agent_image=ghcr.io/a/b"), 2, "write ghcr.io/a/b:TAG"),
        (("--set", "image=ghcr.io/a/b:1", "regions/us-east-1.yaml"), 2, "no file has the field"),
        (("--to", "v1"), 2, "no file is named"),
        (("--to", "a/../b", "regions/us-east-1.yaml"), 2, "no tag of images"),
        (("regions/none.yaml",), 1, "none.yaml"),
    ],
)
def test_what_cannot_be_pinned_is_said_and_nothing_is_written(
    here: Path, hub: Registry, isoserve: Isoserve, words: tuple[str, ...], code: int, says: str
) -> None:
    before = (here / "regions/us-east-1.yaml").read_text()
    done = isoserve("image", "pin", "--plain-http", *words)
    assert (done.code, says in done.err) == (code, True), done.err
    assert (here / "regions/us-east-1.yaml").read_text() == before


# -- a real registry -------------------------------------------------------------------------


@pytest.mark.engine
def test_a_real_registry_gives_the_digest_of_what_was_pushed(tmp_path: Path) -> None:
    programs = ROOT / ".isoserve" / "bin"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "images")}},
        "http": {"addr": host},
    }
    (tmp_path / "registry.yaml").write_text(json.dumps(config))
    (tmp_path / "file").write_text("a")
    subprocess.run(["tar", "cf", "layer.tar", "file"], cwd=tmp_path, check=True)
    quiet = os.environ | {"OTEL_TRACES_EXPORTER": "none", "NO_PROXY": "*"}
    command = [str(programs / "registry"), "serve", str(tmp_path / "registry.yaml")]
    with subprocess.Popen(command, env=quiet, stderr=subprocess.DEVNULL) as running:
        try:
            pushed = _pushed(programs / "crane", host, tmp_path / "layer.tar", quiet)
            assert all(ours == theirs for ours, theirs in pushed), "crane asks as kubelets do"
        finally:
            running.terminate()


def _pushed(crane: Path, host: str, layer: Path, env: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Of a manifest and of an index that are pushed: the digest that we find, and crane's."""
    image = f"{host}/team/app:v1"

    def cranes(*words: str) -> str:
        done = subprocess.run(
            [str(crane), *words], env=env, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout.strip()

    with Registries(lambda *_: None, plain_http=True) as ask:
        for _ in range(500):
            try:
                ask.digest(reference(image))
            except ImageError as error:
                if "has no such image" in str(error):
                    break
        for words in (
            ("append", "--oci-empty-base", f"--new_layer={layer}", f"--new_tag={image}"),
            ("index", "append", f"--manifest={image}", f"--tag={image}"),
        ):
            cranes(*words)
            yield ask.digest(reference(image)), cranes("digest", image)


def test_bodies_of_tests_have_the_digest_that_they_say() -> None:
    assert found(lambda it: Reply(405) if it.method == "HEAD" else Reply())[0] == DIGEST
    assert BODY
