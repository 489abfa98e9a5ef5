"""Sends large files to the bucket in parallel parts, and goes on where a killed push has stopped.

With boto3: obstore's uploads live and die with their process. Two pushes of one blob may share an
upload, since parts of one content are equal; who comes late finds the upload gone and the blob
there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, wait
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from components.model_registry.local_files import Counted, LocalFile, changed
from components.model_registry.part_stream import body
from components.model_registry.resumption import Parts, has, open_uploads, proved
from components.model_registry.s3_answers import BAD_DIGEST, GONE, code, crc_text, told

_ATTEMPTS: Final = 4


class Uploads:
    """Writes blobs of one bucket. For any number of threads; `senders` are others than these."""

    def __init__(self, client: Any, bucket: str, senders: Executor) -> None:
        """`client` is boto3's, made with as many connections as there are `senders`."""
        self._client = client
        self._bucket = bucket
        self._senders = senders

    def send(self, file: LocalFile, key: str, counted: Counted) -> int:
        """Write `file` to `key`; the number of bytes that were not there from a killed push.

        Raises RegistryError; what was sent till then is kept.
        """
        try:
            sent = self._send_parts(file, key, counted)
            file.check_unchanged()
            return sent
        except (ClientError, BotoCoreError) as error:
            if code(error) in BAD_DIGEST:
                raise changed(file.source) from None
            raise told(self._bucket, key, error) from None

    def _send_parts(self, file: LocalFile, key: str, counted: Counted) -> int:
        settled: dict[int, bool] = {}

        def settle(number: int, by_us: bool) -> None:
            if number not in settled:  # another attempt does not count twice
                settled[number] = by_us
                counted(file.part_length(number - 1))

        for attempt in range(_ATTEMPTS):
            try:
                upload, done, others = self._begin(file, key)
                for number in done:
                    settle(number, False)
                sent = self._send_missing(file, key, upload, done, settle)
                self._complete(file, key, upload, {**done, **sent})
                self._abort(key, others)
                break
            except ClientError as error:
                if code(error) not in GONE or attempt == _ATTEMPTS - 1:
                    raise
                if has(
                    self._client, self._bucket, key, file.size
                ):  # another push of the same content has ended it
                    break
        return sum(file.part_length(number - 1) for number, by_us in settled.items() if by_us)

    def _begin(self, file: LocalFile, key: str) -> tuple[str, Parts, list[str]]:
        """The upload of `key` that has the most of `file`, with what it has; else a new one.

        And the others, which are of no use any more.
        """
        found = [
            (proved(self._client, self._bucket, file, key, upload), upload)
            for upload in open_uploads(self._client, self._bucket, key)
        ]
        if found:
            done, upload = max(found, key=lambda one: len(one[0]))
            return upload, done, [other for _, other in found if other != upload]
        made = self._client.create_multipart_upload(
            Bucket=self._bucket, Key=key, ChecksumAlgorithm="CRC32"
        )
        return str(made["UploadId"]), {}, []

    def _send_missing(
        self,
        file: LocalFile,
        key: str,
        upload: str,
        done: Parts,
        settle: Callable[[int, bool], None],
    ) -> Parts:
        missing = [n for n in range(1, len(file.crcs) + 1) if n not in done]
        sent: dict[int, Future[str]] = {}
        try:
            for number in missing:
                sent[number] = self._senders.submit(self._send_part, file, key, upload, number)
            for number, one in sent.items():
                one.result()
                settle(number, True)
        finally:
            for one in sent.values():
                one.cancel()
            wait(sent.values())
        return {number: one.result() for number, one in sent.items()}

    def _send_part(self, file: LocalFile, key: str, upload: str, number: int) -> str:
        with body(file, number - 1) as data:
            sent = self._client.upload_part(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                Body=data,
                ChecksumCRC32=crc_text(file, number - 1),
            )
        return str(sent["ETag"])

    def _complete(self, file: LocalFile, key: str, upload: str, parts: Parts) -> None:
        rows = [
            {
                "PartNumber": number,
                "ETag": parts[number],
                "ChecksumCRC32": crc_text(file, number - 1),
            }
            for number in sorted(parts)
        ]
        file.check_unchanged()
        self._client.complete_multipart_upload(
            Bucket=self._bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": rows}
        )

    def _abort(self, key: str, uploads: Iterable[str]) -> None:
        """Remove what is left of other attempts, which would be paid for."""
        for upload in uploads:
            try:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
            except ClientError as error:
                if code(error) not in GONE:  # whoever pushes the same has ended it
                    raise
