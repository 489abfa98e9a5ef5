"""The sandbox's substitute for the `aws` plugin: the provider protocol over boto3 and moto."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from concurrent import futures
from typing import Any, Final, NoReturn

import grpc
from botocore.exceptions import BotoCoreError, ClientError
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from regions.sandbox.aws_buckets import BUCKETS
from regions.sandbox.aws_identity import IDENTITY
from regions.sandbox.aws_machines import MACHINES
from regions.sandbox.aws_resources import Resource
from regions.sandbox.aws_session import Aws, Props
from regions.sandbox.aws_values import (
    UNKNOWN,
    all_tags,
    differences,
    observed,
    plain,
)
from regions.sandbox.errors import SandboxError

VERSION: Final = "7.51.1"
TABLE: Final = {**BUCKETS, **IDENTITY, **MACHINES}
_KINDS: Final = {
    "add": provider_pb2.PropertyDiff.ADD,
    "delete": provider_pb2.PropertyDiff.DELETE,
    "update": provider_pb2.PropertyDiff.UPDATE,
}
_REPLACING_KINDS: Final = {
    "add": provider_pb2.PropertyDiff.ADD_REPLACE,
    "delete": provider_pb2.PropertyDiff.DELETE_REPLACE,
    "update": provider_pb2.PropertyDiff.UPDATE_REPLACE,
}
_UNLIMITED: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)


def _props(struct: struct_pb2.Struct) -> Props:
    decoded: Props = plain(json_format.MessageToDict(struct))
    return decoded


def _struct(values: Props) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    json_format.ParseDict(values, struct)
    return struct


class SandboxAws(provider_pb2_grpc.ResourceProviderServicer):
    """Serves every type of the table; the engine can't tell it from the real plugin."""

    def __init__(self) -> None:
        """Wait for `Configure`."""
        self._aws: Aws | None = None

    @property
    def aws(self) -> Aws:
        """The configured account; raises SandboxError before `Configure`."""
        if self._aws is None:
            raise SandboxError("the AWS substitute was used before it was configured")
        return self._aws

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Tell the version of the SDK this stands in for."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: Any, context: Any) -> Any:
        """Tell that there is no schema: the Python SDK needs none."""
        return provider_pb2.GetSchemaResponse(schema="{}")

    def CheckConfig(self, request: Any, context: Any) -> Any:
        """Accept the provider's inputs as they are."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """A changed provider is updated, never replaced: its resources stay where they are."""
        changed = bool(list(differences(_props(request.old_inputs), _props(request.news))))
        answer = provider_pb2.DiffResponse
        return answer(changes=answer.DIFF_SOME if changed else answer.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        """Take region, profile and files; they may be unknown in a preview, then no call works."""
        self._aws = Aws(_props(request.args))
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:
        """Accept the inputs, and give a name where the program leaves it to the provider."""
        resource = _resource(request.urn)
        news = _props(request.news)
        name = resource.name_input
        if name and not news.get(name):
            olds = _props(request.olds)
            news[name] = olds.get(name) or _generated_name(request)
        return provider_pb2.CheckResponse(inputs=_struct(news))

    def Diff(self, request: Any, context: Any) -> Any:
        """Compare the last inputs with the new ones, path by path."""
        resource = _resource(request.urn)
        old = _props(request.old_inputs) or _props(request.olds)
        paths = dict(differences(old, _props(request.news)))
        answer = provider_pb2.DiffResponse
        if not paths:
            return answer(changes=answer.DIFF_NONE, hasDetailedDiff=True)
        replaces = sorted(path for path in paths if _replaces(resource, path))
        return answer(
            changes=answer.DIFF_SOME,
            diffs=sorted({_top(path) for path in paths}),
            replaces=sorted({_top(path) for path in replaces}),
            deleteBeforeReplace=bool(replaces),
            hasDetailedDiff=True,
            detailedDiff={
                path: provider_pb2.PropertyDiff(
                    kind=(_REPLACING_KINDS if path in replaces else _KINDS)[kind], inputDiff=True
                )
                for path, kind in paths.items()
            },
        )

    def Create(self, request: Any, context: Any) -> Any:
        """Make it, or take over what a killed run has left under the same name."""
        resource, inputs = _resource(request.urn), _props(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(id="", properties=_struct(self._echo(inputs)))
        key = resource.create(self.aws, inputs)
        return provider_pb2.CreateResponse(
            id=key, properties=_struct(self._state(resource, key, inputs))
        )

    def Read(self, request: Any, context: Any) -> Any:
        """Tell what is really there; an empty answer says that it is gone."""
        resource = _resource(request.urn)
        inputs = _props(request.inputs) or _props(request.properties)
        told = resource.read(self.aws, request.id, inputs)
        if told is None:
            return provider_pb2.ReadResponse()
        found, computed = told
        seen = observed(inputs, {**found, "tags": self._own_tags(inputs, found)})
        seen = {**seen, **{key: value for key, value in computed.items() if key in seen}}
        return provider_pb2.ReadResponse(
            id=request.id,
            inputs=_struct(seen),
            properties=_struct({**self._echo(seen), **computed}),
        )

    def Update(self, request: Any, context: Any) -> Any:
        """Change it in place; in a preview tell what is sure to stay."""
        resource = _resource(request.urn)
        old, inputs = _props(request.olds), _props(request.news)
        if request.preview:
            sure = {key: value for key, value in old.items() if key not in resource.volatile}
            return provider_pb2.UpdateResponse(properties=_struct({**sure, **self._echo(inputs)}))
        resource.update(self.aws, request.id, old, inputs)
        return provider_pb2.UpdateResponse(
            properties=_struct(self._state(resource, request.id, inputs))
        )

    def Delete(self, request: Any, context: Any) -> Any:
        """Remove it; what is gone already is fine."""
        _resource(request.urn).delete(self.aws, request.id, _props(request.properties))
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        """Answer the two questions that need no resource: who am I, and in which partition."""
        if request.tok == "aws:index/getCallerIdentity:getCallerIdentity":
            who = self.aws.client("sts").get_caller_identity()
            answer = {"accountId": who["Account"], "arn": who["Arn"], "userId": who["UserId"]}
        elif request.tok == "aws:index/getPartition:getPartition":
            answer = {"partition": "aws", "dnsSuffix": "amazonaws.com", "id": "aws"}
        else:
            raise SandboxError(
                f"the sandbox's AWS substitute doesn't know the function {request.tok}"
            )
        return provider_pb2.InvokeResponse(**{"return": _struct(answer)})

    def Cancel(self, request: Any, context: Any) -> Any:
        """Nothing runs longer than its call."""
        return empty_pb2.Empty()

    def _echo(self, inputs: Props) -> Props:
        if "tags" not in inputs and not self.aws.default_tags:
            return inputs
        tags = inputs.get("tags")
        whole = UNKNOWN if tags == UNKNOWN else all_tags(inputs, self.aws.default_tags)
        return {**inputs, "tagsAll": whole}

    def _state(self, resource: Resource, key: str, inputs: Props) -> Props:
        told = resource.read(self.aws, key, inputs)
        return {**self._echo(inputs), **(told[1] if told else {})}

    def _own_tags(self, inputs: Props, found: Props) -> Any:
        tags = found.get("tags")
        if not isinstance(tags, dict):
            return None
        own = inputs.get("tags") or {}
        defaults = self.aws.default_tags
        return {k: v for k, v in tags.items() if k in own or defaults.get(k) != v}


def _resource(urn: str) -> Resource:
    # The last of the parents' types, joined by $, is the resource's own.
    token = urn.split("::")[2].rpartition("$")[2]
    try:
        return TABLE[token]
    except KeyError:
        known = ", ".join(sorted(TABLE))
        raise SandboxError(
            f"the sandbox's AWS substitute doesn't know the type {token}; it knows {known}"
        ) from None


def _generated_name(request: Any) -> str:
    name = request.urn.rpartition("::")[2].lower()
    return f"{name}-{hashlib.sha256(request.randomSeed or request.urn.encode()).hexdigest()[:7]}"


def _replaces(resource: Resource, path: str) -> bool:
    return any(
        path == one or path.startswith((f"{one}.", f"{one}[")) for one in resource.replace_on
    )


def _top(path: str) -> str:
    return path.split(".")[0].split("[")[0]


class _Explained(grpc.ServerInterceptor):  # type: ignore[misc]
    """Turns every failure into one sentence that the engine prints under the resource."""

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Wrap the handler of a call."""
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler

        def explained(request: Any, context: Any) -> Any:
            try:
                return handler.unary_unary(request, context)
            except (SandboxError, ClientError, BotoCoreError) as reason:
                _abort(context, str(reason))
            except KeyError as reason:
                _abort(context, f"the input {reason} is missing")

        return grpc.unary_unary_rpc_method_handler(
            explained,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _abort(context: Any, text: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNKNOWN, text)
    raise AssertionError("abort always raises")


def serve() -> None:
    """Serve on a free loopback port, print it, and end with the engine."""
    server = grpc.server(
        futures.ThreadPoolExecutor(16), interceptors=(_Explained(),), options=_UNLIMITED
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(SandboxAws(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    engine = os.getppid()
    # A killed engine says no goodbye: a new parent means that it is gone.
    while not ended.wait(1) and os.getppid() == engine:
        pass
    server.stop(grace=1)


if __name__ == "__main__":
    serve()
