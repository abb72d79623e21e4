"""The trials of a search as a page to look into: one file of HTML that fetches nothing."""

import json
from collections.abc import Sequence
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup
from pandas.api.types import is_numeric_dtype

from fer_utils.plots.tuning import placed

TEMPLATES = Path(__file__).parents[1] / "reports" / "templates"

FEW = 6
"""A column of at most so many values, some of them repeated, is one of choices: its axis names each."""


def trials_page(
    ledger: pd.DataFrame, hyperparameters: Sequence[str], title: str = "Trials of the search"
) -> str:
    """Parallel coordinates with a brush on each axis, over a table that follows; whole HTML, some 15 kB.

    Args:
        ledger: a search's.
        hyperparameters: its hyperparameters.
        title: the page's.
    """
    axes = [*hyperparameters, "val_accuracy"]
    failures = ["problem"] if (ledger["status"] == "failed").any() else []
    names = ["trial", "val_accuracy", *hyperparameters, "epochs", "seconds", "status", *failures]
    places = {name: placed(ledger[name], name) for name in axes}
    columns = [
        {"name": name, "label": _label(name), "words": not is_numeric_dtype(ledger[name])}
        for name in names
    ]
    drawn = [
        {"name": name, "label": _label(name), **_ends(ledger[name], places[name])} for name in axes
    ]
    best = ledger["val_accuracy"].idxmax()
    rows = [
        {
            "best": bool(index == best),
            "failed": bool(ledger.loc[index, "status"] == "failed"),
            "at": {name: _plain(places[name][0][index]) for name in axes},
            "value": {name: _plain(ledger.loc[index, name]) for name in names},
            "text": {name: _text(ledger.loc[index, name], name) for name in names},
        }
        for index in ledger.index
    ]
    # A problem may say anything; nothing in it may end the script.
    data = json.dumps({"columns": columns, "axes": drawn, "rows": rows}, allow_nan=False).replace(
        "<", "\\u003c"
    )
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    style = (TEMPLATES / "study.css").read_text(encoding="utf-8")
    return environment.get_template("trials.html.j2").render(
        title=title, data=Markup(data), style=Markup(style)
    )


def _label(name: str) -> str:
    return "PublicTest" if name == "val_accuracy" else name.replace("_", " ")


def _ends(column: pd.Series, place: tuple[pd.Series, str, str]) -> dict:
    """What stands along an axis: each value of a column that has few, and the ends of one that has many."""
    at, low, high = place
    values = column.dropna()
    if few := values.nunique() <= FEW and (
        not is_numeric_dtype(values) or values.duplicated().any()
    ):
        ticks = [
            (at[index], _text(value, column.name))
            for index, value in values.drop_duplicates().items()
        ]
    else:
        ticks = [(0, low), (1, high)]
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
        return f"{value:.2%}" if name == "val_accuracy" else f"{value:.4g}"
    return str(value) if name == "problem" else str(value).replace("_", " ")
