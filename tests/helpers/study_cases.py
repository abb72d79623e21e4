"""Helpers for tests that run `make study`."""

import csv
import json
import re

from budget import BUDGET

from fer_utils.cli import stage as stages

STAGES = list(stages.STAGES)

SMALL = {
    f"{stage}.{name}": value for stage, section in BUDGET.items() for name, value in section.items()
}


def setting(**changes) -> str:
    """Make's SET for the small budget and `changes`. In their names, __ stands for the dot."""
    values = SMALL | {name.replace("__", "."): value for name, value in changes.items()}
    return "SET=" + " ".join(
        f"{name}={json.dumps(value, separators=(',', ':'))}" for name, value in values.items()
    )


def ran(done) -> list[str]:
    """The stages that DVC ran."""
    return re.findall(r"^> fer-study stage (\S+)$", done.stdout, re.M)


def write_csv(path) -> None:
    """Write 420 drawn faces as Kaggle's CSV."""
    from fer_utils.data.sources import read

    faces = read("sample", None, None, count=420)
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["emotion", "pixels", "Usage"])
        for image, emotion, usage in zip(faces.images, faces.emotion, faces.usage, strict=True):
            table.writerow([emotion, " ".join(map(str, image.ravel())), usage])


ODD_NAMES = [
    *("Téléchargements/fer2013.csv", "fer2013 (1).csv", "a,b.csv", "o'neil/fer2013.csv", "x=1.csv"),
    *(
        "my data/fer2013.csv",
        "[1]{2}#3~$HOME.csv",
        'say "hi".csv',
        "back\\slash\\.csv",
        "日本.csv",
        "-S.csv",
        "a\tb.csv",
    ),
]
