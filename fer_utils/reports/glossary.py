"""Links from the text of a report to the glossary on the index."""

import re
from functools import cache
from pathlib import Path

from bs4 import BeautifulSoup, NavigableString

from fer_utils.reports.contents import HEADINGS

GLOSSARY = Path(__file__).parent / "templates" / "glossary.html.j2"

UNLINKED = ["a", "code", "pre", *HEADINGS, "th"]
"""Elements whose text is not linked."""


@cache
def read_terms() -> dict[str, str]:
    """The ids of the glossary's entries by term.

    The terms of an entry are separated by commas in its `dt`. A term in brackets, and those in the
    entry's `data-also`, are other names.
    """
    soup = BeautifulSoup(GLOSSARY.read_text(encoding="utf-8"), "html.parser")
    terms = {}
    for entry in soup.select("dl > div"):
        titles = entry.select("dt")
        names = [title.get_text() for title in titles] + [str(entry.get("data-also", ""))]
        for name in re.split(r", |\(|\)", ", ".join(names)):
            if name.strip():
                terms[" ".join(name.split())] = str(entry["id"])
    return terms


def link_terms(soup: BeautifulSoup, index: str) -> None:
    """Link the first occurrence of each term in a report's Markdown text.

    Args:
        soup: a page of the template study. It is changed.
        index: the address of the index from the page.
    """
    terms = read_terms()
    # Of two terms at the same place the longer is meant: "near-duplicate", not "duplicate".
    ordered = sorted(terms, key=lambda term: (-len(term), term))
    pattern = re.compile("|".join(f"({_pattern(term)})" for term in ordered))
    linked: set[str] = set()
    texts = [
        text for place in soup.select("main .prose") for text in place.find_all(string=pattern)
    ]
    for text in texts:
        if text.find_parent(UNLINKED) is not None:
            continue
        pieces: list = []
        end = 0
        for match in pattern.finditer(text):
            term = ordered[(match.lastindex or 1) - 1]
            if term in linked:
                continue
            linked.add(term)
            link = soup.new_tag("a", href=f"{index}#{terms[term]}", attrs={"class": "term"})
            link.string = match[0]
            pieces += [NavigableString(text[end : match.start()]), link]
            end = match.end()
        if pieces:
            text.replace_with(*pieces, NavigableString(text[end:]))


def _pattern(term: str) -> str:
    """A whole word, in the plural too, and with a capital letter at the start of a sentence."""
    first, rest = term[0], re.escape(term[1:]).replace("’", "['’]").replace(r"\ ", r"\s+")
    first = f"[{first}{first.upper()}]" if first.islower() else re.escape(first)
    return rf"(?<![\w-]){first}{rest}(?:s(?!\w))?(?![\w-])"
