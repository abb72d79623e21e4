"""Tables of a video's faces: CSV and Parquet with equal values, and files that are not replaced."""

import csv
import sys

import pandas as pd
import pytest

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.recognition.tables import COLUMNS, write_rows


@pytest.fixture
def rows():
    """The rows of a face that moves to the right for 30 frames."""
    probabilities = dict.fromkeys(EMOTIONS, 0.05) | {"happy": 0.7}
    return [
        {
            **{"frame": i, "seconds": i / 20, "track": 1, "x": 20 + 4 * i, "y": 60},
            **{"width": 80, "height": 80, "score": 1.5, "emotion": "happy", "uncertain": i == 3},
            **probabilities,
        }
        for i in range(30)
    ]


def test_csv_and_parquet_read_back_equal(rows, tmp_path):
    assert write_rows(rows, tmp_path / "faces.csv") == 30
    assert write_rows(iter(rows), tmp_path / "faces.parquet") == 30
    from_csv, from_parquet = (
        pd.read_csv(tmp_path / "faces.csv"),
        pd.read_parquet(tmp_path / "faces.parquet"),
    )

    assert from_parquet.to_dict("records") == rows
    assert from_csv.to_dict("records") == rows
    assert from_parquet["uncertain"].dtype == bool
    with (tmp_path / "faces.csv").open(newline="") as file:
        assert next(csv.reader(file)) == list(COLUMNS)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_without_rows_has_its_columns(ending, tmp_path):
    table = tmp_path / f"faces{ending}"

    assert write_rows([], table) == 0
    read_back = pd.read_csv(table) if ending == ".csv" else pd.read_parquet(table)
    assert (list(read_back), len(read_back)) == (list(COLUMNS), 0)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_an_interrupted_table_leaves_the_old_one(ending, rows, tmp_path):
    table = tmp_path / f"faces{ending}"
    write_rows(rows[:1], table)
    old = table.read_bytes()

    def breaking():
        yield from rows[:3]
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write_rows(breaking(), table)
    assert table.read_bytes() == old
    assert list(tmp_path.iterdir()) == [table]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_that_fer_study_did_not_make_is_not_replaced(ending, rows, tmp_path):
    table = tmp_path / f"faces{ending}"
    table.write_bytes(b"PAR1 mine" if ending == ".parquet" else b"frame,mine\n")
    before = table.read_bytes()
    with pytest.raises(StudyError, match=r"expected nothing.* a video's rows made by fer-study"):
        write_rows(rows, table)
    assert table.read_bytes() == before


def test_another_suffix_is_refused_before_a_row_is_taken(tmp_path):
    def untouched():
        pytest.fail("a row was taken")
        yield

    with pytest.raises(StudyError, match=r"faces\.xlsx: expected .* \.csv or \.parquet"):
        write_rows(untouched(), tmp_path / "faces.xlsx")


def test_the_error_without_pyarrow_names_the_package(rows, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(StudyError, match="pip install pyarrow"):
        write_rows(rows, tmp_path / "faces.parquet")
    assert write_rows(rows, tmp_path / "faces.csv") == 30
    assert [path.name for path in tmp_path.iterdir()] == ["faces.csv"]
