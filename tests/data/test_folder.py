"""Folders of images."""

import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from fer_utils.data.folder import looks_like_folder_source, read_folder
from fer_utils.data.sources import read
from fer_utils.emotions import EMOTIONS, PRIVATE, PUBLIC, TRAINING
from fer_utils.errors import StudyError


def shade(emotion: str, index: int) -> int:
    """The grey of a test image, different for each."""
    return EMOTIONS.index(emotion) * 30 + index


def put(root, name: str, value: int, size=(48, 48), mode="L") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


@pytest.fixture
def kaggle(tmp_path):
    """The layout of msambare/fer2013: two images per split and emotion."""
    for emotion in EMOTIONS:
        for index in (0, 1):
            put(tmp_path, f"train/{emotion}/Training_{index}.png", shade(emotion, index))
            put(tmp_path, f"test/{emotion}/PublicTest_{index}.png", shade(emotion, 10 + index))
            put(tmp_path, f"test/{emotion}/PrivateTest_{index}.png", shade(emotion, 20 + index))
    return tmp_path


@pytest.fixture
def plain(tmp_path):
    """File names without a split, with three test images of each emotion."""
    for emotion in EMOTIONS:
        put(tmp_path, f"train/{emotion}/a.png", shade(emotion, 0))
        for index in range(3):
            put(tmp_path, f"test/{emotion}/im{index}.png", shade(emotion, 10 + index))
    return tmp_path


def test_reads_kaggles_layout(kaggle):
    faces = read_folder(kaggle)
    expected = [
        (usage, number, shade(emotion, start + index))
        for usage, start in ((TRAINING, 0), (PUBLIC, 10), (PRIVATE, 20))
        for number, emotion in enumerate(EMOTIONS)
        for index in (0, 1)
    ]
    found = zip(
        faces.usage.tolist(), faces.emotion.tolist(), faces.images[:, 7, 7].tolist(), strict=True
    )
    assert list(found) == expected
    assert (faces.images == faces.images[:, :1, :1]).all()
    assert faces.row.tolist() == list(range(42))
    assert faces.source == "folder"
    assert faces.notices == ()


def test_hidden_files_are_ignored(kaggle):
    expected = read_folder(kaggle)
    for name in (".DS_Store", "train/.DS_Store", "train/happy/.DS_Store", "test/sad/._im.png"):
        (kaggle / name).write_bytes(b"\x00\x05\x16\x07")
    np.testing.assert_array_equal(read_folder(kaggle).images, expected.images)


@pytest.mark.parametrize("usage", [PUBLIC, PRIVATE])
def test_the_user_gives_the_split_of_test(plain, usage):
    faces = read_folder(plain, test_usage=usage)
    assert faces.usage.tolist() == [TRAINING] * 7 + [usage] * 21
    assert faces.notices == ()


def test_split_alternates_within_an_emotion(plain):
    faces = read_folder(plain, test_usage="split")
    for number, emotion in enumerate(EMOTIONS):
        shades = {
            usage: faces.images[(faces.usage == usage) & (faces.emotion == number), 0, 0].tolist()
            for usage in (PUBLIC, PRIVATE)
        }
        assert shades == {
            PUBLIC: [shade(emotion, 10), shade(emotion, 12)],
            PRIVATE: [shade(emotion, 11)],
        }
    (notice,) = faces.notices
    assert PUBLIC in notice and PRIVATE in notice and "test/" in notice


def test_a_missing_part_gives_a_notice(plain):
    for file in (plain / "test").rglob("*.png"):
        file.unlink()
    notices = read("folder", plain).notices
    assert any(notice.startswith("PublicTest has 0 images") for notice in notices)


@pytest.mark.parametrize(
    ("mode", "colour", "grey", "notice"),
    [
        ("RGB", (200, 200, 200), 200, False),
        ("RGB", (255, 0, 0), 76, True),  # 0.299 of 255
        ("RGBA", (0, 255, 0, 255), 150, True),  # 0.587 of 255
        ("LA", (77, 255), 77, False),
        ("LA", (77, 0), 255, False),  # transparent pixels become white
        ("P", 1, 1, False),
        ("1", 1, 255, False),
        ("I;16", 0xABCD, 0xAB, False),
    ],
)
def test_reads_every_mode_and_gives_a_notice_of_colour(kaggle, mode, colour, grey, notice):
    image = Image.new(mode, (48, 48), colour)
    if mode == "P":
        image.putpalette([level for level in range(256) for _ in range(3)])
    image.save(kaggle / "train" / "happy" / "Training_2.png")
    faces = read_folder(kaggle)
    assert faces.usage[8] == TRAINING and faces.emotion[8] == EMOTIONS.index("happy")
    assert (faces.images[8] == grey).all()
    assert faces.notices == (("Converted to grey: 1 of 43 images.",) if notice else ())


def test_one_coloured_pixel_is_colour(kaggle):
    image = Image.new("RGB", (48, 48), (9, 9, 9))
    image.putpixel((47, 47), (9, 9, 10))
    image.save(kaggle / "train" / "happy" / "Training_2.png")
    assert read_folder(kaggle).notices == ("Converted to grey: 1 of 43 images.",)


def test_grey_of_equal_channels_is_exact():
    """Images are read as RGB, which must not change any level of grey."""
    levels = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    np.testing.assert_array_equal(levels.convert("RGB").convert("L"), levels)


@pytest.mark.parametrize("form", ["png", "jpg", "bmp", "webp", "tiff", "pgm"])
def test_grey_images_are_those_of_pillow(kaggle, form):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    pixels.flat[:256] = np.arange(256)
    file = kaggle / "train" / "happy" / f"Training_2.{form}"
    Image.fromarray(pixels).save(file)
    faces = read_folder(kaggle)
    with Image.open(file) as image:
        np.testing.assert_array_equal(faces.images[8], image.convert("L"))
    if form not in ("jpg", "webp"):
        np.testing.assert_array_equal(faces.images[8], pixels)
        assert faces.notices == ()


def test_images_are_rotated_upright(kaggle):
    pixels = np.arange(48 * 48).reshape(48, 48).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotate by 90 degrees clockwise
    Image.fromarray(pixels).save(kaggle / "train" / "happy" / "Training_2.png", exif=exif)
    np.testing.assert_array_equal(read_folder(kaggle).images[8], np.rot90(pixels, -1))


def test_resizes_on_request_only(kaggle):
    put(kaggle, "train/happy/Training_2.png", 77, size=(64, 50))
    with pytest.raises(
        StudyError, match=r"Training_2\.png: expected .* 48x48 pixels, found 64x50\. .*--resize"
    ):
        read_folder(kaggle)
    faces = read_folder(kaggle, resize=True)
    assert (faces.images[8] == 77).all()
    assert faces.notices == ("Resized to 48x48 pixels: 1 of 43 images.",)


def fails(match: str, folder, **options) -> None:
    with pytest.raises(StudyError, match=match):
        read_folder(folder, **options)


def test_test_images_of_unknown_split_are_an_error(plain):
    fails(r"test: expected file names .* found im0\.png\. .* test/ with --test-usage", plain)
    message = r"--test-usage: expected one of PublicTest, PrivateTest, split, found 'public'"
    fails(message, plain, test_usage="public")


def test_two_sources_of_the_split_are_an_error(kaggle, tmp_path):
    fails("expected no --test-usage, .* found split", kaggle, test_usage="split")
    put(tmp_path, "test/sad/other.png", 3)
    fails(r"sad/other\.png: expected a name that begins with", kaggle)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("train/calm/a.png", "train/calm: .* named after an emotion .*, found the name 'calm'"),
        ("test/7/a.png", r"test/7: .* number of one \(0 to 6\), found the name '7'"),
        ("train/a.png", r"train/a\.png: .* named after an emotion .*, found a file"),
        ("train/contempt/a.png", r"train/contempt: .* found contempt, the eighth .* FER\+"),
        ("train/7_Contempt/a.png", r"train/7_Contempt: .* found contempt, the eighth .* FER\+"),
        ("dev/happy/a.png", "dev: expected .*; found another folder"),
    ],
)
def test_unknown_folders_are_errors(kaggle, name, message):
    put(kaggle, name, 1)
    fails(f"{re.escape(str(kaggle))}/{message}.* Move it away", kaggle)


def test_paths_without_images_are_errors(tmp_path):
    fails("found no folder", tmp_path / "missing")
    (tmp_path / "archive.zip").write_bytes(b"")
    fails("found a file. Unpack it", tmp_path / "archive.zip")
    fails(r"found archive\.zip", tmp_path)
    (tmp_path / "archive.zip").unlink()
    fails("found none", tmp_path)
    (tmp_path / "train" / "happy").mkdir(parents=True)
    fails("found none", tmp_path)
    (tmp_path / "train" / "happy" / "deeper").mkdir()
    fails("deeper: expected an image file", tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_files_that_are_no_image_are_errors(kaggle, suffix):
    file = kaggle / "train" / "happy" / f"Training_2.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)).save(file)
    whole = file.read_bytes()
    assert len(read_folder(kaggle)) == 43
    for content in (b"", b"text", whole[:20], whole[: len(whole) // 2], whole[2:]):
        file.write_bytes(content)
        fails(rf"happy/Training_2\.{suffix}: expected an? .*image", kaggle)


def test_formats_that_run_programs_are_errors(kaggle):
    Image.new("L", (48, 48)).save(kaggle / "train" / "happy" / "Training_2.eps")
    fails(r"Training_2\.eps: expected an image .*, found PostScript", kaggle)


def test_progress_is_optional(kaggle, capsys):
    read_folder(kaggle)
    assert capsys.readouterr().err == ""
    read_folder(kaggle, progress=True)
    assert "42/42" in capsys.readouterr().err


# Names of folders


def assert_same(faces, expected) -> None:
    np.testing.assert_array_equal(faces.images, expected.images)
    assert faces.usage.tolist() == expected.usage.tolist()
    assert faces.emotion.tolist() == expected.emotion.tolist()


NAMES = {  # as in Kaggle's data sets
    "capitals": ["Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral"],
    "nouns": ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"],
    "adjectives": ["angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral"],
    "others": ["ANGER", "Disgusted", "afraid", "joy", "SAD", "suprise", "Neutrality"],
    "numbered": ["0_angry", "1-disgust", "3 fear", "4.happy", "06_Sad", "5surprise", "2 - neutral"],
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_reads_emotions_by_any_name(kaggle, names):
    expected = read_folder(kaggle)
    for part in ("train", "test"):
        for emotion, name in zip(EMOTIONS, names, strict=True):
            (kaggle / part / emotion).rename(kaggle / part / "between")
            (kaggle / part / "between").rename(kaggle / part / name)
    faces = read_folder(kaggle)
    assert_same(faces, expected)
    assert faces.notices == ()


def test_reads_emotions_by_number_with_a_notice(kaggle):
    expected = read_folder(kaggle)
    for part in ("train", "test"):
        for number, emotion in enumerate(EMOTIONS):
            (kaggle / part / emotion).rename(kaggle / part / str(number))
    faces = read_folder(kaggle)
    assert_same(faces, expected)
    (notice,) = faces.notices
    assert "0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral" in notice


def test_one_emotion_twice_is_an_error(kaggle):
    put(kaggle, "test/Anger/PublicTest_7.png", 1)
    fails("test: expected one folder for angry, found Anger and angry", kaggle)
    shutil.rmtree(kaggle / "test" / "Anger")
    put(kaggle, "test/5/PublicTest_7.png", 1)
    fails("test: expected one folder for surprise, found 5 and surprise", kaggle)


@pytest.mark.parametrize("names", [("Training", "Testing"), ("TRAIN", "val"), ("Train", "Valid")])
def test_reads_parts_by_any_name(kaggle, names):
    train, test = names
    expected = read_folder(kaggle)
    (kaggle / "train").rename(kaggle / "between")
    (kaggle / "between").rename(kaggle / train)
    (kaggle / "test").rename(kaggle / test)
    faces = read_folder(kaggle)
    assert_same(faces, expected)
    assert faces.notices == ()


def test_validation_without_test_is_the_test_part(plain):
    expected = read_folder(plain, test_usage="split")
    (plain / "test").rename(plain / "validation")
    fails("validation: expected file names .* validation/ with --test-usage", plain)
    faces = read_folder(plain, test_usage="split")
    assert_same(faces, expected)
    assert any("validation/" in notice for notice in faces.notices)
    assert set(read_folder(plain, test_usage=PRIVATE).usage) == {TRAINING, PRIVATE}
    (plain / "test" / "happy").mkdir(parents=True)  # a part without images does not count
    assert_same(read_folder(plain, test_usage="split"), expected)


@pytest.mark.parametrize("names", [("validation", "test"), ("Val", "Testing")])
def test_validation_and_test_are_publictest_and_privatetest(plain, names):
    validation, test = names
    if test != "test":
        (plain / "test").rename(plain / test)
    for emotion in EMOTIONS:
        put(plain, f"{validation}/{emotion}/a.png", shade(emotion, 20))
    faces = read_folder(plain)
    for usage, expected in ((TRAINING, [0]), (PUBLIC, [20]), (PRIVATE, [10, 11, 12])):
        for number, emotion in enumerate(EMOTIONS):
            chosen = (faces.usage == usage) & (faces.emotion == number)
            assert faces.images[chosen, 0, 0].tolist() == [shade(emotion, one) for one in expected]
    assert faces.notices == (f"{validation}/ was read as PublicTest and {test}/ as PrivateTest.",)
    fails("expected no --test-usage, .* found PublicTest", plain, test_usage=PUBLIC)


@pytest.mark.parametrize("names", [("PublicTest", "PrivateTest"), ("public_test", "Private Test")])
def test_reads_parts_named_after_splits(kaggle, names):
    expected = read_folder(kaggle)
    for usage, name in zip((PUBLIC, PRIVATE), names, strict=True):
        for file in sorted((kaggle / "test").glob(f"*/{usage}_*")):
            (kaggle / name / file.parent.name).mkdir(parents=True, exist_ok=True)
            file.rename(kaggle / name / file.parent.name / file.name)
    faces = read_folder(kaggle)
    assert_same(faces, expected)
    assert faces.notices == ()
    fails("expected no --test-usage, .* found split", kaggle, test_usage="split")
    put(kaggle, "test/happy/PublicTest_9.png", 1)
    fails(f"found test/ and {names[0]}/ and {names[1]}/", kaggle)


def test_one_part_twice_is_an_error(kaggle):
    put(kaggle, "Training/happy/a.png", 1)
    fails("expected one folder for Training, found Training and train", kaggle)
    shutil.rmtree(kaggle / "Training")
    put(kaggle, "val/happy/a.png", 1)
    put(kaggle, "valid/happy/a.png", 1)
    fails("expected one folder for validation, found val and valid", kaggle)


def test_file_names_of_another_split_give_a_notice(kaggle):
    (kaggle / "test/sad/PrivateTest_1.png").rename(kaggle / "train/sad/PrivateTest_1.png")
    faces = read_folder(kaggle)
    assert (faces.usage == TRAINING).sum() == 15
    (notice,) = faces.notices
    assert "1 of 42 files" in notice


def test_emotions_without_parts_are_an_error(kaggle):
    fails(f"train: .* found emotions without .* the folder above, {kaggle}", kaggle / "train")
    (kaggle / "train").rename(kaggle / "faces")
    fails("found emotions .* angry, .* to train/", kaggle / "faces")


@pytest.mark.parametrize("above", ["archive", "images", "fer2013/images", "a/b/c/d"])
def test_finds_parts_below_single_folders(kaggle, above):
    expected = read_folder(kaggle)
    for name in ("train", "test"):
        (kaggle / "new" / above).mkdir(parents=True, exist_ok=True)
        (kaggle / name).rename(kaggle / "new" / above / name)
    (kaggle / "new" / ".DS_Store").write_bytes(b"")
    (kaggle / "new" / "__MACOSX").mkdir()
    assert looks_like_folder_source(kaggle / "new")
    assert_same(read_folder(kaggle / "new"), expected)
    # With another file beside it, the folder is not entered.
    put(kaggle, "new/other.png", 1)
    assert not looks_like_folder_source(kaggle / "new")
    fails(rf"{kaggle}/new: expected images in .*; found .*other\.png", kaggle / "new")


def test_finds_parts_a_few_levels_down_only(kaggle):
    (kaggle / "a/b/c/d/e").mkdir(parents=True)
    (kaggle / "train").rename(kaggle / "a/b/c/d/e/train")
    assert looks_like_folder_source(kaggle / "a")
    shutil.rmtree(kaggle / "test")
    assert not looks_like_folder_source(kaggle)
    fails("a/b/c/d: expected images in .*; found e", kaggle)


def test_a_second_copy_of_all_parts_is_ignored(kaggle):
    """Kaggle's jonathanoheix/face-expression-recognition-dataset has one."""
    expected = read_folder(kaggle)
    for part in ("train", "test"):
        shutil.copytree(kaggle / part, kaggle / "images" / part)
    faces = read_folder(kaggle)
    assert_same(faces, expected)
    (notice,) = faces.notices
    assert notice.startswith("images/ was ignored")
    (kaggle / "images" / "train" / "sad" / "Training_0.png").unlink()
    fails(f"images: expected .* once; found it again, .* {kaggle}/images", kaggle)
    assert len(read_folder(kaggle / "images")) == 41


def test_recognises_folders_of_images(kaggle, tmp_path):
    assert looks_like_folder_source(kaggle)
    for path in (
        kaggle / "missing",
        kaggle / "train",  # emotions without a part
        kaggle / "train" / "happy",
        kaggle / "train" / "happy" / "Training_0.png",
        tmp_path / ("a" * 5000),  # longer than the system allows
        tmp_path / "a\0b",
    ):
        assert not looks_like_folder_source(path)
    other = tmp_path / "other"
    put(other, "train/a.png", 1)
    assert not looks_like_folder_source(other)
    (other / "loop").symlink_to(other, target_is_directory=True)
    assert not looks_like_folder_source(other)
    (other / "VAL" / "x").mkdir(parents=True)
    assert looks_like_folder_source(other)


@pytest.mark.parametrize("name", [os.fsdecode(b"\xff\xfeb\xfccher"), "faces [a-z]*", "Gesichter ü"])
def test_reads_folders_and_files_with_unusual_names(kaggle, tmp_path, capsys, name):
    for file in sorted(kaggle.rglob("*.png")):
        file.rename(file.parent / f"{file.stem}{name}.png")
    expected = read_folder(kaggle)
    root = tmp_path / name
    root.mkdir()
    for part in ("train", "test"):
        (kaggle / part).rename(root / part)
    assert looks_like_folder_source(root)
    assert_same(read_folder(root, progress=True), expected)
    assert "42/42" in capsys.readouterr().err
