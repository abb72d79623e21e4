"""The index of the reports, reports/index.html, made from the outputs of the other stages."""

import base64
import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

import pandas as pd
import yaml

from fer_utils.emotions import CANONICAL_COUNTS, PRIVATE
from fer_utils.errors import StudyError
from fer_utils.evaluation.published import PUBLISHED, Published, row_label
from fer_utils.notebooks.parameters import NOTEBOOKS, label, read_notebook
from fer_utils.reports.answer import answers
from fer_utils.reports.html import TEMPLATES
from fer_utils.reports.pictures import on_white
from fer_utils.storage import atomic_file

PACKAGES = (
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "numpy",
    "pandas",
    "scikit-learn",
    "keras-tuner",
    "dvc",
)

FINAL = "Final model of this run"

THUMBNAIL = 560
"""Width of a card's picture, in pixels: twice its width on the page, for dense screens."""


@dataclass(frozen=True)
class Score:
    """An accuracy on one split with its 95 % interval, as fractions in [0, 1].

    An unknown interval is None. If `shown` is set, the table contains it instead of the numbers.
    """

    split: str
    accuracy: float
    low: float | None = None
    high: float | None = None
    shown: str | None = None


@dataclass(frozen=True)
class Row:
    """A row of a results table: a model, details for the small print, its scores, a link."""

    model: str
    scores: tuple[Score, ...]
    details: tuple[str, ...] = ()
    link: str | None = None


def write_index(
    out: Path,
    *,
    root: Path,
    links: Path | None = None,
    footer: Mapping[str, str] | None = None,
) -> None:
    """Write the index page, one file that fetches nothing. The same data give the same bytes.

    Below `root` it reads reports/metrics/*.json, reports/evidence/results.csv, params.yaml, titles
    in notebooks/*.ipynb and thumbnails in reports/notebooks/*.ipynb. Stages without outputs are
    marked "not run yet".

    Args:
        out: the page, usually reports/index.html; the pages of the notebooks are in html/ beside
            it.
        root: the study's folder.
        links: the folder that the page's other links are relative to; None is the page's own. It
            differs while the page is written to a temporary folder.
        footer: what the page was made from, as names and values, behind the versions.

    Raises:
        StudyError: an existing file cannot be read, or lacks a number that the page shows.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"percent": percent, "seeds": _seeds}
    out, root = Path(out), Path(root)
    place = Path(links or out.parent)
    metrics = {stage: _json(root / "reports" / "metrics" / f"{stage}.json") for stage in NOTEBOOKS}
    parameters = _yaml(root / "params.yaml")
    explored = metrics["explore"] or {}
    source = explored.get("source") or (parameters.get("prepare") or {}).get("source")
    drawn = explored.get("drawn", source == "sample")
    final = f"{FINAL} (drawn faces)" if drawn else FINAL
    published = [_published_row(known) for known in PUBLISHED]
    try:
        trained = _own_rows(final, metrics["final_model"] or {}, metrics["replicate"] or {})
        real = _real_rows(root, place)
        # A run on FER-2013 may load committed trainings, which the first table contains.
        known = set() if drawn else {_identity(row) for row in real}
        own = [row for row in trained if _identity(row) not in known]
        answer, ensemble = answers(root / "reports" / "evidence")
        page = environment.get_template("index.html.j2").render(
            css=(TEMPLATES / "study.css").read_text(encoding="utf-8"),
            metrics=metrics,
            profile=parameters.get("profile"),
            source=source,
            drawn=drawn,
            final=final,
            own=own,
            committed=len(own) < len(trained),
            # Scores on drawn faces cannot be compared with real ones, nor share their axis.
            own_axis=Axis.around(own) if own else None,
            real=real,
            published=published,
            real_axis=Axis.around(real + published),
            answer=answer,
            ensemble=ensemble,
            private_test=sum(CANONICAL_COUNTS[PRIVATE]),
            cards=[_card(name, root, out.parent) for name in NOTEBOOKS.values()],
            versions=versions(),
            footer=footer or {},
        )
    except (jinja2.UndefinedError, KeyError, TypeError) as problem:
        raise StudyError(
            f"{root / 'reports' / 'metrics'}: expected the metrics of this version's stages, "
            f"found {problem}. Run the pipeline again (`dvc repro`)."
        ) from problem
    with atomic_file(out) as file:
        file.write_text(page, encoding="utf-8")


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction in per cent without the sign: "63.2" for 0.6318."""
    return f"{100 * fraction:.{digits}f}"


@dataclass(frozen=True)
class Axis:
    """The common axis of the accuracies of a table, from `low` to `high` per cent."""

    low: int
    high: int

    @classmethod
    def around(cls, rows: list[Row]) -> "Axis":
        """The axis from ten to ten that contains every score and interval of `rows`."""
        scores = [score for row in rows for score in row.scores]
        ends = [s.accuracy for s in scores]
        ends += [end for s in scores for end in (s.low, s.high) if end is not None]
        return cls(10 * int(min(ends) * 10), min(100, 10 * int(max(ends) * 10 + 1)))

    @property
    def ticks(self) -> range:
        """The labels of the axis, per cent."""
        return range(self.low, self.high + 1, 10)

    def x(self, fraction: float) -> str:
        """The position of an accuracy in [0, 1], as a CSS percentage of the axis's width."""
        return f"{100 * (100 * fraction - self.low) / (self.high - self.low):.2f}%"


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that results depend on."""
    found = {"Python": python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if "tensorflow-cpu" in found:
        found.pop("tensorflow", None)
    return found


def title_and_summary(notebook: Path) -> tuple[str, str]:
    """A notebook's title and the first sentence below it. Without a notebook: its label and ""."""
    title, summary = label(notebook.stem), ""
    cells = read_notebook(notebook).cells if notebook.is_file() else []
    if cells and cells[0].cell_type == "markdown":
        heading, _, rest = cells[0].source.strip().partition("\n")
        title = heading.lstrip("# ").strip() or title
        paragraph = " ".join(rest.strip().split("\n\n")[0].split())
        sentence = re.match(r".+?[.!?](?=\s+[A-Z]|$)", paragraph)
        summary = sentence[0] if sentence else paragraph
    return _plain(title), _plain(summary)


def _plain(markdown: str) -> str:
    """One line of Markdown without its markup."""
    return re.sub(r"\[([^]]*)\]\([^)]*\)|[*`]+", lambda match: match[1] or "", markdown)


def _card(name: str, root: Path, folder: Path) -> dict[str, Any]:
    title, summary = title_and_summary(root / "notebooks" / f"{name}.ipynb")
    html = folder / "html" / f"{name}.html"
    return {
        "number": int(name[:2]),
        "label": label(name),
        "title": title,
        "summary": summary,
        "name": name,
        "href": _relative(html, folder) if html.is_file() else None,
        "thumbnail": _thumbnail(root / "reports" / "notebooks" / f"{name}.ipynb"),
    }


def _thumbnail(executed: Path) -> str | None:
    """The first PNG output of an executed notebook, reduced, as a data URI."""
    from PIL import Image

    if not executed.is_file():
        return None
    cells = read_notebook(executed).cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    pictures = [o.data["image/png"] for o in outputs if "image/png" in o.get("data", {})]
    if not pictures:
        return None
    picture = on_white(base64.b64decode(pictures[0]))
    picture.thumbnail((THUMBNAIL, 2 * THUMBNAIL), Image.Resampling.LANCZOS)
    packed = io.BytesIO()
    picture.quantize(64).save(packed, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode()


def _scores(record: dict[str, Any]) -> tuple[Score, ...]:
    return tuple(
        Score(split, record[f"{key}_accuracy"], record[f"{key}_low"], record[f"{key}_high"])
        for split, key in (("PublicTest", "public"), ("PrivateTest", "private"))
        if record[f"{key}_accuracy"] is not None
    )


def _published_row(known: Published) -> Row:
    accuracy, margin = known.accuracy, known.margin
    if margin is None:
        score = Score(known.images, accuracy, shown=f"{percent(accuracy, 2)} %")
    else:
        shown = f"{percent(accuracy, 0)} ± {percent(margin, 0)} %"
        score = Score(known.images, accuracy, accuracy - margin, accuracy + margin, shown)
    return Row(known.name, (score,), tuple(filter(None, (known.caveat, known.source))))


def _own_rows(final: str, final_model: dict[str, Any], replicate: dict[str, dict]) -> list[Row]:
    """The final model, named `final`, then the others of its notebook and the replicated ones."""
    rows, others = [], {}
    if final_model:
        rows.append(_own_row(final, final_model))
        models = final_model.get("models", {})
        others = {name: models[name] for name in models if name != final_model["model"]}
    for name, scores in (others | replicate).items():
        rows.append(_own_row(name.replace("_averaged", ", TTA"), scores))
    return rows


def _identity(row: Row) -> tuple:
    """A row's name and scores, in the precision of the committed table."""
    return row.model, *(round(score.accuracy, 4) for score in row.scores)


def _own_row(name: str, metrics: dict[str, Any]) -> Row:
    details = (
        f"{metrics['parameters']:,} parameters",
        f"{metrics['epochs']} epochs",
        _seeds(metrics["seeds"]),
    )
    return Row(name, _scores(metrics), details)


def _seeds(seeds: str) -> str:
    return f"seed{'' if seeds.isdigit() else 's'} {seeds}"


def _real_rows(root: Path, folder: Path) -> list[Row]:
    """The committed results on the real FER-2013; empty if there are none."""
    path = root / "reports" / "evidence" / "results.csv"
    if not path.is_file():
        return []
    try:
        # Read as text: "0, 1, 2" are seeds, and numbers of parameters are integers.
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return [_real_row(record, root, folder) for record in table.to_dict("records")]
    except (OSError, ValueError, KeyError) as problem:
        raise StudyError(
            f"{path}: expected a table written by `fer-study results`, "
            f"found {type(problem).__name__}: {problem}. Restore the committed file."
        ) from None


def _real_row(record: dict[str, str], root: Path, folder: Path) -> Row:
    numbers = {}
    for key, value in record.items():
        if key.startswith(("public_", "private_")):
            numbers[key] = float(value) if value else None
    details = [record["data"]]
    if record["parameters"]:
        details.append(f"{int(record['parameters']):,} parameters")
    if record["epochs"]:
        details.append(f"{record['epochs']} epochs")
    if record["seeds"]:
        details.append(_seeds(record["seeds"]))
    if record["minutes"]:
        details.append(f"{float(record['minutes']):.0f} min on {record['machine']}")
    link = None
    if record["evidence"]:
        evidence = root / record["evidence"].split()[0]  # the first seed's
        link = _relative(evidence, folder) if evidence.exists() else None
    return Row(row_label(record), _scores(numbers), tuple(filter(None, details)), link)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise StudyError(
            f"{path}: expected metrics as JSON, found {problem}. Run the stage again."
        ) from None


def _yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as problem:
        raise StudyError(
            f"{path}: expected YAML, found {problem}. Write it again with `make study`."
        ) from None
