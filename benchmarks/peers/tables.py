"""The comparison with the peers as Markdown: two tables in docs/benchmarks.md, one in README.md.

README's table is made of those in docs/benchmarks.md, so each of these can be measured by itself.
"""

import re
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
NETWORKS, PHOTOS = "peers_networks", "peers_photos"
"""The blocks in docs/benchmarks.md. README's block is `peers`."""


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


def cells(table: str) -> list[list[str]]:
    """The cells of the rows of a Markdown table, without its header."""
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def short_table(networks: str, photos: str) -> str:
    """README's table: one row for each network, with its first pipeline.

    Args:
        networks: as `networks_table` returns it; may be empty.
        photos: as `photos_table` returns it; may be empty. A pipeline's name begins with that of
            the network and a comma.
    """
    pipelines = cells(photos)
    rows = []
    for images, network, accuracy, *_ in cells(networks):
        if not images.startswith(f"{PRIVATE} ("):
            continue
        measured = next((row for row in pipelines if row[0].startswith(f"{network},")), None)
        name, *faces, _, milliseconds = measured or [network, "", ""]
        rows.append(
            {
                "": name,
                f"{PRIVATE}, %": accuracy,
                "faces found, missed, false": ", ".join(filter(None, faces)),
                "a photo, ms of the processor": milliseconds.split(" ")[0],
            }
        )
    return markdown_table(pd.DataFrame(rows), texts=("",)) if rows else ""


def block_of(page: str, block: str) -> str:
    """The text between a block's markers; empty without them."""
    found = re.search(rf"<!-- {block}: written .*? -->\n(.*?)<!-- end of {block} -->", page, re.S)
    return found[1].strip() if found else ""


def write(blocks: dict[str, str], root: Path) -> None:
    """Write blocks of docs/benchmarks.md, and README's table from all that are there then.

    Args:
        blocks: the new text of `NETWORKS`, `PHOTOS`, both or none.
        root: the project's folder.

    Raises:
        StudyError: a page has no markers. Nothing is written then.
    """
    page = render((root / DOCS).read_text(encoding="utf-8"), blocks, DOCS, WRITER)
    short = short_table(block_of(page, NETWORKS), block_of(page, PHOTOS))
    readme = (root / README).read_text(encoding="utf-8")
    new = {DOCS: page, README: render(readme, {"peers": short}, README, WRITER)}
    for name, text in new.items():
        with atomic_file(root / name) as target:
            target.write_text(text, encoding="utf-8")
