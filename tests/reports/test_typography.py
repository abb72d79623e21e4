"""Tables and numbers of a report."""

import pytest
from bs4 import BeautifulSoup

from fer_utils.reports.typography import set_numbers, set_tables


def set_output(html: str) -> BeautifulSoup:
    soup = BeautifulSoup(f'<main><div class="output">{html}</div></main>', "html.parser")
    set_tables(soup)
    set_numbers(soup)
    return soup


def table(*rows: str) -> str:
    cells = ["".join(f"<td>{cell}</td>" for cell in row.split("|")) for row in rows[1:]]
    head = "".join(f"<th>{cell}</th>" for cell in rows[0].split("|"))
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def test_headers_are_words_and_columns_of_numbers_are_marked():
    soup = set_output(
        table(
            "model|val_accuracy|multiply_adds|seeds|ece",
            "a|69.6 % (68.2 % to 71.1 %)|1,332|1, 2|–",
            "b2|-0.3 ± 0.1|–|3|1.2e-05",
        )
    )
    heads = soup.select("th")
    assert [head.get_text() for head in heads] == [
        *("model", "PublicTest accuracy", "multiply adds", "seeds", "expected calibration error")
    ]
    assert [head.get("class", []) for head in heads] == [[], *[["number"]] * 4]
    assert len(soup.select("td.number")) == 8
    assert {head["scope"] for head in heads} == {"col"}


def test_a_column_with_one_word_stays_left():
    assert set_output(table("a", "1", "all 2")).select(".number") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-0.5 (-1 to -.2)", "−0.5 (−1 to −.2)"),
        ("FER-2013, 3-4, 1e-5, 2026-01-02, a-1", "FER-2013, 3-4, 1e-5, 2026-01-02, a-1"),
    ],
)
@pytest.mark.parametrize(
    "place",
    ["<table><tr><td>{}</td></tr></table>", '<div class="stream"><pre>{}</pre></div>'],
)
def test_minus_signs(place, text, expected):
    assert set_output(place.format(text)).get_text() == expected


def test_code_keeps_its_signs_and_printed_text_its_spaces():
    soup = set_output(
        '<div class="prose"><p>5 % of <code>-1 %</code></p></div><div class="stream">5 %</div>'
    )
    assert soup.get_text() == "5\xa0% of -1 %5 %"


def test_global_styles_of_pandas_are_removed_and_a_tables_own_stay():
    kept = "<style>#T_1 .col0 {text-align: left}</style>"
    soup = set_output(f"<style scoped>.dataframe thead th {{}}</style>{kept}")
    assert [style.get_text() for style in soup.select("style")] == ["#T_1 .col0 {text-align: left}"]
