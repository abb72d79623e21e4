"""The benchmark of the audits: its larger sets and its report. Times are not tested."""

import re
import subprocess
import sys

import audit
import numpy as np
import pytest

from fer_utils.audits.duplicates import duplicate_groups, redundant_duplicates
from fer_utils.audits.near_duplicates import near_duplicates
from fer_utils.audits.pictures import near_constant


def test_changed_copies_are_other_images_with_the_same_duplicates(faces):
    grown = audit.grown(faces, 16)
    assert len(grown) == 16 * len(faces)
    assert np.array_equal(grown.images[: len(faces)], faces.images)
    # Blank images stay blank. All others are no duplicates of their changed copies.
    clear = faces.select(~near_constant(faces))
    grown = audit.grown(clear, 16)
    assert redundant_duplicates(grown) == 16 * redundant_duplicates(clear)
    groups = duplicate_groups(grown.images).reshape(16, -1)
    assert len(np.unique(groups)) == sum(len(np.unique(group)) for group in groups)
    pairs = near_duplicates(grown)
    own = pairs["i"] % len(clear) == pairs["j"] % len(clear)
    assert own.sum() < 0.02 * len(grown)  # some textures are alike when rotated


def test_more_than_16_sets_are_an_error(faces):
    with pytest.raises(SystemExit, match="expected 1 to 16 times as many, found 17"):
        audit.grown(faces, 17)


def test_the_report_has_ratios_and_exponents():
    first = {
        "images": 100,
        "before_mb": 1,
        "seconds": dict.fromkeys(audit.AUDITS, 2.0),
        "peak_mb": {"leaks": 3},
    }
    later = first | {"images": 1000, "seconds": {"leaks": 20.0, "near-duplicates": 200.0}}
    printed = audit.report([first, later])
    assert re.search(r"^leaks +1,000 +20.00 +10.0 +1.00$", printed, re.MULTILINE)
    assert re.search(r"^near-duplicates +1,000 +200.00 +100.0 +2.00$", printed, re.MULTILINE)
    assert len(re.findall(r"^all pairs ", printed, re.MULTILINE)) == 1


def test_all_audits_are_timed_at_each_size_and_all_pairs_within_its_limit(faces, project, tmp_path):
    faces.save(tmp_path / "faces")
    command = [sys.executable, project / "benchmarks/audit.py", "--faces", tmp_path / "faces"]
    done = subprocess.run(
        [*command, "--sizes", "1", "2", "--limit", "0"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    for name in ("exact duplicates", "leaks", "near-duplicates", "light and sharpness"):
        row = rf"^{name} +(?:210|420) +\d+\.\d\d +\d+\.\d +(?:-|-?\d+\.\d\d)$"
        assert len(re.findall(row, done.stdout, re.M)) == 2, name
    assert len(re.findall(r"^all pairs +210 ", done.stdout, re.MULTILINE)) == 1
    assert "all pairs at 2 times as many" in done.stdout
    memory = r"^420 images: 1 MB of pixels, peak \d+ MB before the audits, \d+ MB with them$"
    assert re.search(memory, done.stdout, re.M)
