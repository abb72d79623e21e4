"""Numbers, captions and alternative texts of the figures and tables of a report."""

import base64
import io
import re
from collections import Counter
from collections.abc import Mapping

from bs4 import BeautifulSoup, NavigableString, Tag
from PIL import Image

from fer_utils.reports.contents import HEADINGS, heading_text

WIDE, GAP, NARROW = 46, 3, 360
"""A table with more characters in a line, `GAP` between columns included, is wider than a phone. So
is a plot with more pixels than `NARROW`."""

ALT = 300
"""Most characters of an alternative text that is made from the text before the figure."""


def add_captions(soup: BeautifulSoup, values: Mapping[str, str]) -> None:
    """Number and caption figures and tables, and put each in a box that scrolls sideways.

    Args:
        soup: a page of the template study. It is changed.
        values: the parameters of the run by name, for captions such as "on {split}".
    """
    found: list[tuple[Tag, str]] = []
    section = opening = prose = ""
    taken: Counter[int] = Counter()  # captions of an output, by its id
    for element in soup.select(f"main :is(section.prose, {', '.join(HEADINGS)}, figure, table)"):
        if element.name in HEADINGS:
            section = opening = heading_text(element)
            paragraphs = element.find_next_siblings("p")
            prose = " ".join(" ".join(each.get_text().split()) for each in paragraphs)
        elif element.name == "section":
            if element.find(HEADINGS) is None:
                opening, prose = _first_sentence(" ".join(element.get_text().split()))
                opening = re.sub(r":$", ".", opening)
        elif element.caption is None:  # the table of parameters has one
            # A sentence before a table is often about a figure.
            default = opening if element.name == "figure" else section
            caption = _given_caption(element, taken, values) or default
            found.append((element, caption))
            if element.img is not None and not element.img.get("alt"):
                element.img["alt"] = _description(caption, prose)
    _number(soup, found)


def _given_caption(element: Tag, taken: Counter[int], values: Mapping[str, str]) -> str:
    """The caption in the metadata of the output or of the cell, or the alternative text, or ""."""
    own = str(element.attrs.pop("data-caption", ""))
    output = element.find_parent("div", class_="output")
    cell = str(output.get("data-captions", "")).split("\n") if output else [""]
    place = taken[id(output)] if len(cell) > 1 else 0
    taken[id(output)] += 1
    caption = own or (cell[place] if place < len(cell) else "")
    for name, value in values.items():
        caption = caption.replace(f"{{{name}}}", value)
    return caption or str(element.img.get("alt", "") if element.img else "")


def _description(caption: str, prose: str) -> str:
    """The caption and the sentences before a figure that describe it."""
    text = caption
    while prose:
        sentence, prose = _first_sentence(prose)
        if len(text) + len(sentence) > ALT or sentence.startswith("Look for"):
            break
        if sentence != text:
            text += f" {sentence}"
    return text


def _first_sentence(text: str) -> tuple[str, str]:
    """The first sentence of a text, and the rest."""
    found = re.match(r"(.+?[.?!:])\s+(?=[A-Z])(.*)", text)
    return (found[1], found[2]) if found else (text, "")


def _number(soup: BeautifulSoup, found: list[tuple[Tag, str]]) -> None:
    alike = Counter((element.name, caption) for element, caption in found)
    counts: Counter[str] = Counter()
    nth: Counter[tuple[str, str]] = Counter()
    for element, caption in found:
        kind = element.name
        counts[kind] += 1
        nth[kind, caption] += 1
        if alike[kind, caption] > 1:
            caption += f" ({nth[kind, caption]} of {alike[kind, caption]})"
        number = f"{kind.capitalize()} {counts[kind]}"
        bold, words = soup.new_tag("b"), soup.new_tag("span")
        bold.string = f"{number}."
        words.extend([bold, NavigableString(f" {caption}")])
        label = soup.new_tag("figcaption" if kind == "figure" else "caption")
        label.append(words)
        # A table keeps its id, because pandas refers to it in the table's style.
        (element if kind == "figure" else label)["id"] = f"{kind}-{counts[kind]}"
        _put_in_box(soup, element, number)
        if kind == "figure":
            element.append(label)
        else:
            element.insert(0, label)


def _put_in_box(soup: BeautifulSoup, element: Tag, name: str) -> None:
    """Put a table, or the image of a figure, in a box that scrolls. A wide one gets a hint."""
    if element.img is not None:
        width = _measured_width(element.img)
        wide = "plot" in element["class"] and width > NARROW
    else:
        lines = [row.find_all(["th", "td"]) for row in element.find_all("tr")]
        lengths = [sum(len(cell.get_text().strip()) + GAP for cell in line) for line in lines]
        wide = max(lengths, default=0) > WIDE
    box = (element.img or element).wrap(
        soup.new_tag("div", attrs={"class": "scroll", "role": "group", "aria-label": name})
    )
    if wide:
        hint = soup.new_tag("span", attrs={"class": "hint"})
        hint.string = "Scroll sideways to see all of it."
        box.insert_before(hint)


def _measured_width(image: Tag) -> int:
    """The width of an image in pixels, 0 if unknown. The image gets it with its height, so that
    the text below keeps its place while the image loads."""
    kind, _, encoded = str(image["src"]).partition(",")
    if "svg" not in kind and not image.get("width"):
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
            image["width"], image["height"] = map(str, picture.size)
    return int(str(image.get("width") or 0))
