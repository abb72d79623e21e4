"""The one door to PrivateTest: a finished run is scored on it once, and each use on real faces is logged."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from fer_utils.data.faces import Faces
from fer_utils.emotions import PRIVATE
from fer_utils.errors import StudyError
from fer_utils.evaluation import accuracy
from fer_utils.paths import resolve
from fer_utils.training.runs import Run

LOG = "reports/evidence/private_test_log.csv"
LOG_COLUMNS = ("when", "run", "fingerprint", "images", "accuracy")


def score(run: Run, faces: Faces, *, log: Path | None = None) -> Run:
    """Add the run's logits on PrivateTest, and the averaged ones; where they are there already, do nothing.

    Args:
        run: finished.
        faces: the faces it was trained on, now with PrivateTest.
        log: CSV file to which a use on real faces is added; `LOG` below the study's root when None. Scoring
            drawn faces is not logged.

    Raises:
        StudyError: the faces' Training or PublicTest is not what the run was trained on, or PrivateTest is
            missing.
    """
    if faces.fingerprint != run.about["faces"]:
        raise StudyError(
            f"{run.folder.name}: expected the faces it was trained on (fingerprint {run.about['faces'][:12]}), found "
            f"others ({faces.fingerprint[:12]}). Prepare the same data again, or train anew on these."
        )
    private = faces.of(PRIVATE)
    if run.holds(private):
        return run
    # Imported here, so that reading a scored run needs no Keras.
    from fer_utils.training.predict import predict, predict_with_tta

    logits = predict(run.model(), private.images)
    tta = predict_with_tta(run, private.images) if run.recipe.tta_label else logits
    if not faces.drawn:
        # Logged before it is kept: a kill in between leaves a use too many in the log, never one too few.
        add_to_log(run.folder.name, run.about["fingerprint"], logits, private, log)
        if run.recipe.tta_label:
            name = f"{run.folder.name} averaged"
            add_to_log(name, run.about["fingerprint"], tta, private, log)
    if run.recipe.tta_label:
        run.add_logits(private, tta, tta=True)
    run.add_logits(private, logits)
    return run


def add_to_log(
    name: str, fingerprint: str, logits: np.ndarray, private: Faces, log: Path | None = None
) -> None:
    """Note a use of PrivateTest: when, what was scored, its fingerprint, how many images, and the accuracy.

    Args:
        name: of the run or ensemble.
        fingerprint: what determines it, hexadecimal.
        logits: (n, 7), its answers.
        private: PrivateTest, (n,).
        log: as `score` takes it.
    """
    log = log or resolve(LOG)
    log.parent.mkdir(parents=True, exist_ok=True)
    new = not log.exists()
    with log.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(LOG_COLUMNS)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        writer.writerow(
            [when, name, fingerprint, len(private), f"{accuracy(logits, private.emotion):.6f}"]
        )
