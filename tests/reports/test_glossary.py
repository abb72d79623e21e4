"""Links from a report's text to the glossary."""

import re

from bs4 import BeautifulSoup

from fer_utils.reports.glossary import link_terms, read_terms
from fer_utils.reports.index import write_index


def linked(text: str) -> BeautifulSoup:
    soup = BeautifulSoup(f'<main><section class="prose">{text}</section></main>', "html.parser")
    link_terms(soup, "../index.html")
    return soup


def links(text: str) -> list[tuple[str, str]]:
    return [
        (link.get_text(), link["href"].partition("#term-")[2])
        for link in linked(text).select(".term")
    ]


def test_the_first_occurrence_of_a_term_is_linked():
    found = links("<p>Leaks help. A leak is a test image. Accuracy, then <b>accuracy</b>.</p>")
    assert found == [("Leaks", "leak"), ("Accuracy", "accuracy")]


def test_headings_code_and_links_are_left_alone():
    text = "<h2>A leak</h2><p><code>leak</code> <a href='#'>leak</a> leakage tta-leak</p>"
    assert links(text) == []
    assert str(linked(text)).count("leak") == 5
    assert links(f"{text}<p>One leak.</p>") == [("leak", "leak")]


def test_longer_terms_and_other_names_win():
    found = links("<p>near-duplicates, duplicates, TTA, McNemar test, a 95\xa0% interval, HOG</p>")
    assert dict(found) == {
        "near-duplicates": "duplicate",
        "duplicates": "duplicate",
        "TTA": "test-time-augmentation",
        "McNemar test": "mcnemars-test",
        "95\xa0% interval": "interval",
        "HOG": "hog-classifier",
    }


def test_text_around_the_links_stays():
    text = "<p>A leak &lt; a <em>seed</em>, and jitter.</p>"
    soup = linked(text)
    for link in soup.select(".term"):
        link.unwrap()
    assert str(soup) == f'<main><section class="prose">{text}</section></main>'


def test_every_term_leads_to_an_entry_of_the_index(tmp_path):
    out = tmp_path / "index.html"
    write_index(out, root=tmp_path)
    ids = set(re.findall(r'id="([^"]*)"', out.read_text(encoding="utf-8")))
    terms = read_terms()
    assert set(terms.values()) <= ids
    assert {"TTA", "test-time augmentation", "PrivateTest", "Brier score"} <= set(terms)
