"""Scores search-document pairs with search/ranker, as the program of a job's image.

Runs on the model servers' packages and boto3 and imports nothing of the project. Each file of
ISOSERVE_INPUT, a CSV with one line of features a pair, becomes a file of the same name below
ISOSERVE_OUTPUT, with one score a line.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import joblib
import numpy


def folder(variable: str) -> tuple[str, str]:
    """Bucket and prefix of the URL in an environment variable."""
    url = urlsplit(os.environ[variable])
    return url.netloc, url.path.lstrip("/")


def main() -> None:
    """Score every file of the input."""
    model = joblib.load(Path(os.environ["ISOSERVE_MODEL_DIR"]) / "model.joblib")
    store = boto3.client("s3")
    bucket, source = folder("ISOSERVE_INPUT")
    _, target = folder("ISOSERVE_OUTPUT")
    found = store.list_objects_v2(Bucket=bucket, Prefix=source).get("Contents", [])
    if not found:
        raise SystemExit(f"there is nothing to score below s3://{bucket}/{source}")
    for row in found:
        body = store.get_object(Bucket=bucket, Key=row["Key"])["Body"].read().decode()
        pairs = numpy.loadtxt(body.splitlines(), delimiter=",", ndmin=2)
        scores = "".join(f"{score!r}\n" for score in model.predict(pairs).tolist())
        name = row["Key"].removeprefix(source)
        store.put_object(Bucket=bucket, Key=f"{target}{name}", Body=scores.encode())
        print(f"scored {len(pairs)} pairs of {name}")


if __name__ == "__main__":
    main()
