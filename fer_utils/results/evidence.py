"""Evidence of real runs, small enough for git, and the table of results computed from it.

`reports/evidence/<recipe>-seed<N>/` (`<recipe>-fold<K>-seed<N>/`) holds recipe.json (recipe, seed, parameters, time,
machine, versions), history.csv, predictions.npz and, where the recipe averages, tta.npz. These two hold `row`,
zero-based row in FER-2013's CSV, every PublicTest and PrivateTest image once, and `logits`, float16 (n, 7), each row
less its largest, which leaves softmax as it is: float16 is finest near 0, so that rounding makes no ties. Ensembles
are lists of such runs; see `ensembles`.
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
from fer_utils.evaluation.published import TABLE
from fer_utils.results.ensembles import (
    FOLDER,
    answer,
    member_logits,
    members,
    read_ensembles,
    write_ensemble,
)
from fer_utils.results.scoring import add_to_log
from fer_utils.results.tables import shown, summarise
from fer_utils.storage import Contents, atomic_file, atomic_folder
from fer_utils.training.recipe import recipe_from_dict
from fer_utils.training.runs import (
    Run,
    label_of,
    predictions_file,
    published_abouts,
    read_predictions,
)

TEST_IMAGES = sum(CANONICAL_COUNTS[PUBLIC]) + sum(CANONICAL_COUNTS[PRIVATE])
_EVIDENCE_OF_A_RUN = Contents(
    "a run's evidence", "recipe.json", ("history.csv", "predictions.npz", "tta.npz")
)
START, END = "<!-- results: written by `fer-study results --write` -->", "<!-- end of results -->"


def publish_evidence(run: Run, folder: Path) -> Path:
    """Write a scored run's evidence into `folder`/<recipe>-seed<N>, in place of an earlier one.

    Raises:
        StudyError: the run is on drawn faces, or was not scored on PrivateTest.
    """
    if run.about["source"] == "sample":
        raise StudyError(
            f"{run.folder.name}: expected a run on real faces, found one on drawn faces. Evidence is kept of real "
            "runs only; train with --data FOLDER of prepared real faces."
        )
    predictions = {kind: run.predictions(tta=kind) for kind in run.recipe.kinds}
    for row, _ in predictions.values():
        if len(row) != TEST_IMAGES:
            raise StudyError(
                f"{run.folder.name}: expected logits for all {TEST_IMAGES:,} images of PublicTest and PrivateTest, "
                f"found {len(row):,}. Score it first: `fer-study score {run.folder}`."
            )
    target = Path(folder) / run.recipe.label(run.seed)
    with atomic_folder(target, _EVIDENCE_OF_A_RUN) as new:
        (new / "recipe.json").write_text(json.dumps(run.about, indent=2) + "\n", encoding="utf-8")
        run.history.to_csv(new / "history.csv", index=False)
        for kind, (row, logits) in predictions.items():
            order = np.argsort(row)
            shifted = (logits - logits.max(axis=1, keepdims=True))[order]
            np.savez_compressed(
                predictions_file(new, kind),
                row=row[order].astype(np.int32),
                logits=shifted.astype(np.float16),
            )
    return target


def publish_ensemble(
    name: str,
    path: pd.DataFrame,
    abouts: Mapping[Path, dict],
    faces: Faces,
    folder: Path,
    *,
    log: Path | None = None,
) -> Path:
    """Keep an ensemble of published runs in `folder`/ensembles/<name>.json, and log its use of PrivateTest.

    One that is there with the same members is not logged again.

    Args:
        name: letters, digits, "_" and "-".
        path: as `ensembles.select` gave it, of labels of runs in `folder`.
        abouts: what is known about each run that it was chosen from, by its folder.
        faces: with PrivateTest.
        folder: the evidence.
        log: as `scoring.score` takes it.

    Raises:
        StudyError: the name has other characters.
    """
    if not re.fullmatch(r"[\w-]+", name):
        raise StudyError(
            f"ensemble: expected a name of letters, digits, '_' and '-', found {name!r}."
        )
    counts = members(path)
    runs = {each: about for each, about in abouts.items() if each.name in counts}
    if read_ensembles(folder).get(name) != {each: counts[each.name] for each in runs}:
        key = json.dumps(
            sorted((about["fingerprint"], counts[each.name]) for each, about in runs.items())
        )
        private = faces.of(PRIVATE)
        logits = {each.name: logits for each, logits in member_logits(runs, private).items()}
        add_to_log(
            name, hashlib.sha256(key.encode()).hexdigest(), answer(counts, logits), private, log
        )
    return write_ensemble(folder, name, path, [each.name for each in abouts])


def compute_results(folder: Path, faces: Faces) -> pd.DataFrame:
    """The table of results: `results.summarise` of the evidence, best on PublicTest first, and the folders of each.

    Fractions are rounded to the sixth digit, here, once: the README and the committed table cannot round differently.

    Args:
        folder: the evidence.
        faces: FER-2013 as prepared from its CSV.

    Raises:
        StudyError: the faces are not the canonical FER-2013, a run's rows are not its two test splits, or runs of
            one model differ in their recipe.
    """
    abouts, ensembles = read_evidence(folder, faces), read_ensembles(folder)
    table = summarise(abouts, faces, ensembles)
    files = [
        " ".join(
            f"reports/evidence/{path.name}"
            for path, about in abouts.items()
            if about["recipe"]["name"] == model
        )
        for model in table["model"][: len(table) - len(ensembles)]
    ]
    table["evidence"] = files + [f"reports/evidence/{FOLDER}/{name}.json" for name in ensembles]
    table = table.sort_values("public_accuracy", ascending=False, kind="stable", ignore_index=True)
    return table.round({"minutes": 1}).round(6)


def read_evidence(folder: Path, faces: Faces) -> dict[Path, dict]:
    """What is known about each published run, by its folder, for `results.summarise` and `results.compare`.

    Raises:
        StudyError: as `compute_results`.
    """
    if not faces.canonical:
        raise StudyError(
            "results: expected the canonical FER-2013 (28,709 + 3,589 + 3,589 images), found "
            f"{len(faces):,} images from source {faces.source!r}. Prepare Kaggle's fer2013.csv."
        )
    found = sorted(Path(folder).glob("*/recipe.json"))
    if not found:
        raise StudyError(
            f"{folder}: expected evidence of runs (<recipe>-seed<N>/recipe.json), found none."
        )
    abouts = {path.parent: json.loads(path.read_text(encoding="utf-8")) for path in found}
    expected = np.sort(np.concatenate([faces.of(usage).row for usage in (PUBLIC, PRIVATE)]))
    for each, about in abouts.items():
        for tta in recipe_from_dict(about["recipe"]).kinds:
            row, _ = read_predictions(each, tta=tta)
            if not np.array_equal(np.sort(row), expected):
                raise StudyError(
                    f"{each}: expected every PublicTest and PrivateTest row once, found {len(row):,} rows that are not "
                    "these. Publish the run's evidence again."
                )
    return abouts


def available_runs(published: Sequence[Path], evidence: Path, faces: Faces) -> dict[str, Path]:
    """The folder with the logits of each run, by its label (<recipe>-seed<N>), for analyses that train nothing.

    Args:
        published: folders that `publish_run` or `publish_runs` left.
        evidence: of real runs, which are added where the faces are FER-2013 and no published run has their label.
        faces: those that the published runs were scored on.

    Raises:
        StudyError: no run is there, or as `read_evidence`.
    """
    abouts: dict[Path, dict] = {}
    for folder in map(Path, published):
        own = folder / "about.json"
        abouts |= (
            {folder: json.loads(own.read_text(encoding="utf-8"))}
            if own.is_file()
            else published_abouts(folder)
        )
    if faces.canonical:
        abouts |= read_evidence(evidence, faces)
    if not abouts:
        raise StudyError(
            f"runs: expected some that `publish_run` left, found none in {', '.join(map(str, published))}. Run the "
            "stages final_model and replicate first: `dvc repro`."
        )
    labels: dict[str, Path] = {}
    for folder, about in abouts.items():
        labels.setdefault(label_of(about), folder)
    return labels


def results_csv(results: pd.DataFrame) -> str:
    """The table as committed."""
    return results.to_csv(index=False)


def results_markdown(results: pd.DataFrame) -> str:
    """The table as the README shows it."""
    table = shown(results)
    table["time, min"] = [f"{minutes:.0f}" for minutes in results["minutes"]]
    table["machine"] = results["machine"]
    words = ("model", "machine")
    lines = [
        table.columns,
        ["---" if name in words else "---:" for name in table.columns],
        *table.to_numpy(),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_results(results: pd.DataFrame, folder: Path, readme: Path) -> None:
    """Put the table into `folder`/results.csv and between the markers of the README.

    Raises:
        StudyError: the README has no such markers.
    """
    text = readme.read_text(encoding="utf-8")
    if START not in text or END not in text.split(START, 1)[1]:
        raise StudyError(
            f"{readme}: expected the markers {START} and {END}, found none. Put them where the table goes."
        )
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    with atomic_file(Path(folder) / TABLE) as target:
        target.write_text(results_csv(results), encoding="utf-8")
    with atomic_file(readme) as target:
        target.write_text(
            f"{before}{START}\n{results_markdown(results)}\n{END}{after}", encoding="utf-8"
        )
