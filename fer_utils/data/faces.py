"""The faces that all parts of the study read: images with their emotion, split and row."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.emotions import CANONICAL_COUNTS, EMOTIONS, PRIVATE, PUBLIC, SIDE, TRAINING, USAGES
from fer_utils.errors import StudyError
from fer_utils.storage import Contents, atomic_folder

ABOUT = "about.json"

PREPARED = Contents("prepared faces", "faces.csv", (ABOUT, "images.npy", "votes.csv", "truth.csv"))


@dataclass(frozen=True)
class Faces:
    """Grey faces with their labels.

    Attributes:
        images: uint8 (n, 48, 48), 0 is black.
        emotion: uint8 (n,), index into `EMOTIONS`.
        usage: str (n,), the split, one of `USAGES`.
        row: int64 (n,), zero-based row in the source (for `csv`, of the file without its header).
        source: name of the source, such as "sample" or "csv".
        notices: remarks on these data that reports repeat, one sentence each.
        votes: FER+ votes, one row per face and one column per category of fer2013new.csv, or None.
        truth: for drawn faces, one row per planted fault (see `data.sample`), or None.

    Raises:
        StudyError: lengths differ, or an array has the wrong dtype or shape.
    """

    images: np.ndarray
    emotion: np.ndarray
    usage: np.ndarray
    row: np.ndarray
    source: str
    notices: tuple[str, ...] = ()
    votes: pd.DataFrame | None = field(default=None, repr=False)
    truth: pd.DataFrame | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.shape[1:] != (SIDE, SIDE):
            raise StudyError(
                f"faces: expected images uint8 (n, {SIDE}, {SIDE}), found {self.images.dtype} "
                f"{self.images.shape}. Convert them."
            )
        lengths = {name: len(getattr(self, name)) for name in ("images", "emotion", "usage", "row")}
        if self.votes is not None:
            lengths["votes"] = len(self.votes)
        if len(set(lengths.values())) != 1:
            raise StudyError(
                f"faces: expected arrays of one length, found {lengths}. Select the same faces."
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def drawn(self) -> bool:
        """True for drawn faces. Scores on them do not measure accuracy on real faces."""
        return self.source == "sample"

    def select(self, which: np.ndarray) -> "Faces":
        """The faces at `which`: a boolean mask (n,) or integer indices (m,).

        The truth table keeps all rows.
        """
        return replace(
            self,
            images=self.images[which],
            emotion=self.emotion[which],
            usage=self.usage[which],
            row=self.row[which],
            votes=None if self.votes is None else self.votes.iloc[which],
        )

    def of(self, usage: str) -> "Faces":
        """The faces of one split. Raises StudyError if it is unknown or has no face."""
        if usage not in USAGES:
            raise StudyError(f"usage: expected one of {', '.join(USAGES)}, found {usage!r}.")
        chosen = self.select(self.usage == usage)
        if not len(chosen):
            found = ", ".join(sorted(set(self.usage.tolist()))) or "no image"
            raise StudyError(
                f"faces: expected images of the split {usage}, found {found} (source "
                f"{self.source!r}). Prepare the data again with all three splits."
            )
        return chosen

    def without_private(self) -> "Faces":
        """Training and PublicTest, the splits that trainings and searches may use."""
        return self.select(self.usage != PRIVATE)

    def counts(self) -> pd.DataFrame:
        """Count images by split (rows, in the order of `USAGES`) and emotion (columns).

        The row and the column `all` have the totals.
        """
        table = pd.DataFrame(
            [
                np.bincount(self.emotion[self.usage == usage], minlength=len(EMOTIONS))
                for usage in USAGES
            ],
            index=pd.Index(USAGES, name="usage"),
            columns=pd.Index(EMOTIONS, name="emotion"),
        )
        table["all"] = table.sum(axis=1)
        table.loc["all"] = table.sum()
        return table

    def deviations(self) -> list[str]:
        """Describe differences from the counts of the contest's FER-2013, one sentence per split.

        The list is empty for the canonical file.
        """
        counts = self.counts()
        sentences = []
        for usage, expected in CANONICAL_COUNTS.items():
            found = tuple(int(n) for n in counts.loc[usage, list(EMOTIONS)])
            if found == expected:
                continue
            if sum(found) != sum(expected):
                sentences.append(
                    f"{usage} has {sum(found):,} images instead of FER-2013's {sum(expected):,}."
                )
                continue
            differing = []
            for emotion, count, original in zip(EMOTIONS, found, expected, strict=True):
                if count != original:
                    differing.append(f"{emotion} {count:,} instead of {original:,}")
            sentences.append(f"{usage} has other counts than FER-2013: {', '.join(differing)}.")
        return sentences

    @property
    def canonical(self) -> bool:
        """True if the counts by split and emotion are FER-2013's, and the faces are not drawn."""
        return not self.drawn and not self.deviations()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of Training and PublicTest: pixels, emotions, splits and order.

        PrivateTest is left out. A machine without it can train the same run.
        """
        digest = hashlib.sha256()
        for usage in (TRAINING, PUBLIC):
            chosen = self.usage == usage
            digest.update(usage.encode())
            digest.update(np.ascontiguousarray(self.emotion[chosen], np.uint8).data)
            digest.update(np.ascontiguousarray(self.images[chosen]).data)
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        """Write images.npy, faces.csv, about.json and, if present, votes.csv and truth.csv.

        The folder appears complete or not at all. It replaces prepared faces.

        Raises:
            StudyError: `folder` is something else than prepared faces, which would be lost.
        """
        with atomic_folder(folder, PREPARED) as target:
            np.save(target / "images.npy", np.ascontiguousarray(self.images))
            table = pd.DataFrame({"row": self.row, "usage": self.usage, "emotion": self.emotion})
            table.to_csv(target / "faces.csv", index=False)
            for name in ("votes", "truth"):
                if (extra := getattr(self, name)) is not None:
                    extra.to_csv(target / f"{name}.csv", index=False)
            about = {"source": self.source, "notices": self.notices, "images": len(self)}
            (target / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Source:
    """A source of faces for `sources.read`.

    Attributes:
        read: returns Faces. It takes the path first, if `path` is set, and the keywords `progress`
            and `options`.
        options: keywords of `sources.read` that `read` takes: resize, test_usage, count, seed.
        path: description of the path for messages; empty if the source reads no path.
        no_votes: reason why FER+ votes cannot be joined; empty if the rows are those of the CSV.
    """

    read: Callable[..., Faces]
    options: tuple[str, ...] = ()
    path: str = ""
    no_votes: str = ""


def load_faces(folder: Path) -> Faces:
    """Open prepared faces. The images stay on disk and are mapped into memory.

    Raises:
        StudyError: the folder is missing or incomplete.
    """
    folder = Path(folder)
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        table = pd.read_csv(folder / "faces.csv")
        extras = {
            name: pd.read_csv(folder / f"{name}.csv")
            for name in ("votes", "truth")
            if (folder / f"{name}.csv").is_file()
        }
        return Faces(
            images=np.load(folder / "images.npy", mmap_mode="r"),
            emotion=table["emotion"].to_numpy(np.uint8),
            usage=table["usage"].to_numpy(np.str_),
            row=table["row"].to_numpy(np.int64),
            source=about["source"],
            notices=tuple(about["notices"]),
            **extras,
        )
    except (OSError, EOFError, KeyError, ValueError) as problem:
        raise StudyError(
            f"{folder}: expected prepared faces (images.npy, faces.csv, about.json), found "
            f"{type(problem).__name__}: {problem}. Write them with `fer-study prepare` or `make "
            "study`."
        ) from None
