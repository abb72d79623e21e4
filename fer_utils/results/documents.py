"""Numbers in README.md and docs/results.md, rendered as tables between markers.

A block begins with `<!-- NAME: written by `fer-study results --write` -->` and ends with
`<!-- end of NAME -->`. The text around the blocks is written by hand.
"""

import re
from pathlib import Path

import pandas as pd

from fer_utils.errors import StudyError
from fer_utils.evaluation.published import PUBLISHED, Published, row_label
from fer_utils.evaluation.published import TABLE as RESULTS_TABLE
from fer_utils.evaluation.wording import number
from fer_utils.results.aggregates import CONFUSION
from fer_utils.results.differences import TABLE as DIFFERENCES_TABLE
from fer_utils.results.tables import shown
from fer_utils.storage import atomic_file

README, RESULTS = "README.md", "docs/results.md"

WRITER = "fer-study results --write"

README_MODELS = ("ensemble", "small_resnet", "baseline_cnn", "tang_l2svm")
"""The models in README's table; of each the row with the highest PublicTest accuracy."""

HEADLINE_MODELS = (*README_MODELS, "mini_xception")
"""The models in README's figure."""

README_PUBLISHED = ("Tang, CNN with L2-SVM", "Human accuracy")
"""The published accuracies in README's table."""

README_COLUMNS = {
    "public": "PublicTest, %",
    "private": "PrivateTest, %",
    "unleaked": "without leaks, %",
}
"""Titles in README's table of the scores in the table of results."""


def render(page: str, blocks: dict[str, str], name: str, writer: str = WRITER) -> str:
    """Replace the blocks of a page.

    Args:
        page: the page's text.
        blocks: Markdown by the block's name.
        name: the page's name for the error.
        writer: the command that the blocks' markers name.

    Raises:
        StudyError: the page has no such block.
    """
    for block, text in blocks.items():
        start = f"<!-- {block}: written by `{writer}` -->"
        end = f"<!-- end of {block} -->"
        pattern = re.compile(f"{re.escape(start)}\n.*?{re.escape(end)}", re.S)
        if not pattern.search(page):
            raise StudyError(
                f"{name}: expected the markers {start} and {end}, found none. Put them where the "
                "table goes."
            )
        new = f"{start}\n{text}\n{end}"
        before, after = pattern.split(page, maxsplit=1)
        page = before + new + after
    return page


def write_results(
    results: pd.DataFrame, differences: pd.DataFrame, confusion: pd.DataFrame, root: Path
) -> None:
    """Write results.csv, differences.csv and confusion.csv to the evidence, and render the pages.

    Args:
        results: as `evidence.compute_results` returns it.
        differences: as `differences.differences` returns it.
        confusion: as `aggregates.released_confusion` returns it.
        root: the study's folder.

    Raises:
        StudyError: a page has no markers. Nothing is written then.
    """
    evidence = root / "reports" / "evidence"
    new = {
        evidence / RESULTS_TABLE: results.to_csv(index=False),
        evidence / DIFFERENCES_TABLE: differences.to_csv(index=False),
        evidence / CONFUSION: confusion.to_csv(),
    }
    for name, blocks in documents(results, differences, evidence).items():
        new[root / name] = render((root / name).read_text(encoding="utf-8"), blocks, name)
    for path, text in new.items():
        with atomic_file(path) as target:
            target.write_text(text, encoding="utf-8")


def documents(
    results: pd.DataFrame, differences: pd.DataFrame, evidence: Path
) -> dict[str, dict[str, str]]:
    """The blocks of each page as Markdown, from these tables and those in the evidence."""
    return {
        README: {"results": _summary(results)},
        RESULTS: {
            "results": results_markdown(results),
            "published": _published(),
            "differences": _differences(differences),
            "tuning": _tuning(pd.read_csv(evidence / "tuning" / "retrained.csv")),
            "ablation": _ablation(pd.read_csv(evidence / "ablation" / "small_resnet.csv")),
        },
    }


def results_markdown(results: pd.DataFrame) -> str:
    """The whole table of results."""
    table = shown(results)
    table["time, min"] = [f"{minutes:.0f}" for minutes in results["minutes"]]
    table["machine"] = results["machine"]
    return markdown_table(table, texts=("model", "machine"))


def headline_rows(results: pd.DataFrame, models: tuple[str, ...] = HEADLINE_MODELS) -> pd.DataFrame:
    """Select of each model the row with the highest PublicTest accuracy, in this order."""
    # "ensemble (4 networks)" is the row of the ensemble.
    names = results["model"].str.split(" ").str[0]
    rows = [
        results.loc[names == model, "public_accuracy"].idxmax()
        for model in models
        if (names == model).any()
    ]
    return results.loc[rows]


def _summary(results: pd.DataFrame) -> str:
    """One row per model of `README_MODELS`, then in italics those of `README_PUBLISHED`."""
    rows = []
    for row in headline_rows(results, README_MODELS).to_dict("records"):
        cells = {"model": _with_seeds(row), "parameters": f"{row['parameters']:,}"}
        for split, title in README_COLUMNS.items():
            mean, low, high = (100 * row[f"{split}_{key}"] for key in ("accuracy", "low", "high"))
            cells[title] = f"{mean:.1f} ({low:.1f}–{high:.1f})"
        rows.append(cells)
    for known in PUBLISHED:
        if known.name in README_PUBLISHED:
            rows.append({"model": f"*{known.label}*", README_COLUMNS["private"]: _accuracy(known)})
    return markdown_table(pd.DataFrame(rows).fillna(""), texts=("model",))


def _with_seeds(row: dict) -> str:
    """ "small_resnet, TTA, 3 seeds"; an ensemble joins its seeds, so it has none of its own."""
    count = len(str(row["seeds"]).split(","))
    seeds = "" if " " in row["model"] else f", {count} seed{'s' * (count > 1)}"
    return row_label(row) + seeds


def _published() -> str:
    """Every published accuracy, with its images, what limits a comparison, and its source."""
    rows = [
        {
            "model": known.name,
            "accuracy, %": _accuracy(known),
            "images": known.images,
            "remarks": known.caveat,
            "source": _linked(known.source),
        }
        for known in PUBLISHED
    ]
    return markdown_table(pd.DataFrame(rows), texts=("model", "images", "remarks", "source"))


def _linked(source: str) -> str:
    """With links to arXiv and GitHub; an address in full would be too wide for the table."""
    source = re.sub(r"arXiv (\d{4}\.\d+)", r"[arXiv \1](https://arxiv.org/abs/\1)", source)
    return re.sub(r"github\.com/([\w./-]+)", r"[GitHub](https://github.com/\1)", source)


def _accuracy(known: Published) -> str:
    """As it was published: "71.16", or "65 ± 5" with the half width of its interval."""
    margin = "" if known.margin is None else f" ± {100 * known.margin:.4g}"
    return f"{100 * known.accuracy:.4g}{margin}"


def _differences(table: pd.DataFrame) -> str:
    rows = [
        {
            "model minus reference": f"{row['model']} − {row['other']}",
            "split": row["split"],
            "seeds": row["seeds"],
            "difference, points": points_with_interval(row["difference"], row["low"], row["high"]),
            "McNemar p": "" if pd.isna(row["p"]) else f"{row['p']:.1g}",
        }
        for row in table.to_dict("records")
    ]
    return markdown_table(pd.DataFrame(rows), texts=("model minus reference", "split"))


def _tuning(table: pd.DataFrame) -> str:
    rows = []
    for row in table.to_dict("records"):
        searched = not pd.isna(row["search_accuracy"])
        gain = (
            points_with_interval(row["gain"], row["gain_low"], row["gain_high"]) if searched else ""
        )
        retrained = f"{100 * row['mean']:.1f} ± {100 * row['deviation']:.1f}"
        rows.append(
            {
                "configuration": row["model"],
                "search score, %": f"{100 * row['search_accuracy']:.1f}" if searched else "",
                "retrained, % (3 other seeds)": retrained,
                "gain over untuned, points": gain,
            }
        )
    return markdown_table(pd.DataFrame(rows), texts=("configuration",))


def _ablation(table: pd.DataFrame) -> str:
    rows = [
        {
            "variant": row["variant"],
            "PublicTest, %": f"{100 * row['accuracy']:.1f} ± {100 * row['spread']:.1f}",
            "difference, points": points_with_interval(
                row["difference"], row["difference_low"], row["difference_high"]
            )
            if row["difference"]
            else "",
        }
        for row in table.to_dict("records")
    ]
    return markdown_table(pd.DataFrame(rows), texts=("variant",))


def points_with_interval(difference: float, low: float, high: float) -> str:
    """A difference of two shares, -1 to 1: "+3.8 (+2.5 to +5.2)" with real minus signs."""
    middle, least, most = (number(100 * each, sign=True) for each in (difference, low, high))
    return f"{middle} ({least} to {most})"


def markdown_table(table: pd.DataFrame, texts: tuple[str, ...]) -> str:
    """A table as Markdown, with the columns `texts` to the left and the others to the right."""
    alignment = ["---" if name in texts else "---:" for name in table.columns]
    lines = [table.columns, alignment, *table.to_numpy()]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)
