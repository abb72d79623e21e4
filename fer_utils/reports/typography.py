"""Tables and numbers of a report as a typesetter sets them."""

import re

from bs4 import BeautifulSoup, Tag

WORDS = {
    "base_rate": "base rate",
    "brier": "Brier score",
    "ece": "expected calibration error",
    "high": "high end",
    "lift": "precision / base rate",
    "low": "low end",
    "p": "p-value",
    "private_accuracy": "PrivateTest accuracy",
    "roc_auc": "area under the ROC curve",
    "svm": "SVM",
    "tta": "TTA",
    "val_accuracy": "PublicTest accuracy",
}
"""Headers of tables in words, by the names of columns. Other names lose their underscores."""

NUMBER = re.compile(r"(?:[\d\s.,:%±×()<>=≈−–+-]|\bto\b|(?<=\d)e(?=[+−-]?\d))+")
"""A number with or without its interval: "69.6 % (68.2 % to 71.1 %)"."""

MINUS = re.compile(r"(?<![\w.,%)\]−–-])-(?=\.?\d)")
"""A hyphen that is a minus sign: not in a range, in a name such as FER-2013, or in an exponent."""


def set_tables(soup: BeautifulSoup) -> None:
    """Put the headers of tables into words, and give cells of numbers the class "number".

    Args:
        soup: a page of the template study. It is changed.
    """
    for style in soup.select(".output style"):
        if ".dataframe" in style.get_text():
            style.decompose()  # it would style every table of the page, not only its own
    for table in soup.select("main table"):
        for header in table.select("thead th"):
            header["scope"] = "col"
            names = header.get_text().split()
            if names:
                header.string = " ".join(WORDS.get(n, n.replace("_", " ")) for n in names)
        _align_numbers(table)


def _align_numbers(table: Tag) -> None:
    rows = [row.find_all(["th", "td"], recursive=False) for row in table.find_all("tr")]
    if len({len(row) for row in rows}) != 1:
        return  # cells span columns
    for column in zip(*rows, strict=True):
        texts = [cell.get_text().strip() for cell in column if cell.find_parent("thead") is None]
        texts = [text for text in texts if text not in ("", "–")]
        if texts and all(NUMBER.fullmatch(text) for text in texts):
            for cell in column:
                cell["class"] = [*cell.get("class", []), "number"]


def set_numbers(soup: BeautifulSoup) -> None:
    """Set minus signs in outputs, and keep a percent sign in the line of its number.

    Args:
        soup: a page of the template study. It is changed.
    """
    for place in soup.select("main .prose, .output table, .output .stream"):
        printed = place.name == "div" and "stream" in place["class"]
        for text in place.find_all(string=True):
            if text.find_parent(["code", "style", "script"]) is not None:
                continue
            new = str(text)
            if place.find_parent(class_="output") is not None:
                new = MINUS.sub("−", new)
            if not printed:
                new = re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", new)
            if new != text:
                text.replace_with(new)
