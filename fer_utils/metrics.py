"""Numbers as data: what the notebooks leave for `dvc metrics`, `dvc plots` and the index, and tables of them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.emotions import EMOTIONS, PRIVATE, PUBLIC, TRAINING
from fer_utils.faces import Faces
from fer_utils.published import PUBLISHED
from fer_utils.storage import atomic_file

USAGE_KEYS = {"training": TRAINING, "public_test": PUBLIC, "private_test": PRIVATE}
"""A usage's name as a key of metrics."""


def write(path: Path, values: dict) -> None:
    """Write plain values as JSON."""
    with atomic_file(path) as target:
        target.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, without its index."""
    with atomic_file(path) as target:
        table.to_csv(target, index=False)


def write_history(path: Path, history: pd.DataFrame) -> None:
    """Write learning curves for `dvc plots`, without the times, which differ from run to run."""
    write_table(path, history.drop(columns="seconds"))


def write_confusion(path: Path, emotion: np.ndarray, answers: np.ndarray) -> None:
    """Write label and answer of each image, as DVC's confusion template reads them; both index `EMOTIONS`, (n,)."""
    names = np.array(EMOTIONS)
    write_table(path, pd.DataFrame({"actual": names[emotion], "predicted": names[answers]}))


def comparison(ours: dict[str, dict[str, float]], measured: pd.DataFrame) -> pd.DataFrame:
    """Scores of this run, of the committed real runs, and published ones, as `plots.accuracies` takes them.

    Args:
        ours: a name to scores with `public_` and `private_` accuracy, low and high (fractions).
        measured: as `evidence.read_results` gives it.

    Returns:
        Columns label, accuracy, low, high (NaN where none was stated) and kind: "ours", "measured" (the committed
        real runs) or "published".
    """
    real = {f"{row['model']}, FER-2013 (committed run)": row for row in measured.to_dict("records")}
    rows = [
        {
            "label": f"{name}, {usage}",
            **{key: scores[f"{prefix}_{key}"] for key in ("accuracy", "low", "high")},
            "kind": kind,
        }
        for kind, group in (("ours", ours), ("measured", real))
        for name, scores in group.items()
        for prefix, usage in (("public", PUBLIC), ("private", PRIVATE))
    ]
    for known in PUBLISHED:
        margin = np.nan if known.margin is None else known.margin
        rows.append(
            {
                "label": f"{known.name}, published, {known.images}",
                "accuracy": known.accuracy,
                "low": known.accuracy - margin,
                "high": known.accuracy + margin,
                "kind": "published",
            }
        )
    return pd.DataFrame(rows)


def field_table(values: dict) -> pd.DataFrame:
    """A dictionary as a table of one column, nested ones flattened."""
    flat = {
        k: v for key, value in values.items() for k, v in (value if isinstance(value, dict) else {key: value}).items()
    }
    return pd.DataFrame({"value": {key: f"{v:g}" if isinstance(v, float) else str(v) for key, v in flat.items()}})


def styled(table: pd.DataFrame, shares: str, columns: list[str]) -> "pd.io.formats.style.Styler":
    """A table for a notebook: `columns` written as `shares` says, other numbers short, whole ones with commas."""
    formats = {}
    for name in table.columns:
        if name in columns:
            formats[name] = shares
        elif pd.api.types.is_numeric_dtype(table[name]):
            whole = (table[name].dropna() % 1 == 0).all()
            formats[name] = "{:,.0f}" if whole else "{:.4g}"
    return table.style.format(formats, na_rep="–").hide(axis="index")


def data_note(faces: Faces, measured: pd.DataFrame) -> str:
    """What a reader must know of the data before any number, as a Markdown list; empty for the canonical FER-2013.

    Args:
        faces: their notices come first.
        measured: the committed real runs, as `evidence.read_results` gives them, which stand beside drawn faces.
    """
    notes = list(faces.notices)
    if faces.drawn:
        notes += [
            f"Measured on the real FER-2013 (committed run): {row['model']}, {row['epochs']} epochs, PublicTest "
            f"{row['public_accuracy']:.1%}, PrivateTest {row['private_accuracy']:.1%} "
            f"({row['private_low']:.1%} to {row['private_high']:.1%}), seeds {row['seeds']}."
            for row in measured.to_dict("records")
        ]
    return "\n".join(f"- {note}" for note in notes)
