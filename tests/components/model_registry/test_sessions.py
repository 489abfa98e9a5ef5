"""Who calls the registry is who the AWS SDK would take, whether it is asked or not."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from components.model_registry.account import Account
from components.model_registry.errors import RegistryError
from components.model_registry.sessions import Registry, connect
from tests.components.model_registry.conftest import NOBODY, ROOT

ENDPOINT = "http://127.0.0.1:9"  # nobody is asked: what is signed says who signs


def caller(account: Account) -> tuple[str, str]:
    """The key's id, and the token of a session, by which a request is signed."""
    url = connect("any-bucket", ENDPOINT, account).store.sign("a")
    words = parse_qs(urlsplit(url).query)
    return words["X-Amz-Credential"][0].split("/")[0], words.get("X-Amz-Security-Token", [""])[0]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A session in the environment, and a profile in a file."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / "file").write_text(
        "[mine]\naws_access_key_id = of-profile\naws_secret_access_key = secret\n"
        "[default]\naws_access_key_id = of-default\naws_secret_access_key = secret\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("profile", "key", "token"),
    [
        ("", "of-environment", "token"),
        ("mine", "of-profile", ""),
        ("not-here", "of-environment", "token"),
    ],
)
def test_a_profile_of_the_files_comes_before_the_environment(
    profile: str, key: str, token: str
) -> None:
    assert caller(replace(NOBODY, profile=profile)) == (key, token)


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_pair_of_keys_is_the_sdks_to_judge(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(missing)
    if missing == "AWS_ACCESS_KEY_ID":
        assert caller(NOBODY) == ("of-default", ""), "without an id it goes on to the files"
    else:
        with pytest.raises(RegistryError, match="missing: AWS_SECRET_ACCESS_KEY"):
            caller(NOBODY)


SMALL_PUSH = """
import sys
from components.model_registry.account import Account
from components.model_registry.sessions import connect
account = Account(region="us-east-1", profile="", config_file="", credentials_file="")
connect(sys.argv[1], sys.argv[2], account).store.put("a", b"small")
print(sorted({"boto3", "botocore.session"} & sys.modules.keys()))
"""


def test_with_keys_in_the_environment_the_sdk_is_not_even_imported(
    registry: Registry, endpoint: str
) -> None:
    command = [sys.executable, "-c", SMALL_PUSH, registry.bucket, endpoint]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, registry.store.read("a")) == ("[]\n", b"small"), done.stderr
