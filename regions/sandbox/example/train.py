"""Trains search/ranker: `.isoserve/servers/bin/python -I train.py FOLDER`.

Runs on the model servers' packages and imports nothing of the project. FOLDER becomes what
MLServer loads. Its bytes are the model's address, so they are the same on every machine.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import joblib
import numpy
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

FEATURES = ("bm25", "click_rate", "freshness", "title_match")
SEED = 20_240_517
PAIRS = 4000
BEST_GRADE = 4
STEPS = 1024
PICKLE_PROTOCOL = 5


def graded_pairs() -> tuple[NDArray[numpy.float64], NDArray[numpy.float64]]:
    """Features of search-document pairs, and the grades that people would give them."""
    # Only `random`: its numbers are whole multiples of a power of two, equal on every processor.
    generator = numpy.random.Generator(numpy.random.PCG64(SEED))
    features = generator.random((PAIRS, len(FEATURES)))
    weights = numpy.array([1.5, 1.25, 0.25, 1.0])
    mood = generator.random(PAIRS) - 0.5
    return features, numpy.clip(numpy.rint(features @ weights + mood), 0, BEST_GRADE)


def fitted() -> Ridge:
    """The model, with learned numbers that do not depend on the machine.

    Kernels of linear algebra differ in the last bits. Multiples of 1/1024 are far coarser, and
    exact in binary: what the model answers to such numbers is exact too.
    """
    ranker = Ridge(alpha=1.0, solver="cholesky").fit(*graded_pairs())
    ranker.coef_ = numpy.rint(ranker.coef_ * STEPS) / STEPS
    ranker.intercept_ = round(float(ranker.intercept_) * STEPS) / STEPS
    return ranker


def main(folder: Path) -> None:
    """Write the model's three files."""
    shutil.copytree(Path(__file__).parent / "model", folder, dirs_exist_ok=True)
    joblib.dump(fitted(), folder / "model.joblib", protocol=PICKLE_PROTOCOL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
