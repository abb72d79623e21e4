"""The page of a search's trials: one interactive HTML file that fetches nothing."""

import json
from collections.abc import Sequence
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup
from pandas.api.types import is_numeric_dtype

from fer_utils.errors import StudyError
from fer_utils.plots.tuning import placed
from fer_utils.reports.html import TEMPLATES, pages
from fer_utils.storage import atomic_file

FEW = 6
"""A column is a choice if it has at most 6 values and repeats some. Its axis labels each value."""


def write_trials_page(root: Path, folder: Path | None = None) -> None:
    """Write 03_trials.html from the table of trials that the stage `tune` wrote.

    Args:
        root: the study's folder.
        folder: the folder of the page; None is reports/html.

    Raises:
        StudyError: the table is missing or cannot be read.
    """
    file = root / "reports" / "tables" / "tune" / "trials.csv"
    try:
        ledger = pd.read_csv(file)
        names = list(ledger.columns)
        hyperparameters = names[names.index("status") + 1 : names.index("parameters")]
    except (OSError, ValueError) as problem:
        raise StudyError(
            f"{file}: expected the table of trials, found {problem}. Run the stage tune "
            "(`dvc repro tune`)."
        ) from None
    used = [name for name in hyperparameters if ledger[name].notna().any()]
    folder = folder or root / "reports" / "html"
    with atomic_file(folder / "03_trials.html") as page:
        page.write_text(trials_page(ledger, used, alone=False), encoding="utf-8")


def trials_page(ledger: pd.DataFrame, hyperparameters: Sequence[str], *, alone: bool = True) -> str:
    """Parallel coordinates with a brush on each axis, and a table of the selected trials.

    Args:
        ledger: one row per trial.
        hyperparameters: columns of the ledger that have an axis.
        alone: leave out the links to the reports, because they are not beside the page.

    Returns:
        A whole HTML page of about 20 kB.
    """
    axes = [*hyperparameters, "val_accuracy"]
    failures = ["problem"] if (ledger["status"] == "failed").any() else []
    names = ["trial", "val_accuracy", *hyperparameters, "epochs", "seconds", "status", *failures]
    places = {name: placed(ledger[name], name) for name in axes}
    columns = [
        {"name": name, "label": _label(name), "words": not is_numeric_dtype(ledger[name])}
        for name in names
    ]
    drawn = []
    for name in axes:
        drawn.append({"name": name, "label": _label(name), **_ends(ledger[name], places[name])})
    best = ledger["val_accuracy"].idxmax()
    rows = [
        {
            "best": bool(index == best),
            "failed": bool(ledger.loc[index, "status"] == "failed"),
            "position": {name: _plain(places[name][0][index]) for name in axes},
            "value": {name: _plain(ledger.loc[index, name]) for name in names},
            "text": {name: _text(ledger.loc[index, name], name) for name in names},
        }
        for index in ledger.index
    ]
    data = json.dumps({"columns": columns, "axes": drawn, "rows": rows}, allow_nan=False)
    # A trial's problem is free text: "</script>" in it must not end the script.
    data = data.replace("<", "\\u003c")
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    style = (TEMPLATES / "study.css").read_text(encoding="utf-8")
    return environment.get_template("trials.html.j2").render(
        data=Markup(data), style=Markup(style), pages=[] if alone else pages()
    )


def _label(name: str) -> str:
    return "PublicTest" if name == "val_accuracy" else name.replace("_", " ")


def _ends(column: pd.Series, place: tuple[pd.Series, str, str]) -> dict:
    """The ticks of an axis: every value of a choice, or both ends of a range."""
    at, low, high = place
    values = column.dropna()
    few = values.nunique() <= FEW
    if is_numeric_dtype(values):
        few = few and values.duplicated().any()
    ticks = [(0, low), (1, high)]
    if few:
        distinct = values.drop_duplicates()
        ticks = [(at[index], _text(value, column.name)) for index, value in distinct.items()]
    return {"few": bool(few), "ticks": ticks}


def _plain(value):
    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def _text(value, name: str) -> str:
    value = _plain(value)
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{100 * value:.2f} %" if name == "val_accuracy" else f"{value:.4g}"
    return str(value) if name == "problem" else str(value).replace("_", " ")
