"""FER+ votes joined to faces."""

import numpy as np
import pandas as pd
import pytest

from fer_utils.data.faces import Faces
from fer_utils.data.votes import CATEGORIES, join_votes
from fer_utils.emotions import USAGES
from fer_utils.errors import StudyError

COUNT = 6


@pytest.fixture
def faces() -> Faces:
    return Faces(
        images=np.zeros((COUNT, 48, 48), np.uint8),
        emotion=np.zeros(COUNT, np.uint8),
        usage=np.array([USAGES[index % 3] for index in range(COUNT)]),
        row=np.arange(COUNT),
        source="csv",
    )


@pytest.fixture
def table(faces) -> pd.DataFrame:
    """Votes as in fer2013new.csv, where images that FER+ removed have no name."""
    votes = np.random.default_rng(0).integers(0, 11, (COUNT, len(CATEGORIES)))
    table = pd.DataFrame(votes, columns=list(CATEGORIES))
    table.insert(0, "Usage", faces.usage)
    table.insert(1, "Image name", [f"fer{index:07}.png" for index in range(COUNT - 1)] + [""])
    return table


def test_joins_by_row(faces, table, tmp_path):
    path = tmp_path / "fer2013new.csv"
    table.sample(frac=1, axis=1, random_state=0).to_csv(path, index=False)
    joined = join_votes(faces, path)
    assert tuple(joined.votes.columns) == CATEGORIES
    assert set(joined.votes.dtypes) == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(joined.votes, table[list(CATEGORIES)])
    assert joined.images is faces.images


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.iloc[:-1], "expected votes for 6 faces, found 5"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "found 7"),
        (
            lambda table: table.iloc[::-1],
            r"row 0: expected Usage Training .*, found 'PrivateTest'",
        ),
        (lambda table: table.drop(columns="NF"), "expected one column 'NF'"),
        (
            lambda table: table.rename(columns={"NF": "fear"}),
            "expected one column 'NF'|one column 'fear'",
        ),
        (
            lambda table: table.astype({"fear": str}).replace({"fear": r"^.*$"}, "x", regex=True),
            "row 0: fear: .*'x'",
        ),
        (
            lambda table: table.assign(fear=-1),
            "row 0: fear: expected a number of votes 0..99, found '-1'",
        ),
        (lambda table: table.assign(fear=1.5), "row 0: fear: .*'1.5'"),
        (lambda table: table.assign(fear=None), "row 0: fear: .*''"),
    ],
)
def test_other_votes_are_an_error(faces, table, tmp_path, change, message):
    path = tmp_path / "fer2013new.csv"
    change(table).to_csv(path, index=False)
    with pytest.raises(StudyError, match=message) as caught:
        join_votes(faces, path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff\xfe" * 50, b"a,b\n1,2,3\n1\n", b'Usage,"neutral\n']
)
def test_a_file_without_a_table_is_an_error(faces, tmp_path, content):
    path = tmp_path / "fer2013new.csv"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=r"fer2013new\.csv: expected"):
        join_votes(faces, path)


def test_a_missing_file_is_an_error(faces, tmp_path):
    with pytest.raises(StudyError, match=r"no\.csv: expected FER\+ votes, found no file"):
        join_votes(faces, tmp_path / "no.csv")
