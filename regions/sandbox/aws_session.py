"""The provider's inputs as a boto3 session that only ever talks to this machine."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config

from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import ROOT

Props = dict[str, Any]
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class Aws:
    """One account in one region; its clients are made once and shared by all threads."""

    def __init__(self, inputs: Props) -> None:
        """Take the provider's inputs; complex ones arrive as JSON in a string."""
        config = {name: _decoded(value) for name, value in inputs.items()}
        self.region = str(config.get("region") or "us-east-1")
        self.default_tags: dict[str, str] = (config.get("defaultTags") or {}).get("tags") or {}
        self._path_style = bool(config.get("s3UsePathStyle"))
        self._endpoints = {
            service: url
            for entry in config.get("endpoints") or []
            for service, url in entry.items()
        }
        self._session = _session(config, self.region)
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._account_id = ""

    @property
    def account_id(self) -> str:
        """The account that the credentials belong to."""
        if not self._account_id:
            self._account_id = self.client("sts").get_caller_identity()["Account"]
        return self._account_id

    def client(self, service: str) -> Any:
        """The client of a service; raises SandboxError when it would leave this machine."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]

    def input_shape(self, service: str, method: str) -> Any:
        """What a client's method takes, as botocore's model describes it."""
        client = self.client(service)
        operation = client.meta.method_to_api_mapping[method]
        return client.meta.service_model.operation_model(operation).input_shape

    def _make(self, service: str) -> Any:
        settings: Props = {"retries": {"total_max_attempts": 3}, "proxies": {}}
        if self._path_style:
            settings["s3"] = {"addressing_style": "path"}
        client = self._session.client(
            service, endpoint_url=self._endpoints.get(service), config=Config(**settings)
        )
        host = urlsplit(client.meta.endpoint_url).hostname
        if host not in _LOOPBACK:
            raise SandboxError(
                f"the sandbox's AWS substitute was about to call {service} at {host}, which isn't "
                "this machine. Use the profile `sandbox` of the sandbox's own config file, or take "
                "the sandbox off PATH to work with a real account"
            )
        return client


def _decoded(value: Any) -> Any:
    if isinstance(value, str) and (value[:1] in '[{"' or value in ("true", "false", "null")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _session(config: Props, region: str) -> boto3.Session:
    core = botocore.session.Session(profile=config.get("profile") or None)
    for variable, name in (
        ("config_file", "sharedConfigFiles"),
        ("credentials_file", "sharedCredentialsFiles"),
    ):
        files = config.get(name) or []
        if files:
            core.set_config_variable(variable, str(_existing(Path(files[0]).expanduser())))
    return boto3.Session(
        aws_access_key_id=config.get("accessKey"),
        aws_secret_access_key=config.get("secretKey"),
        region_name=region,
        botocore_session=core,
    )


def _existing(path: Path) -> Path:
    # The engine starts plugins in the program's folder; profiles name paths from the root.
    return path if path.is_absolute() or path.exists() else ROOT / path
