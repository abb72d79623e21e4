"""The page that opens the study's reports: reports/index.html, made from what the stages left."""

import base64
import io
import json
import os
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

import pandas as pd
import yaml

from fer_utils.errors import StudyError
from fer_utils.evaluation.published import PUBLISHED, Published
from fer_utils.reports.notebooks import NOTEBOOKS, TEMPLATES, label, read_notebook
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

THUMBNAIL = 560
"""Width of a card's picture, in pixels; twice what it takes up, for dense screens."""


@dataclass(frozen=True)
class Score:
    """An accuracy on one split and the interval around it; fractions in [0, 1], or None where not known.

    `shown`, where given, stands in the table for both, as its source printed them.
    """

    split: str
    accuracy: float
    low: float | None = None
    high: float | None = None
    shown: str | None = None


@dataclass(frozen=True)
class Row:
    """A line of a results table: a model, what is known about it, and its scores."""

    model: str
    scores: tuple[Score, ...]
    details: tuple[str, ...] = ()
    link: str | None = None


def write_index(out: Path, *, root: Path) -> None:
    """Write the index page: one file that fetches nothing, the same bytes for the same data.

    It reads reports/metrics/*.json, reports/evidence/results.csv, reports/notebooks/*.ipynb (thumbnails),
    notebooks/*.ipynb (titles) and params.yaml below `root`. What a stage has not left yet is said so.

    Args:
        out: the page, usually reports/index.html; links are relative to its folder.
        root: the study's folder.

    Raises:
        StudyError: a file that is there cannot be read, or lacks a number that the page shows.
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
    metrics = {stage: _json(root / "reports" / "metrics" / f"{stage}.json") for stage in NOTEBOOKS}
    parameters = _yaml(root / "params.yaml")
    explored = metrics["explore"] or {}
    source = explored.get("source") or (parameters.get("prepare") or {}).get("source")
    published = [_published_row(known) for known in PUBLISHED]
    try:
        own = _own_rows(metrics["final_model"] or {}, metrics["replicate"] or {})
        real = _real_rows(root, out.parent)
        page = environment.get_template("index.html.j2").render(
            css=(TEMPLATES / "study.css").read_text(encoding="utf-8"),
            metrics=metrics,
            profile=parameters.get("profile"),
            source=source,
            drawn=explored.get("drawn", source == "sample"),
            own=own,
            real=real,
            published=published,
            axis=Axis.around(own + real + published),
            cards=[_card(name, root, out.parent) for name in NOTEBOOKS.values()],
            versions=versions(),
        )
    except (jinja2.UndefinedError, KeyError, TypeError) as problem:
        raise StudyError(
            f"{root / 'reports' / 'metrics'}: expected what the stages of this version leave, found {problem}. "
            "Run the pipeline again (`dvc repro`)."
        ) from problem
    with atomic_file(out) as file:
        file.write_text(page, encoding="utf-8")


def percent(fraction: float, digits: int = 1) -> str:
    """0.6318 as "63.2"."""
    return f"{100 * fraction:.{digits}f}"


@dataclass(frozen=True)
class Axis:
    """The one scale of all accuracies on the page, from `low` to `high` per cent."""

    low: int
    high: int

    @classmethod
    def around(cls, rows: list[Row]) -> "Axis":
        """The tens around every score and interval of `rows`."""
        ends = [
            end
            for row in rows
            for s in row.scores
            for end in (s.accuracy, s.low, s.high)
            if end is not None
        ]
        return cls(10 * int(min(ends) * 10), min(100, 10 * int(max(ends) * 10 + 1)))

    @property
    def ticks(self) -> range:
        """Where the axis is labelled, per cent."""
        return range(self.low, self.high + 1, 10)

    def x(self, fraction: float) -> str:
        """Place of an accuracy in [0, 1], per cent of the axis's width."""
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
    """A notebook's title and the first sentence below it; its name and nothing where there is no notebook."""
    title, summary = label(notebook.stem), ""
    if (
        notebook.is_file()
        and (cells := read_notebook(notebook).cells)
        and cells[0].cell_type == "markdown"
    ):
        heading, _, rest = cells[0].source.strip().partition("\n")
        title = heading.lstrip("# ").strip() or title
        paragraph = " ".join(rest.strip().split("\n\n")[0].split())
        sentence = re.match(r".+?[.!?](?=\s+[A-Z]|$)", paragraph)
        summary = sentence[0] if sentence else paragraph
    return _plain(title), _plain(summary)


def _plain(markdown: str) -> str:
    """One line of Markdown without its marks."""
    return re.sub(r"\[([^]]*)\]\([^)]*\)|[*`]+", lambda found: found[1] or "", markdown)


def _card(name: str, root: Path, folder: Path) -> dict[str, Any]:
    title, summary = title_and_summary(root / "notebooks" / f"{name}.ipynb")
    html = root / "reports" / "html" / f"{name}.html"
    return {
        "number": int(name[:2]),
        "label": label(name),
        "title": title,
        "summary": summary,
        "link": _relative(html, folder) if html.is_file() else None,
        "thumbnail": _thumbnail(root / "reports" / "notebooks" / f"{name}.ipynb"),
    }


def _thumbnail(executed: Path) -> str | None:
    """The first picture that an executed notebook shows, made small, as a data URI."""
    from PIL import Image

    if not executed.is_file():
        return None
    outputs = (
        output for cell in read_notebook(executed).cells for output in cell.get("outputs", ())
    )
    pictures = (
        output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})
    )
    if not (first := next(pictures, None)):
        return None
    picture = Image.open(io.BytesIO(base64.b64decode(first))).convert("RGBA")
    on_white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert(
        "RGB"
    )
    on_white.thumbnail((THUMBNAIL, 2 * THUMBNAIL), Image.Resampling.LANCZOS)
    packed = io.BytesIO()
    on_white.quantize(64).save(packed, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(packed.getvalue()).decode()


def _scores(record: dict[str, Any]) -> tuple[Score, ...]:
    return tuple(
        Score(split, record[f"{key}_accuracy"], record[f"{key}_low"], record[f"{key}_high"])
        for split, key in (("PublicTest", "public"), ("PrivateTest", "private"))
        if record[f"{key}_accuracy"] is not None
    )


def _published_row(known: Published) -> Row:
    if known.margin is None:
        score = Score(
            known.images, known.accuracy, shown=f"{known.accuracy:.2%}".replace("%", " %")
        )
    else:
        low, high = known.accuracy - known.margin, known.accuracy + known.margin
        score = Score(
            known.images,
            known.accuracy,
            low,
            high,
            shown=f"{100 * known.accuracy:.0f} ± {100 * known.margin:.0f} %",
        )
    return Row(known.name, (score,), tuple(filter(None, (known.caveat, known.source))))


def _own_rows(final_model: dict[str, Any], replicate: dict[str, dict]) -> list[Row]:
    """The model that was kept, the others of its notebook, and the replicated ones, each once."""
    kept = [_own_row("The study’s model", final_model)] if final_model else []
    others = {
        name: each for name, each in final_model.get("models", {}).items() if name != final_model["model"]
    }
    return kept + [
        _own_row(name.replace("_averaged", ", averaged"), each)
        for name, each in (others | replicate).items()
    ]


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
    """The committed table of real runs; empty where there is none."""
    path = root / "reports" / "evidence" / "results.csv"
    if not path.is_file():
        return []
    try:
        # Read as text: "0, 1, 2" are seeds, and numbers of parameters are whole.
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        rows = []
        for record in table.to_dict("records"):
            numbers = {
                key: float(value) if value else None
                for key, value in record.items()
                if _is_score(key)
            }
            details = (
                record["data"],
                f"{int(record['parameters']):,} parameters" if record["parameters"] else "",
                f"{record['epochs']} epochs" if record["epochs"] else "",
                _seeds(record["seeds"]) if record["seeds"] else "",
                f"{float(record['minutes']):.0f} min on {record['machine']}"
                if record["minutes"]
                else "",
            )
            # Of several seeds the first one's.
            evidence = root / record["evidence"].split()[0] if record["evidence"] else None
            link = _relative(evidence, folder) if evidence and evidence.exists() else None
            name = f"{record['model']}, averaged" if record["tta"] else record["model"]
            rows.append(Row(name, _scores(numbers), tuple(filter(None, details)), link))
    except (OSError, ValueError, KeyError) as problem:
        raise StudyError(
            f"{path}: expected the table that `fer-study results` writes, found {type(problem).__name__}: {problem}."
        ) from None
    return rows


def _is_score(column: str) -> bool:
    return column.startswith(("public_", "private_"))


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise StudyError(
            f"{path}: expected metrics as JSON, found {problem}. Run its stage again."
        ) from None


def _yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as problem:
        raise StudyError(f"{path}: expected YAML, found {problem}.") from None
