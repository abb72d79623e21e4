"""The comparison with the peers as Markdown: tables for docs/benchmarks.md and for README.md."""

import statistics
from pathlib import Path

import pandas as pd

from fer_utils.emotions import PRIVATE
from fer_utils.results.documents import markdown_table, points_with_interval, render
from fer_utils.storage import atomic_file
from peers.networks import Comparison
from peers.photos import Measured

WRITER = "python benchmarks/peer.py --write"
OURS = "this study"
DOCS, README = "docs/benchmarks.md", "README.md"


def share(accuracy: float, low: float, high: float) -> str:
    """ "70.2 (68.7–71.7)", in percent, from shares."""
    return f"{100 * accuracy:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def p_value(p: float) -> str:
    """ "0.0022", or "< 1e-20": smaller ones are not told apart."""
    return f"{p:.2g}" if p >= 1e-20 else "< 1e-20"


def networks_table(
    ours: dict[str, tuple[int, tuple[float, float, float]]],
    theirs: dict[str, dict[str, Comparison]],
) -> str:
    """One row for each selection of images and network.

    Args:
        ours: by selection, its number of images, and our accuracy with its interval.
        theirs: by selection and peer, the comparison.
    """
    rows = []
    for selection, (count, accuracy) in ours.items():
        images = f"{selection} ({count:,})"
        rows.append({"images": images, "network": OURS, "accuracy, %": share(*accuracy)})
        for peer, found in theirs[selection].items():
            rows.append(
                {
                    "images": images,
                    "network": peer,
                    "accuracy, %": share(*found.accuracy),
                    "ours minus it, points": points_with_interval(
                        found.test.difference, *found.interval
                    ),
                    "only ours correct": f"{found.test.only_a:,}",
                    "only it correct": f"{found.test.only_b:,}",
                    "McNemar p": p_value(found.test.p),
                }
            )
    return markdown_table(pd.DataFrame(rows).fillna(""), texts=("images", "network"))


def span(milliseconds: list[float]) -> str:
    """ "34 (31–40)": the median of the rounds, and their range; one round has none."""
    middle = f"{statistics.median(milliseconds):,.0f}"
    if len(milliseconds) == 1:
        return middle
    return f"{middle} ({min(milliseconds):,.0f}–{max(milliseconds):,.0f})"


def photos_table(found: dict[str, Measured]) -> str:
    """One row for each pipeline: its faces, and its milliseconds a photo."""
    rows = [
        {
            "pipeline": name,
            "found": measured.count.found,
            "missed": measured.count.missed,
            "false": measured.count.false,
            "a photo by the clock, ms": span(measured.clock),
            "of the processor, ms": span(measured.processor),
        }
        for name, measured in found.items()
    ]
    return markdown_table(pd.DataFrame(rows), texts=("pipeline",))


def short_table(
    ours: dict[str, tuple[int, tuple[float, float, float]]],
    theirs: dict[str, dict[str, Comparison]],
    found: dict[str, Measured],
) -> str:
    """README's table: one row for each network, with its first pipeline.

    Args:
        ours: as for `networks_table`.
        theirs: as for `networks_table`.
        found: as for `photos_table`; a pipeline's name begins with the network's and a comma.
    """
    rows = []
    for network in (OURS, *theirs[PRIVATE]):
        first = next((name for name in found if name.startswith(f"{network},")), None)
        measured = found.get(first)
        comparison = theirs[PRIVATE].get(network)
        accuracy = comparison.accuracy if comparison else ours[PRIVATE][1]
        count = measured and measured.count
        rows.append(
            {
                "": first or network,
                f"{PRIVATE}, %": share(*accuracy),
                "faces found, missed, false": f"{count.found}, {count.missed}, {count.false}"
                if count
                else "",
                "a photo, ms": f"{statistics.median(measured.processor):,.0f}" if measured else "",
            }
        )
    return markdown_table(pd.DataFrame(rows), texts=("",))


def rendered(pages: dict[str, str], root: Path) -> dict[Path, str]:
    """Each page with its block `peers` replaced, by its path.

    Args:
        pages: the block's text by the page's name.
        root: the project's folder.

    Raises:
        StudyError: a page has no markers.
    """
    return {
        root / name: render(
            (root / name).read_text(encoding="utf-8"), {"peers": text}, name, WRITER
        )
        for name, text in pages.items()
    }


def write(pages: dict[str, str], root: Path) -> None:
    """Write the block `peers` of each page. Arguments and errors are those of `rendered`."""
    for path, text in rendered(pages, root).items():
        with atomic_file(path) as target:
            target.write_text(text, encoding="utf-8")
