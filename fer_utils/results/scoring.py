"""The one door to PrivateTest: each finished run is scored on it once, and each use is logged."""

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
    """Predict PrivateTest with a run, and save the logits with the run. Does nothing if they exist.

    Args:
        run: a finished run.
        faces: the faces it was trained on, with PrivateTest.
        log: CSV file to which each use of real faces is added; None is `LOG` below the study's
            root. Scores of drawn faces are not logged.

    Raises:
        StudyError: the run was trained on other faces, or PrivateTest is missing.
    """
    if faces.fingerprint != run.info.faces:
        raise StudyError(
            f"{run.folder.name}: expected the faces it was trained on (fingerprint "
            f"{run.info.faces[:12]}), found others ({faces.fingerprint[:12]}). Prepare the same "
            "data again, or train again on these."
        )
    private = faces.of(PRIVATE)
    if run.has_predictions(private):
        return run
    # Imported here, because reading a scored run needs no Keras.
    from fer_utils.training.predict import predict, predict_with_tta

    logits = predict(run.model(), private.images)
    tta = predict_with_tta(run, private.images) if run.recipe.tta_label else None
    if not faces.drawn:
        # The log is written first: a kill in between logs one use too many, never one too few.
        add_to_log(run.folder.name, run.info.fingerprint, logits, private, log)
        if tta is not None:
            add_to_log(f"{run.folder.name} TTA", run.info.fingerprint, tta, private, log)
    if tta is not None:
        run.add_logits(private, tta, tta=True)
    run.add_logits(private, logits)
    return run


def add_to_log(
    name: str, fingerprint: str, logits: np.ndarray, private: Faces, log: Path | None = None
) -> None:
    """Add a use of PrivateTest to the log: time, name, fingerprint, images and accuracy.

    Args:
        name: of the run or ensemble.
        fingerprint: of what was scored, hexadecimal.
        logits: its predictions, (n, 7).
        private: PrivateTest, (n,).
        log: as in `score`.
    """
    log = log or resolve(LOG)
    log.parent.mkdir(parents=True, exist_ok=True)
    new = not log.exists()
    with log.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(LOG_COLUMNS)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        score = f"{accuracy(logits, private.emotion):.6f}"
        writer.writerow([when, name, fingerprint, len(private), score])
