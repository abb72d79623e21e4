"""The trials of a search as a page to look into: one file of HTML that fetches nothing."""

import json
from collections.abc import Sequence
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from fer_utils.plots.tuning import placed

TEMPLATES = Path(__file__).parents[1] / "templates"


def trials_page(ledger: pd.DataFrame, hyperparameters: Sequence[str], title: str = "Trials of the search") -> str:
    """Parallel coordinates with a brush on each axis, over a table that follows; whole HTML, some 10 kB.

    Args:
        ledger: a search's.
        hyperparameters: its hyperparameters.
        title: the page's.
    """
    axes = [*hyperparameters, "val_accuracy"]
    names = ["trial", *axes, "epochs", "seconds", "status", "problem"]
    places = {name: placed(ledger[name], name) for name in axes}
    columns = [
        {"name": name, "label": "PublicTest" if name == "val_accuracy" else name.replace("_", " ")}
        | ({"axis": True, "low": places[name][1], "high": places[name][2]} if name in axes else {"axis": False})
        for name in names
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
    data = json.dumps({"columns": columns, "rows": rows}, allow_nan=False).replace("<", "\\u003c")
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    style = (TEMPLATES / "study.css").read_text(encoding="utf-8")
    return environment.get_template("trials.html.j2").render(title=title, data=Markup(data), style=Markup(style))


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
    return str(value)
