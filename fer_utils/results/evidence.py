"""Evidence of real runs, small enough for git, and the table of results computed from it.

`reports/evidence/<recipe>-seed<N>/` (`<recipe>-fold<K>-seed<N>/`) contains run.json (see
`RunInfo`), history.csv, predictions.npz and, if the recipe has TTA, tta.npz. The two .npz files
contain

    row     int32 (7178,), zero-based row in FER-2013's CSV: each PublicTest and PrivateTest image
            once
    logits  float16 (7178, 7), each row minus its largest value

The subtraction leaves softmax as it is. It is there because float16 is finest near 0, so rounding
makes no ties. Ensembles are lists of such runs; see `ensembles`.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.emotions import CANONICAL_COUNTS, PRIVATE, PUBLIC
from fer_utils.errors import StudyError
from fer_utils.results.ensembles import (
    FOLDER,
    Ensemble,
    members,
    read_ensembles,
    write_ensemble,
)
from fer_utils.results.scoring import add_to_log
from fer_utils.results.tables import summarise
from fer_utils.storage import Contents, atomic_folder
from fer_utils.training.runs import (
    RUN_FILE,
    Run,
    RunInfo,
    predictions_file,
    read_predictions,
    read_run_info,
    read_run_infos,
)

TEST_IMAGES = sum(CANONICAL_COUNTS[PUBLIC]) + sum(CANONICAL_COUNTS[PRIVATE])
_EVIDENCE_OF_A_RUN = Contents(
    "a run's evidence", RUN_FILE, ("history.csv", "predictions.npz", "tta.npz")
)


def publish_evidence(run: Run, folder: Path) -> Path:
    """Write a scored run's evidence to `folder`/<recipe>-seed<N>, in place of an earlier one.

    Raises:
        StudyError: the run is on drawn faces, or was not scored on PrivateTest.
    """
    if run.info.source == "sample":
        raise StudyError(
            f"{run.folder.name}: expected a run on real faces, found one on drawn faces. Evidence "
            "is kept of real runs only. Train with --data FOLDER of prepared real faces."
        )
    predictions = {tta: run.predictions(tta=tta) for tta in run.recipe.kinds}
    for row, _ in predictions.values():
        if len(row) != TEST_IMAGES:
            raise StudyError(
                f"{run.folder.name}: expected logits of all {TEST_IMAGES:,} images of PublicTest "
                f"and PrivateTest, found {len(row):,}. Score it first: `fer-study score "
                f"{run.folder}`."
            )
    target = Path(folder) / run.info.label
    with atomic_folder(target, _EVIDENCE_OF_A_RUN) as new:
        run.info.write(new / RUN_FILE)
        run.history.to_csv(new / "history.csv", index=False)
        for tta, (row, logits) in predictions.items():
            order = np.argsort(row)
            shifted = (logits - logits.max(axis=1, keepdims=True))[order]
            np.savez_compressed(
                predictions_file(new, tta),
                row=row[order].astype(np.int32),
                logits=shifted.astype(np.float16),
            )
    return target


def publish_ensemble(
    name: str,
    path: pd.DataFrame,
    runs: Mapping[Path, RunInfo],
    faces: Faces,
    folder: Path,
    *,
    tta: bool = True,
    log: Path | None = None,
) -> Path:
    """Write an ensemble to `folder`/ensembles/<name>.json, and log its use of PrivateTest.

    An ensemble that is there already, with the same members, is not logged again.

    Args:
        name: letters, digits, "_" and "-".
        path: the table that `ensembles.select` returned, with labels of runs in `folder`.
        runs: the record of each candidate, by its folder.
        faces: with PrivateTest.
        folder: the evidence.
        tta: whether the members use the test-time augmentation of their recipes.
        log: as in `scoring.score`.

    Raises:
        StudyError: the name has other characters.
    """
    if not re.fullmatch(r"[\w-]+", name):
        raise StudyError(
            f"ensemble: expected a name of letters, digits, '_' and '-', found {name!r}."
        )
    counts = members(path)
    used = {each: info for each, info in runs.items() if each.name in counts}
    ensemble = Ensemble({each: counts[each.name] for each in used}, tta)
    if read_ensembles(folder).get(name) != ensemble:
        determined: list = sorted(
            (info.fingerprint, counts[each.name]) for each, info in used.items()
        )
        if not tta:  # ensembles before this choice existed have TTA
            determined.append("without TTA")
        fingerprint = hashlib.sha256(json.dumps(determined).encode()).hexdigest()
        private = faces.of(PRIVATE)
        add_to_log(name, fingerprint, ensemble.predict(runs, private), private, log)
    return write_ensemble(folder, name, path, [each.name for each in runs], tta=tta)


def compute_results(folder: Path, faces: Faces) -> pd.DataFrame:
    """The table of results: `tables.summarise` of the evidence, sorted by PublicTest accuracy.

    The column `evidence` lists the folders or files of each row. Fractions are rounded to six
    digits here, once, so that README and the committed table cannot round differently.

    Args:
        folder: the evidence.
        faces: FER-2013, prepared from its CSV.

    Raises:
        StudyError: the faces are not the canonical FER-2013, a run's rows are not its two test
            splits, or runs of one model differ in their recipe.
    """
    runs, ensembles = read_evidence(folder, faces), read_ensembles(folder)
    table = summarise(runs, faces, ensembles)
    files = []
    for model in table["model"][: len(table) - len(ensembles)]:
        folders = [path.name for path, info in runs.items() if info.recipe.name == model]
        files.append(" ".join(f"reports/evidence/{name}" for name in folders))
    table["evidence"] = files + [f"reports/evidence/{FOLDER}/{name}.json" for name in ensembles]
    table = table.sort_values("public_accuracy", ascending=False, kind="stable", ignore_index=True)
    return table.round({"minutes": 1}).round(6)


def read_evidence(folder: Path, faces: Faces) -> dict[Path, RunInfo]:
    """Read the record of each committed run, by its folder, for `tables.summarise` and `compare`.

    Raises:
        StudyError: as in `compute_results`.
    """
    if not faces.canonical:
        raise StudyError(
            "results: expected the canonical FER-2013 (28,709 + 3,589 + 3,589 images), found "
            f"{len(faces):,} images from source {faces.source!r}. Prepare Kaggle's fer2013.csv."
        )
    runs = read_run_infos(folder)
    if not runs:
        raise StudyError(
            f"{folder}: expected evidence of runs (<recipe>-seed<N>/{RUN_FILE}), found none."
        )
    expected = np.sort(np.concatenate([faces.of(split).row for split in (PUBLIC, PRIVATE)]))
    for each, info in runs.items():
        for tta in info.recipe.kinds:
            row, _ = read_predictions(each, tta=tta)
            if not np.array_equal(np.sort(row), expected):
                raise StudyError(
                    f"{each}: expected every PublicTest and PrivateTest row once, found "
                    f"{len(row):,} other rows. Publish the run's evidence again."
                )
    return runs


def evidence_runs(folder: Path, faces: Faces, names: Sequence[str]) -> list[Run]:
    """The committed runs of some recipes, for notebooks that train nothing.

    They have logits and learning curves, and no weights.

    Args:
        folder: the evidence.
        faces: FER-2013, prepared from its CSV.
        names: of recipes.

    Returns:
        All seeds of each recipe, in the order of `names`.

    Raises:
        StudyError: a recipe has no committed run, or as in `read_evidence`.
    """
    infos = read_evidence(folder, faces)
    found: dict[str, list[Run]] = {name: [] for name in names}
    for each, info in infos.items():
        if info.recipe.name in found:
            found[info.recipe.name].append(Run(each))
    if missing := [name for name, runs in found.items() if not runs]:
        known = sorted({info.recipe.name for info in infos.values()})
        raise StudyError(
            f"evidence: expected runs of {', '.join(missing)}, found runs of {', '.join(known)}. "
            "Set use_evidence to false to train them."
        )
    return [run for runs in found.values() for run in runs]


def available_runs(published: Sequence[Path], evidence: Path, faces: Faces) -> dict[str, Path]:
    """The folder with the logits of each run, by its label, for analyses that train nothing.

    Args:
        published: folders that `publish_run` or `publish_runs` wrote.
        evidence: of real runs. They are added if the faces are FER-2013 and no published run has
            their label.
        faces: the faces that the published runs were scored on.

    Raises:
        StudyError: there is no run, or as in `read_evidence`.
    """
    runs: dict[Path, RunInfo] = {}
    for folder in map(Path, published):
        if (folder / RUN_FILE).is_file():
            runs[folder] = read_run_info(folder)
        else:
            runs |= read_run_infos(folder)
    if faces.canonical:
        runs |= read_evidence(evidence, faces)
    if not runs:
        raise StudyError(
            f"runs: expected published runs, found none in {', '.join(map(str, published))}. Run "
            "the stages final_model and replicate first: `dvc repro`."
        )
    labels: dict[str, Path] = {}
    for folder, info in runs.items():
        labels.setdefault(info.label, folder)
    return labels
