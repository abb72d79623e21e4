"""Permalinks of a report's headings, and its contents list."""

from collections import Counter

from bs4 import BeautifulSoup, Tag

HEADINGS = ("h1", "h2", "h3", "h4")


def link_headings(soup: BeautifulSoup) -> None:
    """Make the ids that nbconvert gives to headings unique, and describe their permalinks.

    Args:
        soup: a page of the template study. It is changed.
    """
    others = soup.select(f"[id]:not({', '.join(HEADINGS)})")
    seen = Counter(str(tag["id"]) for tag in others)
    for heading in soup.select(f"main :is({', '.join(HEADINGS)})"):
        link = heading.select_one(".anchor-link")
        if link is None:  # HTML of an output
            continue
        wanted = name = str(heading["id"])
        number = 1
        while seen[name]:
            number += 1
            name = f"{wanted}-{number}"
        seen[name] += 1
        heading["id"] = name
        link["href"] = f"#{name}"
        link["aria-label"] = "Link to this section"
        if heading.name == "h1":
            link.decompose()  # the title is the page


def list_contents(soup: BeautifulSoup) -> None:
    """Fill the contents list with the sections of the notebook. A list of one section is removed.

    Args:
        soup: a page after `link_headings`. It is changed.
    """
    headings = soup.select("main section.prose h2[id]")
    for contents in soup.select("details.contents"):
        if len(headings) < 2:
            contents.decompose()
            continue
        for heading in headings:
            item, link = soup.new_tag("li"), soup.new_tag("a", href=f"#{heading['id']}")
            link.string = heading_text(heading)
            item.append(link)
            contents.select_one("ol").append(item)  # type: ignore[union-attr]


def heading_text(heading: Tag) -> str:
    """The text of a heading without its permalink."""
    links = heading.select(".anchor-link")
    texts = [text for text in heading.strings if not any(link in text.parents for link in links)]
    return " ".join("".join(texts).split())
