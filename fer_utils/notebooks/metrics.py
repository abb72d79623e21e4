"""Metrics and tables that the notebooks write for `dvc metrics` and `dvc plots`, or display."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS, PRIVATE, PUBLIC, TRAINING
from fer_utils.evaluation.published import PUBLISHED, row_label
from fer_utils.storage import atomic_file, expect_replaceable

USAGE_KEYS = {"training": TRAINING, "public_test": PUBLIC, "private_test": PRIVATE}
"""The splits by their keys in the metrics."""


def write(path: Path, values: dict) -> None:
    """Write JSON values to a file."""
    with atomic_file(path) as target:
        target.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def expect_place_for_table(path: Path, first: str) -> None:
    """Raise StudyError if `path` exists and is not a CSV with the first column `first`."""

    def has_first_column(file: Path) -> bool:
        if not file.is_file():
            return False
        with file.open("rb") as opened:
            return opened.read(len(first) + 1) == f"{first},".encode()

    expect_replaceable(path, f"a table with the first column {first!r}", has_first_column)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, without its index.

    Raises:
        StudyError: `path` exists and is not a table with the same first column.
    """
    expect_place_for_table(path, str(table.columns[0]))
    with atomic_file(path) as target:
        table.to_csv(target, index=False)


def write_history(path: Path, history: pd.DataFrame) -> None:
    """Write learning curves for `dvc plots`, without durations, which differ between runs."""
    write_table(path, history.drop(columns="seconds"))


def write_curves(path: Path, histories: dict[str, pd.DataFrame]) -> None:
    """Write the PublicTest accuracy by epoch for `dvc plots`, with one column per run."""
    curves = {
        name: history.set_index("epoch")["val_accuracy"] for name, history in histories.items()
    }
    write_table(path, pd.DataFrame(curves).rename_axis("epoch").reset_index())


def write_confusion(path: Path, emotion: np.ndarray, predicted: np.ndarray) -> None:
    """Write labels and predictions for DVC's confusion template.

    Both arrays have shape (n,) and contain indices of `EMOTIONS`.
    """
    names = np.array(EMOTIONS)
    write_table(path, pd.DataFrame({"actual": names[emotion], "predicted": names[predicted]}))


def comparison(ours: pd.DataFrame, measured: pd.DataFrame, *, drawn: bool) -> pd.DataFrame:
    """PrivateTest accuracies of this run, the committed real runs and published models.

    Args:
        ours: a table of `results.summarise`. Committed runs of the same models are left out.
        measured: a table of `published.read_results`.
        drawn: True if `ours` are scores on drawn faces. They are left out, because they cannot be
            compared with scores on real faces.

    Returns:
        Columns label, accuracy, low, high (NaN if the source has no interval) and kind: "ours",
        "measured" (committed real runs) or "published". The label of a published model names its
        images, unless they are PrivateTest.
    """
    rows, names = [], set()
    for kind, table in (("ours", ours[:0] if drawn else ours), ("measured", measured)):
        for row in table.to_dict("records"):
            name = row_label(row)
            if kind == "ours":
                names.add(name)
            elif name in names:
                continue
            scores = {key: row[f"private_{key}"] for key in ("accuracy", "low", "high")}
            rows.append({"label": name, **scores, "kind": kind})
    for known in PUBLISHED:
        low, high = known.interval
        scores = {"accuracy": known.accuracy, "low": low, "high": high}
        rows.append({"label": known.label, **scores, "kind": "published"})
    return pd.DataFrame(rows)


def published_table() -> "pd.io.formats.style.Styler":
    """The published accuracies with the images that they were measured on, for a notebook."""
    table = pd.DataFrame(PUBLISHED)[["name", "images", "accuracy", "caveat", "source"]]
    return styled(table.rename(columns={"images": "measured on"}), "{:.2%}", ["accuracy"])


def field_table(values: dict) -> pd.DataFrame:
    """A dictionary as a table with one column, "value". Nested dictionaries are flattened."""
    flat: dict = {}
    for key, value in values.items():
        flat |= value if isinstance(value, dict) else {key: value}
    texts = {key: f"{v:g}" if isinstance(v, float) else str(v) for key, v in flat.items()}
    return pd.DataFrame({"value": texts})


def styled(table: pd.DataFrame, form: str, columns: list[str]) -> "pd.io.formats.style.Styler":
    """A table for a notebook.

    Args:
        table: its index is not shown.
        form: format of the numbers in `columns`: "69.2 %" for "{:.1%}". Other columns have four
            significant digits, or thousands separators if all their numbers are whole.
        columns: names of columns.
    """
    formats = {}
    for name in table.columns:
        if name in columns:
            formats[name] = partial(_formatted, form)
        elif pd.api.types.is_numeric_dtype(table[name]):
            whole = (table[name].dropna() % 1 == 0).all()
            formats[name] = partial(_formatted, "{:,.0f}" if whole else "{:.4g}")
    left = []
    for name in [name for name in table.columns if _is_text(table[name])]:
        # A column of sentences keeps a minimum width on a phone, where the table does not fit.
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
    """A table for a notebook with intervals behind the numbers: "69.2 % (67.7 % to 70.7 %)".

    Args:
        table: its index is not shown.
        intervals: the columns of the low and high end, by the column of the value. The ends have no
            columns of their own.
        form: format of values and ends.
        keep: names of the other columns to show; by default all that are not numeric.
    """
    names = []
    for name in table:
        if name in intervals or name in keep or (not keep and _is_text(table[name])):
            names.append(name)
    shown = table[names].copy()
    for name, (low, high) in intervals.items():
        texts = []
        for value, *ends in zip(table[name], table[low], table[high], strict=True):
            text = "–" if pd.isna(value) else _formatted(form, value)
            if not pd.isna([value, *ends]).any():
                text += f" ({' to '.join(_formatted(form, end) for end in ends)})"
            texts.append(text)
        shown[name] = texts
    return styled(shown.rename(columns=lambda name: name.replace("_", " ")), "{}", [])


def _is_text(column: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(column)


def _formatted(form: str, value: float) -> str:
    """A formatted number with a space before a percent sign, and a minus sign for a hyphen."""
    text = re.sub(r"(?<=\d)%", " %", form.format(value))
    return re.sub(r"^-", "−", text)


def data_note(faces: Faces, measured: pd.DataFrame) -> str:
    """Notes on the data for the top of a notebook, as a Markdown list.

    The list is empty for the canonical FER-2013.

    Args:
        faces: their notices are the first items.
        measured: a table of `published.read_results`, best PublicTest accuracy first. If the faces
            are drawn, the last item is the accuracy of its first model without TTA.
    """
    notes = list(faces.notices)
    best = next((row for row in measured.to_dict("records") if not row["tta"]), None)
    if faces.drawn and best:
        public, private, low, high = (
            _formatted("{:.1%}", best[key])
            for key in ("public_accuracy", "private_accuracy", "private_low", "private_high")
        )
        notes.append(
            f"On the real FER-2013, the best committed model without TTA is {best['model']} "
            f"({best['epochs']} epochs, seeds {best['seeds']}): {public} on PublicTest, {private} "
            f"on PrivateTest (95 % interval {low} to {high}). docs/results.md lists all models."
        )
    return "\n".join(f"- {note}" for note in notes)


def scores_by_model(table: pd.DataFrame) -> dict[str, dict]:
    """Scores by model for `dvc metrics`, from a table of `results.summarise`.

    The key of a row with TTA is the model's name and "_averaged".
    """
    scores = [name for name in table if name.endswith(("_accuracy", "_low", "_high"))]
    by_model = {}
    for row in table.to_dict("records"):
        name = f"{row['model']}_averaged" if row["tta"] else row["model"]
        by_model[name] = {key: row[key] for key in ("parameters", "epochs", "seeds", *scores)}
    return by_model
