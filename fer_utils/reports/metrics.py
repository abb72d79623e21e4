"""Numbers as data: what the notebooks leave for `dvc metrics`, `dvc plots` and the index, and tables of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS, PRIVATE, PUBLIC, TRAINING
from fer_utils.evaluation.published import PUBLISHED
from fer_utils.storage import atomic_file, expect_replaceable

USAGE_KEYS = {"training": TRAINING, "public_test": PUBLIC, "private_test": PRIVATE}
"""A usage's name as a key of metrics."""


def write(path: Path, values: dict) -> None:
    """Write plain values as JSON."""
    with atomic_file(path) as target:
        target.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def expect_place_for_table(path: Path, first: str) -> None:
    """Raise StudyError where something lies at `path` that is no CSV whose first column is `first`."""

    def made(file: Path) -> bool:
        if not file.is_file():
            return False
        with file.open("rb") as opened:
            return opened.read(len(first) + 1) == f"{first},".encode()

    expect_replaceable(path, f"a table with the first column {first!r}", made)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, without its index.

    Raises:
        StudyError: something else lies at `path`, and no earlier such table.
    """
    expect_place_for_table(path, str(table.columns[0]))
    with atomic_file(path) as target:
        table.to_csv(target, index=False)


def write_history(path: Path, history: pd.DataFrame) -> None:
    """Write learning curves for `dvc plots`, without the times, which differ from run to run."""
    write_table(path, history.drop(columns="seconds"))


def write_curves(path: Path, histories: dict[str, pd.DataFrame]) -> None:
    """Write the PublicTest accuracy of several runs by epoch for `dvc plots`, a column a run."""
    curves = {
        name: history.set_index("epoch")["val_accuracy"] for name, history in histories.items()
    }
    write_table(path, pd.DataFrame(curves).rename_axis("epoch").reset_index())


def write_confusion(path: Path, emotion: np.ndarray, answers: np.ndarray) -> None:
    """Write label and answer of each image, as DVC's confusion template reads them; both index `EMOTIONS`, (n,)."""
    names = np.array(EMOTIONS)
    write_table(path, pd.DataFrame({"actual": names[emotion], "predicted": names[answers]}))


def comparison(ours: pd.DataFrame, measured: pd.DataFrame, *, drawn: bool) -> pd.DataFrame:
    """PrivateTest accuracies of this run beside the committed real runs and the published ones.

    Args:
        ours: as `results.summarise` gives it.
        measured: as `published.read_results` gives it.
        drawn: whether ours are on drawn faces; if not, a committed run of the same model is left out.

    Returns:
        Columns label (with the images that a published one was measured on, if not PrivateTest), accuracy, low, high
        (NaN where none was stated) and kind: "ours", "measured" (the committed real runs) or "published".
    """
    rows, names = [], set()
    for kind, table in (("ours", ours), ("measured", measured)):
        for row in table.to_dict("records"):
            name = f"{row['model']}, averaged" if row["tta"] else row["model"]
            if kind == "ours":
                names.add(name)
            elif not drawn and name in names:
                continue
            scores = {key: row[f"private_{key}"] for key in ("accuracy", "low", "high")}
            rows.append({"label": name, **scores, "kind": kind})
    for known in PUBLISHED:
        margin = np.nan if known.margin is None else known.margin
        rows.append(
            {
                "label": known.name if known.images == PRIVATE else f"{known.name}, {known.images}",
                "accuracy": known.accuracy,
                "low": known.accuracy - margin,
                "high": known.accuracy + margin,
                "kind": "published",
            }
        )
    return pd.DataFrame(rows)


def published_table() -> "pd.io.formats.style.Styler":
    """The published accuracies with what each was measured on, for a notebook."""
    table = pd.DataFrame(PUBLISHED)[["name", "images", "accuracy", "caveat", "source"]]
    return styled(table.rename(columns={"images": "measured on"}), "{:.2%}", ["accuracy"])


def field_table(values: dict) -> pd.DataFrame:
    """A dictionary as a table of one column, nested ones flattened."""
    flat = {
        k: v
        for key, value in values.items()
        for k, v in (value if isinstance(value, dict) else {key: value}).items()
    }
    return pd.DataFrame(
        {"value": {key: f"{v:g}" if isinstance(v, float) else str(v) for key, v in flat.items()}}
    )


def styled(table: pd.DataFrame, shares: str, columns: list[str]) -> "pd.io.formats.style.Styler":
    """A table for a notebook: `columns` written as `shares` says, other numbers short, whole ones with commas."""
    formats = {}
    for name in table.columns:
        if name in columns:
            formats[name] = shares
        elif pd.api.types.is_numeric_dtype(table[name]):
            whole = (table[name].dropna() % 1 == 0).all()
            formats[name] = "{:,.0f}" if whole else "{:.4g}"
    words = [name for name in table.columns if _words(table[name])]
    left = []
    for name in words:
        # What is a sentence keeps some width where the table does not fit, on a phone.
        width = "; min-width: 14rem" if table[name].astype(str).str.len().max() > 40 else ""
        props = f"text-align: left; white-space: normal{width}"
        left.append({"selector": f".col{table.columns.get_loc(name)}", "props": props})
    return table.style.format(formats, na_rep="–").hide(axis="index").set_table_styles(left)


def with_intervals(
    table: pd.DataFrame,
    intervals: Mapping[str, tuple[str, str]],
    form: str = "{:.1%}",
    keep: Sequence[str] = (),
) -> "pd.io.formats.style.Styler":
    """A table for a notebook whose numbers stand with their intervals: "69.2% (67.7% to 70.7%)".

    Args:
        table: with a row index of no meaning.
        intervals: by the column of a value, the columns of its low and high end, which are not shown apart.
        form: how values and ends are written.
        keep: other columns to show; none stands for all that are not numbers.
    """
    shown = table[
        [
            name
            for name in table
            if name in keep or name in intervals or (not keep and _words(table[name]))
        ]
    ]
    shown = shown.copy()
    for name, (low, high) in intervals.items():
        shown[name] = [
            "–" if pd.isna(value) else form.format(value) + _ends(form, bottom, top)
            for value, bottom, top in zip(table[name], table[low], table[high], strict=True)
        ]
    return styled(shown.rename(columns=lambda name: name.replace("_", " ")), "{}", [])


def _words(column: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(column)


def _ends(form: str, low: float, high: float) -> str:
    return "" if pd.isna(low) or pd.isna(high) else f" ({form.format(low)} to {form.format(high)})"


def data_note(faces: Faces, measured: pd.DataFrame) -> str:
    """What a reader must know of the data before any number, as a Markdown list; empty for the canonical FER-2013.

    Args:
        faces: their notices come first.
        measured: the committed real runs, as `published.read_results` gives them, best first: of these the first that
            answered once stands beside drawn faces.
    """
    notes = list(faces.notices)
    best = next((row for row in measured.to_dict("records") if not row["tta"]), None)
    if faces.drawn and best:
        notes.append(
            f"Measured on the real FER-2013, by the best of the networks whose runs are committed: {best['model']}, "
            f"{best['epochs']} epochs, seeds {best['seeds']}, PublicTest {best['public_accuracy']:.1%}, "
            f"PrivateTest {best['private_accuracy']:.1%} ({best['private_low']:.1%} to "
            f"{best['private_high']:.1%}). README lists all."
        )
    return "\n".join(f"- {note}" for note in notes)


def scores_by_model(table: pd.DataFrame) -> dict[str, dict]:
    """A table of `results.summarise` for `dvc metrics`: scores by model; averaged ones have a name of their own."""
    kept = ("parameters", "epochs", "seeds")
    scores = [c for c in table.columns if c.endswith(("_accuracy", "_low", "_high"))]
    return {
        f"{row['model']}_averaged" if row["tta"] else row["model"]: {
            key: row[key] for key in (*kept, *scores)
        }
        for row in table.to_dict("records")
    }
