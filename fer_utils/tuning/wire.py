"""What a chief and its workers agree on.

They speak keras-tuner's gRPC, without encryption and without asking who is there: let them meet on a network of your
own. Each worker has the faces and a run store, of its own or a shared one; what it knows of a trial that ended travels
with the trial, so that the chief's ledger is whole either way.
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
"""Seconds without a word from a worker after which its trial is given up."""

OUTCOME = "outcome"
"""Among a trial's values, on their way to the chief: what `trials.known` says of it."""


def search_key(
    space: SearchSpace, base: Recipe, faces: Faces, oracle: str, trials: int, seed: int
) -> str:
    """What makes a search this one: SHA-256 over all that decides its trials."""
    decides = [dataclasses.asdict(space), base.to_dict(), faces.fingerprint, oracle, trials, seed]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def unspoken():
    """keras-tuner prints each condition that it sends."""
    return contextlib.redirect_stdout(io.StringIO())
