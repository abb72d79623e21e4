"""Recognise the faces in very many photos with Dask, on one machine or on a cluster.

    python examples/dask_photos.py OUT PHOTOS [--workers 2 | --scheduler tcp://HOST:8786]

PHOTOS is a folder, or a text file with the path of one photo on each line. OUT is a folder that is
empty or missing. It gets plan.json, the list of the photos, and part-000000.jsonl and so on. Each
line of a part is what `fer-study predict --json` prints for a photo, with its file; or the file
and an error, if the photo cannot be read. Each photo of the plan has exactly one line.

A part appears when it is complete. If the program or a worker ends early, the same command does
the missing parts. The plan stays as it is, and PHOTOS may be left out then.

On a cluster, every worker needs fer-study, and reads and writes the same paths. The model and the
detector are sent to it. docs/scale.md has an example.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import dask
import dask.bag
from distributed import Client, as_completed
from tqdm.auto import tqdm

from fer_utils import Recognizer
from fer_utils.errors import StudyError
from fer_utils.recognition.detectors import NAMES, make_detector
from fer_utils.recognition.images import UnreadableImage
from fer_utils.recognition.recognizer import photos_in
from fer_utils.storage import atomic_file

PLAN = "plan.json"

Part = tuple[str, list[str]]
"""A part's path and the paths of its photos."""


def listed(photos: Path) -> list[str]:
    """Return the absolute paths of the photos in a folder, or in a file with one path a line.

    Raises:
        StudyError: neither exists, it has no photo, or the file has a path twice.
    """
    if photos.is_dir():
        return [str(path.absolute()) for path in photos_in(photos)]
    try:
        # Names may be no UTF-8, and may contain signs that other readers take for ends of lines.
        lines = photos.read_bytes().decode(errors="surrogateescape").split("\n")
    except OSError as problem:
        raise StudyError(
            f"{photos}: expected a folder of photos or a list of them, found {problem.strerror}."
        ) from None
    paths = [str(Path(line).absolute()) for line in lines if line.strip()]
    if not paths or len(set(paths)) < len(paths):
        raise StudyError(
            f"{photos}: expected the path of a photo on each line, each once, found {len(paths):,} "
            f"paths, {len(set(paths)):,} of them different. Correct the list."
        )
    return paths


def planned(out: Path, photos: list[str] | None, settings: dict) -> list[Part]:
    """Return all parts of the plan in `out`. The first call writes the plan.

    Args:
        out: the folder of the results.
        photos: the paths of the photos; None for those of the plan.
        settings: what each part depends on, as JSON can hold it; at least per_part, the photos of a
            part.

    Raises:
        StudyError: there is no plan, one of other photos or settings, or another kind of folder.
    """
    file = out / PLAN
    if not file.is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise StudyError(
                f"{out}: expected an empty folder or one with {PLAN}, found something else. "
                "Choose another folder."
            )
        if photos is None:
            raise StudyError(f"{file}: expected a plan to go on with, found none. Name the photos.")
        with atomic_file(file) as new:
            new.write_text(json.dumps(settings | {"photos": photos}), encoding="utf-8")
    plan = json.loads(file.read_text(encoding="utf-8"))
    first = plan.pop("photos")
    if photos is not None and photos != first:
        raise StudyError(
            f"{file}: expected the photos of the first start ({len(first):,}), found other ones "
            f"({len(photos):,}). Leave PHOTOS out to go on, or choose another folder."
        )
    if plan != settings:
        raise StudyError(
            f"{file}: expected the settings of the first start, {plan}, found {settings}. "
            "Use those, or choose another folder."
        )
    size = settings["per_part"]
    return [
        (str(out / f"part-{number:06}.jsonl"), first[start : start + size])
        for number, start in enumerate(range(0, len(first), size))
    ]


def write_part(part: Part, recognizer: Recognizer) -> dict[str, int]:
    """Recognise the faces in the photos of a part and write it, unless it is there.

    Returns:
        The numbers of photos, faces, and unreadable photos.

    Raises:
        OSError: the part could not be written.
    """
    # There is a worker for each core, and OpenCV would use all of them in each.
    cv2.setNumThreads(1)
    name, photos = part
    file, count = Path(name), {"photos": 0, "faces": 0, "unreadable": 0}
    # After a lost connection, Dask gives a part to a second worker. Both write the same lines.
    if not file.is_file():
        with atomic_file(file) as new, new.open("w", encoding="utf-8") as lines:
            for photo in photos:
                lines.write(json.dumps({"file": photo} | answered(photo, recognizer)) + "\n")
    with file.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            count["photos"] += 1
            count["faces"] += len(row.get("faces", ()))
            count["unreadable"] += "error" in row
    return count


def answered(photo: str, recognizer: Recognizer) -> dict:
    """Return the answer for a photo, or its error."""
    try:
        return recognizer.answer(photo)
    except UnreadableImage as problem:
        return {"error": str(problem)}


def run(client: Client, parts: list[Part], recognizer: Recognizer) -> Iterator[dict[str, int]]:
    """Yield the counts of each part when it is written. A part that fails is logged and left out.

    Args:
        client: the connection to the workers.
        parts: the parts to write.
        recognizer: the recogniser, which is sent to each worker once.
    """
    # Part of the graph and not scattered, so a worker that takes over from a lost one gets it, too.
    shared = dask.delayed(recognizer, pure=False, traverse=False)
    bag = dask.bag.from_sequence(parts, partition_size=1).map(write_part, recognizer=shared)
    futures = client.compute(bag.to_delayed())
    for future in as_completed(futures):
        if future.status == "finished":
            yield future.result()[0]
        else:
            logging.error("a part failed and others go on: %r", future.exception())
        # Its result would stay in a worker's memory.
        future.release()


def connected(scheduler: str | None, workers: int) -> Client:
    """Connect to a scheduler, or start workers of one thread each on this machine.

    Raises:
        StudyError: no scheduler answers there.
    """
    if scheduler is None:
        # Without a dashboard, no further port is opened.
        return Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    try:
        return Client(scheduler)
    except (OSError, ValueError) as problem:
        raise StudyError(
            f"{scheduler}: expected a Dask scheduler, found none ({problem}). Start one with "
            "`dask scheduler`, and workers with `dask worker`."
        ) from None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the results")
    parser.add_argument("photos", type=Path, nargs="?", help="folder, or list of paths")
    parser.add_argument("--scheduler", help="address of a Dask cluster; default: this machine")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="processes here; default: %(default)s"
    )
    parser.add_argument("--per-part", type=int, default=500, help="photos; default: %(default)s")
    parser.add_argument("--detector", choices=NAMES, default="auto", help="default: %(default)s")
    parser.add_argument("--yunet", type=Path, help="YuNet's file; default: the fetched one")
    parser.add_argument("--model", type=Path, help="exported model; default: the released one")
    given = parser.parse_args()
    if min(given.per_part, given.workers) < 1:
        parser.error("--per-part and --workers: expected at least 1")
    try:
        recognizer = Recognizer(given.model, make_detector(given.detector, given.yunet))
        settings = {
            "per_part": given.per_part,
            "detector": recognizer.detector.name,
            "model": recognizer.card["name"],
        }
        photos = listed(given.photos) if given.photos else None
        parts = planned(given.out.absolute(), photos, settings)
        missing = [part for part in parts if not Path(part[0]).is_file()]
        print(f"{len(parts):,} parts, {len(parts) - len(missing):,} of them done before")
        total = {"photos": 0, "faces": 0, "unreadable": 0}
        done = 0
        if not missing:
            return
        with connected(given.scheduler, given.workers) as client:
            for count in tqdm(run(client, missing, recognizer), total=len(missing), unit=" parts"):
                total = {name: number + count[name] for name, number in total.items()}
                done += 1
    except StudyError as problem:
        sys.exit(str(problem))
    print(", ".join(f"{number:,} {name}" for name, number in total.items()))
    if done < len(missing):
        sys.exit(f"{len(missing) - done:,} parts are missing. The same command does them again.")


if __name__ == "__main__":
    main()
