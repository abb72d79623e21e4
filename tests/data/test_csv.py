"""Kaggle's CSV: the fast reader accepts and returns the same as a plain slow parser."""

import csv
import gzip
import io
import os
import re
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fer_utils.data.csv import _numbers, read_csv
from fer_utils.data.packing import CONTEST, find
from fer_utils.data.sources import read
from fer_utils.emotions import CANONICAL_COUNTS, EMOTIONS, USAGES
from fer_utils.errors import StudyError

ROWS = 30  # two blocks of the fast reader, and a part of a third


def make_rows(count: int = ROWS, seed: int = 0) -> list[tuple[str, str, str]]:
    """Emotion, pixels and split of each row, as text."""
    rng = np.random.default_rng(seed)
    return [
        (str(index % 7), " ".join(map(str, rng.integers(0, 256, 2304))), USAGES[index % 3])
        for index in range(count)
    ]


def make_csv(rows: list[tuple[str, str, str]], end: str = "\n") -> bytes:
    return "".join(",".join(row) + end for row in [("emotion", "pixels", "Usage"), *rows]).encode()


ROWS_HERE = make_rows()
GOOD = make_csv(ROWS_HERE)


@pytest.fixture
def write(tmp_path):
    """Write bytes to a file in the test's folder."""

    def write(content: bytes, name: str = "fer2013.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def assert_reads_good(path: Path) -> None:
    faces = read_csv(path)
    expected = np.array(
        [[int(one) for one in pixels.split()] for _, pixels, _ in ROWS_HERE]
    ).reshape(-1, 48, 48)
    assert faces.images.dtype == np.uint8
    np.testing.assert_array_equal(faces.images, expected)
    assert faces.emotion.tolist() == [int(emotion) for emotion, _, _ in ROWS_HERE]
    assert faces.usage.tolist() == [usage for _, _, usage in ROWS_HERE]
    assert faces.row.tolist() == list(range(ROWS))
    assert faces.source == "csv"


def quoted(content: bytes) -> bytes:
    return re.sub(rb",([0-9 ]+),", rb',"\1",', content)


def icml(content: bytes) -> bytes:
    """The variant icml_face_data.csv."""
    lines = [line.split(b",") for line in content.splitlines()[1:]]
    return b"emotion, Usage, pixels\n" + b"".join(b",".join((e, u, p)) + b"\n" for e, p, u in lines)


@pytest.mark.parametrize(
    "variant",
    [
        GOOD,
        GOOD.removesuffix(b"\n"),
        GOOD + b"\n\r\n  \n",
        b"\xef\xbb\xbf" + GOOD,
        make_csv(ROWS_HERE, "\r\n"),
        quoted(GOOD),
        icml(GOOD),
        icml(GOOD).replace(b",T", b", T").replace(b"\n", b" \n"),
        icml(GOOD).replace(b"emotion, Usage, pixels", b'"emotion","Usage", "pixels"'),
        b"\xef\xbb\xbf" + GOOD.replace(b"emotion,pixels,Usage", b'"Emotion","Pixels","usage"'),
        b"".join(b"x,\xc3\xa4," + line + b"\n" for line in GOOD.splitlines()).replace(
            b"x,\xc3\xa4", b"a,b", 1
        ),
        b"".join(b'"a,""b""",' + line + b"\n" for line in GOOD.splitlines()),
        GOOD.replace(b" 7 ", b" 007 ").replace(b" 80 ", b"  080\t"),
    ],
    ids=[
        "plain",
        "no end",
        "blank end",
        "bom",
        "crlf",
        "quoted",
        "icml",
        "blanks",
        "quoted header",
        "bom and quoted header",
        "more columns",
        "quoted commas",
        "zeros",
    ],
)
def test_reads_variants_of_the_text(write, variant):
    assert_reads_good(write(variant))


def tar(mode: str, members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


KAGGLE = {
    "._fer2013": b"\x00\x05\x16\x07",
    "fer2013/._fer2013.csv": b"\x00\x05\x16\x07",
    "fer2013/fer2013.csv": GOOD,
    "fer2013/README": b"about",
}
OTHERS = {"train.csv": b"emotion,pixels\n", "icml_face_data.csv": GOOD, "test.csv": b"pixels\n"}
PACKED = {
    "fer2013.csv.gz": gzip.compress(GOOD),
    "fer2013.CSV.GZ": gzip.compress(GOOD),
    "fer2013.tar.gz": tar("w:gz", KAGGLE),
    "fer2013.tgz": tar("w:gz", KAGGLE),
    "fer2013.tar": tar("w", KAGGLE),
    "fer2013.zip": zipped(KAGGLE),
    "all.zip": zipped(OTHERS),
    f"{CONTEST}.zip": zipped({"example_submission.csv": b"Id\n", "fer2013.tar.gz": b"", **OTHERS}),
    f"{CONTEST}.tar.gz": tar("w:gz", OTHERS),
    "icml_face_data.csv.zip": zipped({"icml_face_data.csv": GOOD}),
    "archive.zip": zipped({"fer2013.csv": GOOD, "fer2013new.csv": b"Usage\n"}),
    "mine.zip": zipped({"faces.csv": GOOD}),
}


@pytest.mark.parametrize("name", PACKED)
def test_reads_each_packing(write, name):
    assert_reads_good(write(PACKED[name], name))


@pytest.mark.parametrize(
    "name", ["fer2013.csv", "icml_face_data.csv", "fer2013.tar.gz", "FER2013.zip"]
)
def test_finds_the_file_in_a_folder(write, name):
    content = PACKED.get(name.lower(), GOOD)
    write(b"Usage,Image name\n", "fer2013new.csv")
    assert_reads_good(write(content, name).parent)


FINDS = [  # the file that is found, and other files in the folder
    (f"{CONTEST}.zip", "train.csv", "test.csv", "example_submission.csv"),
    (f"{CONTEST}.tar.gz", "archive.zip"),
    ("icml_face_data.csv.zip", "fer2013 (1).csv"),
    ("fer2013.csv.gz", "fer2013 (1).csv.gz", "archive.zip", "mine.csv"),
    ("archive.zip", "fer2013new.csv", "other.csv"),
    ("archive (2).zip",),
    ("fer2013 (1).csv", "mine.csv"),
    ("fer2013(1).csv.gz",),
    ("FER2013-1.CSV",),
    ("icml_face_data 2.csv",),
    ("fer2013 - Copy (2).csv",),
    ("fer2013 copy.csv",),
    ("mine.tgz", "notes.txt", "._fer2013.csv", ".fer2013.csv"),
    ("faces [48x48].csv", "fer2013new (1).csv"),
    (os.fsdecode(b"gesichter-\xfc.csv"), "README"),
]


@pytest.mark.parametrize("names", FINDS, ids=lambda names: ascii(names[0]))
def test_finds_the_file_with_the_best_name(write, tmp_path, names):
    (tmp_path / "fer2013.csv").mkdir()  # a folder of this name is no candidate
    for name in names:
        write(b"", name)
    assert find(tmp_path) == tmp_path / names[0]


@pytest.mark.parametrize("name", ["fer[2013]*?.csv", os.fsdecode(b"\xff\xfe.csv.gz")])
def test_reads_files_with_unusual_names(write, capsys, name):
    content = gzip.compress(GOOD) if name.endswith(".gz") else GOOD
    assert_reads_good(write(content, name))
    assert len(read_csv(write(content, name), progress=True)) == ROWS
    assert "100%" in capsys.readouterr().err


def fails(path: Path, *parts: str) -> None:
    """Assert that reading raises an error of one line with all `parts` in this order."""
    with pytest.raises(StudyError) as caught:
        read_csv(path)
    message = str(caught.value)
    assert "\n" not in message
    rest = message
    for part in parts:
        assert part in rest, message
        rest = rest.partition(part)[2]


def test_a_folder_without_the_file_or_with_two_is_an_error(write, tmp_path):
    fails(tmp_path, str(tmp_path), "found none", "--path")
    write(GOOD)
    write(GOOD, "fer2013.tar.gz")
    fails(tmp_path, "expected one file", "found fer2013.csv, fer2013.tar.gz", "--path")


def test_the_error_lists_the_entries_of_a_folder_without_the_file(write, tmp_path):
    write(b"", "notes.txt")
    write(b"", "fer2013new.csv")
    (tmp_path / "images").mkdir()
    fails(tmp_path, "such as fer2013.csv", "found fer2013new.csv, images, notes.txt.", "folder")
    write(b"", "a.csv")
    write(b"", "b.zip")
    fails(tmp_path, "expected one file", "found a.csv, b.zip")


def test_a_missing_file_and_an_unknown_ending_are_errors(write, tmp_path):
    fails(tmp_path / "no.csv", "no.csv: expected a file, found nothing there")
    fails(write(GOOD, "faces.parquet"), "faces.parquet", ".csv.gz")


def change(row: int, **changed: str) -> bytes:
    """The valid file with other fields in one row."""
    rows = [dict(zip(("emotion", "pixels", "usage"), one, strict=True)) for one in ROWS_HERE]
    rows[row] |= changed
    return make_csv([tuple(one.values()) for one in rows])


def pixel(text: str, index: int = 5) -> str:
    pixels = ROWS_HERE[17][1].split()
    pixels[index] = text
    return " ".join(pixels)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pixels": pixel("")}, "expected 2,304 pixels, found 2,303"),
        ({"pixels": pixel("1 2")}, "expected 2,304 pixels, found 2,305"),
        ({"pixels": ""}, "expected 2,304 pixels, found 0"),
        ({"pixels": pixel("256")}, "pixel 5: expected a whole number 0..255, found '256'"),
        ({"pixels": pixel("299", 2303)}, "pixel 2303: expected a whole number 0..255, found '299'"),
        ({"pixels": pixel("300", 0)}, "pixel 0: expected a whole number 0..255, found '300'"),
        ({"pixels": pixel("999")}, "found '999'"),
        ({"pixels": pixel("1000")}, "found '1000'"),
        ({"pixels": pixel("9" * 5000)}, "found '999"),
        ({"pixels": pixel("-1")}, "found '-1'"),
        ({"pixels": pixel("+1")}, "found '+1'"),
        ({"pixels": pixel("1.0")}, "found '1.0'"),
        ({"pixels": pixel("1_0")}, "found '1_0'"),
        ({"pixels": pixel("0x1")}, "found '0x1'"),
        ({"pixels": pixel("1e1")}, "found '1e1'"),
        ({"pixels": pixel("nan")}, "found 'nan'"),
        ({"pixels": pixel("٣")}, "found '٣'"),
        ({"pixels": pixel("1\x002")}, "pixel 5"),
        ({"emotion": "7"}, "emotion: expected a whole number 0..6, found '7'"),
        ({"emotion": "-1"}, "emotion: expected a whole number 0..6, found '-1'"),
        ({"emotion": "1.0"}, "found '1.0'"),
        ({"emotion": ""}, "found ''"),
        ({"emotion": "happy"}, "found 'happy'"),
        (
            {"usage": "training"},
            "Usage: expected one of Training, PublicTest, PrivateTest, found 'training'",
        ),
        ({"usage": ""}, "Usage: expected"),
        ({"usage": "Training,"}, "expected 3 fields, found 4"),
        ({"usage": 'Training"'}, "Usage: expected"),
        ({"usage": '"Training'}, "unexpected end of data"),
    ],
)
def test_an_error_has_row_line_and_expected_value(write, fields, message):
    path = write(change(17, **fields))
    fails(path, f"{path}: row 17 (line 19): ", message)


def test_each_row_has_its_own_number_of_pixels(write):
    rows = [list(row) for row in ROWS_HERE]
    rows[3][1] += " 5"
    rows[4][1] = rows[4][1].partition(" ")[2]
    fails(
        write(make_csv([tuple(row) for row in rows])),
        "row 3 (line 5): expected 2,304 pixels, found 2,305",
    )


def test_an_error_is_about_the_first_invalid_row(write):
    rows = [list(row) for row in ROWS_HERE]
    rows[14][2] = "Test"
    rows[16][0] = "9"
    rows[2][1] = "1 2"
    fails(write(make_csv([tuple(row) for row in rows])), "row 2 (line 4)")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found an empty file"),
        (b"\n\n", "found an empty file"),
        (GOOD.splitlines()[0], "found a header only"),
        (b"emotion,pixels,Usage\n0,,Training\n", "row 0 (line 2): expected 2,304 pixels, found 0"),
        (GOOD.partition(b"\n")[2], "line 1: expected one column 'emotion'"),
        (GOOD.replace(b",Usage", b"", 1), "line 1: expected a column 'Usage'"),
        (GOOD.replace(b"pixels,Usage", b"Usage,Usage", 1), "line 1: expected one column 'pixels'"),
        (GOOD.replace(b",", b";"), "separated by commas, found semicolons"),
        (GOOD.replace(b",", b"\t"), "separated by commas, found tabs"),
        (b'"emotion";"pixels";"Usage"\n', "separated by commas, found semicolons"),
        (GOOD.replace(b"pixels", b"emotion", 1), "line 1: expected one column 'emotion'"),
        (GOOD.replace(b"\n2,", b"\n\n2,", 1), "line 4: expected a row, found a blank line"),
        (GOOD[:-2000], f"row {ROWS - 1} (line {ROWS + 1}): expected 3 fields, found 2"),
        (GOOD[:-5], f"row {ROWS - 1} (line {ROWS + 1}): Usage: expected"),
        (bytes(range(256)) * 40, "line 1: expected"),
        (b"\x00" * (3 << 20), "without a line end"),
        (
            GOOD.replace(b"\nT", b"\n\xff\xfe", 1).replace(b"3,", b"\xff,", 1),
            "expected a row of a CSV in UTF-8",
        ),
        (GOOD.decode().encode("utf-16"), "line 1: expected a row of a CSV in UTF-8, found UTF-16"),
        (b"\xfe\xff" + GOOD.decode().encode("utf-16-be"), "found UTF-16"),
        (gzip.compress(GOOD), "line 1"),
    ],
)
def test_broken_text_is_an_error(write, content, message):
    fails(write(content), message)


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]


@pytest.mark.parametrize("name", ["fer2013.csv.gz", "fer2013.tar.gz", "fer2013.tar", "fer2013.zip"])
def test_broken_packings_are_errors(write, name):
    whole = PACKED[name]
    kind = name.removeprefix("fer2013")
    fails(write(whole[: len(whole) // 2], name), name, f"expected a complete {kind} file")
    fails(write(b"", name), name, "expected")
    fails(write(b"no archive at all" * 100, name), name, f"expected a complete {kind} file")


@pytest.mark.parametrize("name", ["fer2013.csv.gz", "fer2013.tar.gz"])
def test_a_wrong_checksum_of_gzip_is_an_error(write, name):
    fails(write(flip(PACKED[name], -6), name), name, "CRC")


def test_a_wrong_checksum_of_zip_is_an_error(write):
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("fer2013.csv", GOOD)
    content = stored.getvalue()
    at = content.index(b"emotion,pixels,Usage") + 24
    digit = b"1" if content[at : at + 1] != b"1" else b"2"
    fails(write(content[:at] + digit + content[at + 1 :], "fer2013.zip"), "fer2013.zip", "CRC")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.csv": GOOD, "b.csv": GOOD}, "found a.csv, b.csv"),
        (
            {"x/fer2013.csv": GOOD, "icml_face_data.csv": GOOD},
            "found x/fer2013.csv, icml_face_data.csv",
        ),
        ({"README": b"nothing"}, "found no CSV"),
        ({"x/fer2013.tar.gz": b""}, "found no CSV. Unpack it and choose x/fer2013.tar.gz"),
        ({"x/train/sad/1.jpg": b""}, "found no CSV. It contains images in folders."),
    ],
)
def test_archives_without_one_csv_are_errors(write, members, message):
    fails(write(zipped(members), "fer2013.zip"), message)
    fails(write(tar("w:gz", members), "fer2013.tar.gz"), message)


TRAIN = GOOD.splitlines()[1].rpartition(b",")[0].join([b"emotion,pixels\n", b"\n"])
TEST = b"pixels\n" + TRAIN.splitlines()[1].partition(b",")[2] + b"\n"


def refuses_without_usage(path: Path, *parts: str) -> None:
    fails(path, *parts)
    with pytest.raises(StudyError) as caught:
        read_csv(path)
    assert "header" not in str(caught.value)


@pytest.mark.parametrize(("name", "content"), [("train.csv", TRAIN), ("test.csv", TEST)])
def test_the_error_names_files_with_usage(write, tmp_path, name, content):
    path = write(content, name)
    for one in (path, tmp_path):  # the only table in a folder is read
        refuses_without_usage(
            one,
            f"{path}: line 1: expected a column 'Usage'",
            "icml_face_data.csv or fer2013.tar.gz",
            CONTEST,
        )
    write(b"", "fer2013.tar.gz")
    refuses_without_usage(path, str(tmp_path / "fer2013.tar.gz"))


@pytest.mark.parametrize("pack", [zipped, lambda members: tar("w:gz", members)])
def test_the_error_names_files_with_usage_for_archives(write, tmp_path, pack):
    name = "all.zip" if pack is zipped else "all.tar.gz"
    contest = {"train.csv": TRAIN, "test.csv": TEST, "example_submission.csv": b"Id\n"}
    for members in ({"train.csv": TRAIN}, contest):
        path = write(pack(members), name)
        refuses_without_usage(path, f"{path}: ", "Usage", "icml_face_data.csv or fer2013.tar.gz")
        path = write(pack(members | {"x/fer2013.tar.gz": b""}), name)
        refuses_without_usage(path, f"{path}: ", f"Unpack {name} and choose x/fer2013.tar.gz")
    # The file itself is no advice.
    fails(write(pack({"fer2013.csv": TRAIN}), name), "of the same download")


def test_the_error_names_files_with_usage_for_folders(write, tmp_path):
    write(TRAIN, "train.csv")
    write(TEST, "test.csv")
    parts = (f"{tmp_path}: ", "found test.csv, train.csv, which", "icml_face_data.csv or")
    refuses_without_usage(tmp_path, *parts)


def test_notices_have_differences_from_the_contest(write):
    notices = read("csv", write(GOOD)).notices
    assert len(notices) == 3
    assert notices[0].startswith("Training has 10 images") and "28,709" in notices[0]


def test_progress_is_optional(write, capsys):
    path = write(gzip.compress(GOOD), "fer2013.csv.gz")
    read_csv(path)
    assert capsys.readouterr().err == ""
    read_csv(path, progress=True)
    assert "fer2013.csv.gz: 100%" in capsys.readouterr().err


def test_the_fast_reader_converts_every_number():
    """Each number 0 to 255 occurs beside each other number. Numbers from 256 are not accepted."""
    pairs = [number for one in range(256) for other in range(256) for number in (one, other)]
    pixels = np.resize(pairs, (57, 2304))
    texts = [" ".join(map(str, row)).encode() for row in pixels]
    np.testing.assert_array_equal(_numbers(texts).reshape(pixels.shape), pixels)
    for number in range(256, 10_001):
        assert _numbers([b"0 " * 2303 + str(number).encode()]) is None


# A plain slow parser of the same grammar, which shares no code with the reader.


def slow_parse(content: bytes) -> tuple[list[list[int]], list[int], list[str]]:
    """Pixels, emotions and splits. Raises ValueError for anything invalid."""
    text = content.decode("utf-8-sig")
    lines = [line.rstrip("\r") for line in text.split("\n")]
    while lines and not lines[-1].strip(" \t\r\v\f"):
        lines.pop()
    table = []
    for line in lines:
        if not line.strip(" \t\r\v\f"):
            raise ValueError("blank line")
        # The csv module reads only lines with quotes, because it refuses a lone carriage return,
        # which is a blank here.
        table.append(next(csv.reader([line], strict=True)) if '"' in line else line.split(","))
    names = [name.strip().lower() for name in table[0]] if table else []
    names = [re.sub(r'^"(.*)"$', r"\1", name, flags=re.S).strip() for name in names]
    if any(names.count(name) != 1 for name in ("emotion", "pixels", "usage")):
        raise ValueError("header")
    if len(table) == 1:
        raise ValueError("no rows")
    images, emotions, usages = [], [], []
    for row in table[1:]:
        if len(row) != len(names):
            raise ValueError("fields")
        fields = dict(zip(names, row, strict=True))
        tokens = [token for token in re.split(r"[ \t\r\v\f\n]+", fields["pixels"]) if token]
        if not all(re.fullmatch("[0-9]+", token) for token in tokens):
            raise ValueError("pixel")
        pixels = [int(token) for token in tokens]
        emotion, usage = fields["emotion"].strip(" \t\r\v\f"), fields["usage"].strip(" \t\r\v\f")
        if (
            len(pixels) != 2304
            or max(pixels) > 255
            or emotion not in list("0123456")
            or usage not in USAGES
        ):
            raise ValueError("row")
        images.append(pixels)
        emotions.append(int(emotion))
        usages.append(usage)
    return images, emotions, usages


def assert_reads_as_slow_parser(path: Path, content: bytes | None) -> None:
    """`content` is the unpacked content of the file, or None if its packing is broken."""
    try:
        expected = slow_parse(content) if content is not None else None
    except (ValueError, csv.Error):
        expected = None
    if expected is None:
        with pytest.raises(StudyError):
            read_csv(path)
        return
    faces = read_csv(path)
    assert faces.images.reshape(-1, 2304).tolist() == expected[0]
    assert faces.emotion.tolist() == expected[1]
    assert faces.usage.tolist() == expected[2]


# Few rows, so that changes also affect the text between the pixels.
SMALL = make_csv(make_rows(3, seed=1))
SMALL_FORMS = {
    "plain": SMALL,
    "icml": icml(SMALL),
    "quoted": quoted(SMALL),
    "crlf": SMALL.replace(b"\n", b"\r\n"),
}

# A line and an offset from its beginning: anywhere in it, or near its beginning.
places = st.tuples(st.integers(0, 3), st.integers(0, 8500) | st.integers(-14, 14))
snippets = st.one_of(
    st.binary(max_size=6),
    st.sampled_from([",", "\n", "\r", "\r\n", "\n\n", '"', '""', '",', ',"', "\t", "\0"]).map(
        str.encode
    ),
    st.sampled_from(["-", "+", ".", "_", "0", "9", "255", "256", "Training", "Usage"]).map(
        str.encode
    ),
    st.sampled_from(
        [" ", "  ", "0 0", " ,", ", ", "\x1c", "\x0b", "\xa0", "\x85", "\u2028", "\ufeff"]
    ).map(str.encode),
)
# Replacements of one number, which are often still valid.
numbers = st.sampled_from(
    [
        "7",
        "255",
        "007",
        "0255",
        "0000",
        " 9",
        "9\t",
        "9  ",
        "9\r",
        "9\x0b",
        "256",
        "1 2",
        "-0",
        "9\x1c",
        '9"',
        "1000",
    ]
).map(str.encode)
wild = st.tuples(
    st.sampled_from(["delete", "insert", "replace", "repeat", "truncate"]),
    places,
    st.integers(1, 4),
    snippets,
)
mild = st.tuples(
    st.just("number"), st.tuples(st.integers(1, 3), st.integers(20, 8000)), st.just(1), numbers
)
mutations = st.lists(mild, min_size=1, max_size=3) | st.lists(wild, min_size=1, max_size=3)


def mutate(content: bytes, changes: list) -> bytes:
    for kind, (line, offset), length, snippet in changes:
        seams = [0, *(found.end() for found in re.finditer(b"\n", content))]
        at = max(0, seams[line % len(seams)] + offset)
        if kind == "number" and (number := re.compile(rb"\b[0-9]+\b").search(content, at)):
            at, length = number.start(), len(number[0])
        before, cut, after = content[:at], content[at : at + length], content[at + length :]
        content = {
            "delete": before + after,
            "insert": before + snippet + cut + after,
            "replace": before + snippet + after,
            "number": before + snippet + after,
            "repeat": before + cut + cut + after,
            "truncate": before,
        }[kind]
    return content


def gunzip(content: bytes) -> bytes | None:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return None


def check_mutated_text(path: Path, form: str, changes: list) -> None:
    content = mutate(SMALL_FORMS[form], changes)
    path.write_bytes(content)
    assert_reads_as_slow_parser(path, content)


def check_mutated_gzip(path: Path, changes: list) -> None:
    packed = mutate(gzip.compress(SMALL, mtime=0), changes)
    path.write_bytes(packed)
    # An empty file is a valid gzip of nothing to gzip.decompress.
    assert_reads_as_slow_parser(path, gunzip(packed) if packed else None)


def check_mutated_archive(path: Path, whole: bytes, changes: list) -> None:
    path.write_bytes(mutate(whole, changes))
    try:
        faces = read_csv(path)
    except StudyError:
        return
    # tar has no checksum of its members' content.
    if path.suffix != ".tar":
        assert faces.images.reshape(-1, 2304).tolist() == slow_parse(SMALL)[0]


quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
thorough = settings(quick, max_examples=4000)
forms = st.sampled_from(sorted(SMALL_FORMS))
ARCHIVES = {
    "fer2013.zip": zipped({"fer2013.csv": SMALL}),
    "fer2013.tar": tar("w", {"fer2013/fer2013.csv": SMALL}),
    "fer2013.tar.gz": tar("w:gz", {"fer2013/fer2013.csv": SMALL}),
}
archives = st.sampled_from(sorted(ARCHIVES))


@quick
@given(form=forms, changes=mutations)
@example(form="plain", changes=[("insert", (1, 99), 1, b"\r")])
@example(form="quoted", changes=[("insert", (1, 99), 1, b"\r")])
@example(form="plain", changes=[("insert", (1, 99), 1, b"\xc2\xa0")])
def test_mutated_text(tmp_path, form, changes):
    check_mutated_text(tmp_path / "fer2013.csv", form, changes)


@quick
@given(changes=mutations)
def test_mutated_gzip(tmp_path, changes):
    check_mutated_gzip(tmp_path / "fer2013.csv.gz", changes)


@quick
@given(name=archives, changes=mutations)
def test_mutated_archive(tmp_path, name, changes):
    check_mutated_archive(tmp_path / name, ARCHIVES[name], changes)


@pytest.mark.slow
@thorough
@given(form=forms, changes=mutations)
def test_mutated_text_thoroughly(tmp_path, form, changes):
    check_mutated_text(tmp_path / "fer2013.csv", form, changes)


@pytest.mark.slow
@thorough
@given(changes=mutations)
def test_mutated_gzip_thoroughly(tmp_path, changes):
    check_mutated_gzip(tmp_path / "fer2013.csv.gz", changes)


@pytest.mark.slow
@thorough
@given(name=archives, changes=mutations)
def test_mutated_archive_thoroughly(tmp_path, name, changes):
    check_mutated_archive(tmp_path / name, ARCHIVES[name], changes)


@pytest.mark.slow
def test_the_real_file_is_canonical(real_data):
    faces = read("csv", real_data / "fer2013.csv.gz", real_data / "fer2013new.csv")
    counts = faces.counts()
    for usage, expected in CANONICAL_COUNTS.items():
        assert tuple(counts.loc[usage, list(EMOTIONS)]) == expected
    assert faces.deviations() == []
    assert faces.notices == ()
    assert faces.canonical
    assert [int((faces.usage == usage).sum()) for usage in USAGES] == [28709, 3589, 3589]
    assert faces.votes.shape == (35887, 10)
    # Ten annotators per face, as in the paper.
    assert (faces.votes.sum(axis=1) == 10).mean() > 0.99


@pytest.mark.slow
def test_the_real_pixels_are_those_of_a_slow_loop(real_data):
    faces = read("csv", real_data / "fer2013.csv.gz")
    first = 0
    for part in pd.read_csv(real_data / "fer2013.csv.gz", chunksize=4000):
        pixels = np.array([row.split() for row in part["pixels"]], dtype=np.uint8).reshape(
            -1, 48, 48
        )
        chosen = slice(first, first + len(part))
        np.testing.assert_array_equal(faces.images[chosen], pixels)
        np.testing.assert_array_equal(faces.emotion[chosen], part["emotion"])
        assert faces.usage[chosen].tolist() == part["Usage"].tolist()
        first += len(part)
    assert first == len(faces)
