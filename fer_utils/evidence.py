"""Evidence of real runs, small enough for git, and the table of results computed from it.

`reports/evidence/<recipe>-seed<N>/` holds recipe.json (recipe, seed, parameters, time, machine, versions),
history.csv, and predictions.npz: `row`, zero-based row in FER-2013's CSV, every PublicTest and PrivateTest
image once, and `logits`, float16 (n, 7), each row less its largest, which leaves softmax as it is: float16 is
finest near 0, so that rounding makes no ties.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.emotions import CANONICAL_COUNTS, PRIVATE, PUBLIC
from fer_utils.errors import StudyError
from fer_utils.evaluation import accuracy, accuracy_interval
from fer_utils.faces import Faces
from fer_utils.runs import Run, logits_of, read_predictions
from fer_utils.storage import atomic_file, atomic_folder

TABLE = "results.csv"
TEST_IMAGES = sum(CANONICAL_COUNTS[PUBLIC]) + sum(CANONICAL_COUNTS[PRIVATE])
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
    row, logits = run.predictions()
    if len(row) != TEST_IMAGES:
        raise StudyError(
            f"{run.folder.name}: expected logits for all {TEST_IMAGES:,} images of PublicTest and PrivateTest, found "
            f"{len(row):,}. Score it first: `fer-study score {run.folder}`."
        )
    target = Path(folder) / f"{run.recipe.name}-seed{run.seed}"
    order = np.argsort(row)
    with atomic_folder(target) as new:
        (new / "recipe.json").write_text(json.dumps(run.about, indent=2) + "\n", encoding="utf-8")
        run.history.to_csv(new / "history.csv", index=False)
        shifted = (logits - logits.max(axis=1, keepdims=True))[order]
        np.savez_compressed(new / "predictions.npz", row=row[order].astype(np.int32), logits=shifted.astype(np.float16))
    return target


def compute_results(folder: Path, faces: Faces) -> pd.DataFrame:
    """The table of results: one row a recipe, its seeds averaged.

    Columns: model, parameters, data, epochs, seeds, then `public_` and `private_` each with accuracy, low and
    high (fractions to the sixth digit; Wilson's 95 % interval at the mean accuracy, which is the sampling of
    images), minutes (mean of a seed), machine, evidence (folders).

    Args:
        folder: the evidence.
        faces: FER-2013 as prepared from its CSV.

    Raises:
        StudyError: the faces are not the canonical FER-2013, a run's rows are not its two test splits, or runs of
            one model differ in their recipe.
    """
    if not faces.canonical:
        raise StudyError(
            "results: expected the canonical FER-2013 (28,709 + 3,589 + 3,589 images), found "
            f"{len(faces):,} images from source {faces.source!r}. Prepare Kaggle's fer2013.csv."
        )
    splits = {"public": faces.of(PUBLIC), "private": faces.of(PRIVATE)}
    runs = [_scored(path.parent, splits) for path in sorted(Path(folder).glob("*/recipe.json"))]
    if not runs:
        raise StudyError(f"{folder}: expected evidence of runs (<recipe>-seed<N>/recipe.json), found none.")
    rows = []
    for model, seeds in pd.DataFrame(runs).groupby("model", sort=False):
        if any(recipe != seeds["recipe"].iloc[0] for recipe in seeds["recipe"]):
            raise StudyError(
                f"{model}: expected one recipe for all its seeds, found others in {', '.join(seeds['evidence'])}."
                " Train one of them under another name (--set name=...), or all by the same recipe."
            )
        row = {
            "model": model,
            **{key: seeds[key].iloc[0] for key in ("parameters", "data", "epochs")},
            "seeds": ", ".join(map(str, sorted(seeds["seed"]))),
        }
        for split, part in splits.items():
            mean = seeds[split].mean()
            row[f"{split}_accuracy"] = mean
            row[f"{split}_low"], row[f"{split}_high"] = accuracy_interval(mean, len(part))
        row |= {
            "minutes": seeds["minutes"].mean(),
            "machine": "; ".join(sorted(set(seeds["machine"]))),
            "evidence": " ".join(seeds["evidence"]),
        }
        rows.append(row)
    table = pd.DataFrame(rows).sort_values("public_accuracy", ascending=False, kind="stable", ignore_index=True)
    # Rounded here, once: the README and the committed table cannot round differently.
    return table.round({"minutes": 1}).round(6)


def _scored(folder: Path, splits: dict[str, Faces]) -> dict:
    about = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    row, _ = read_predictions(folder)
    expected = np.sort(np.concatenate([part.row for part in splits.values()]))
    if not np.array_equal(np.sort(row), expected):
        raise StudyError(
            f"{folder / 'predictions.npz'}: expected every PublicTest and PrivateTest row once, found {len(row):,} "
            "rows that are not these. Publish the run's evidence again."
        )
    return {
        "model": about["recipe"]["name"],
        "recipe": about["recipe"],
        "seed": about["seed"],
        "parameters": about["parameters"],
        "data": "FER-2013",
        "epochs": about["recipe"]["epochs"],
        **{name: accuracy(logits_of(folder, part), part.emotion) for name, part in splits.items()},
        "minutes": about["seconds"] / 60,
        "machine": about["machine"],
        "evidence": f"reports/evidence/{folder.name}",
    }


def read_results(folder: Path) -> pd.DataFrame:
    """The committed table of real runs; empty where there is none yet."""
    path = Path(folder) / TABLE
    return pd.read_csv(path) if path.is_file() else pd.DataFrame()


def results_csv(results: pd.DataFrame) -> str:
    """The table as committed."""
    return results.to_csv(index=False)


def results_markdown(results: pd.DataFrame) -> str:
    """The table as the README shows it."""
    lines = [
        "| model | parameters | data | epochs | seeds | PublicTest, % | PrivateTest, % | time, min | machine |",
        "|---|---:|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in results.to_dict("records"):
        public, private = (
            f"{row[f'{split}_accuracy']:.2%}".rstrip("%")
            + f" ({100 * row[f'{split}_low']:.1f}–{100 * row[f'{split}_high']:.1f})"
            for split in ("public", "private")
        )
        lines.append(
            f"| {row['model']} | {row['parameters']:,} | {row['data']} | {row['epochs']} | {row['seeds']} | {public} "
            f"| {private} | {row['minutes']:.0f} | {row['machine']} |"
        )
    return "\n".join(lines)


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
        target.write_text(f"{before}{START}\n{results_markdown(results)}\n{END}{after}", encoding="utf-8")
