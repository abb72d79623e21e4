"""Parts that a chief and its workers share.

They communicate with keras-tuner's gRPC service, without encryption or authentication: use a
private network. Each worker has the faces and a run store, its own or a shared one. The outcome of
a trial is sent along with the trial, so the chief's ledger is complete in both cases.
"""

import contextlib
import dataclasses
import hashlib
import io
import json

from fer_utils.data.faces import Faces
from fer_utils.training.recipe import Recipe
from fer_utils.tuning.spaces import SearchSpace

PATIENCE = 300.0
"""Seconds without a message from a worker after which its trial is recorded as failed."""

OUTCOME = "outcome"
"""Name of an extra value of a trial that is sent to the chief: the outcome, as JSON."""


def search_key(
    space: SearchSpace, base: Recipe, faces: Faces, oracle: str, trials: int, seed: int
) -> str:
    """Return a hash of all that determines a search's trials: SHA-256, hexadecimal."""
    identity = [dataclasses.asdict(space), base.to_dict(), faces.fingerprint, oracle, trials, seed]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def quiet_grpc():
    """Return a context that hides what keras-tuner prints for each condition it sends."""
    return contextlib.redirect_stdout(io.StringIO())
