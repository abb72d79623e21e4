"""Each whole pipeline on photos, from file to answer: the faces that it finds, and its times."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import recognize
from detect import Count

from fer_utils.errors import StudyError
from peers.networks import HERE, last_line


@dataclass(frozen=True)
class Pipeline:
    """A network with a detector.

    Attributes:
        name: its name in tables.
        contender: its detector's name in `contenders.py` or in face-api.js.
        interpreter: Python or Node.
        folder: the environment of face-api.js; None for Python.
    """

    name: str
    contender: str
    interpreter: Path = Path(sys.executable)
    folder: Path | None = None


@dataclass(frozen=True)
class Measured:
    """What a pipeline did with all photos.

    Attributes:
        count: faces found, missed and false, by their numbers in each photo.
        clock: milliseconds a photo by the clock, one number per round.
        processor: the same of the processor, in all threads together.
        versions: the packages with their versions.
    """

    count: Count
    clock: list[float]
    processor: list[float]
    versions: str


def answer(pipeline: Pipeline, job: dict) -> dict:
    """Measure a pipeline once, in a new process.

    Args:
        job: as `contenders.measure` takes it, without the contender.

    Raises:
        StudyError: the process fails.
    """
    if pipeline.folder:
        job = job | {"folder": str(pipeline.folder.resolve()), "detector": pipeline.contender}
        program = [pipeline.interpreter, HERE / "face_api.cjs", json.dumps(job)]
        return last_line(program, pipeline.name)
    try:
        return recognize.measure_afresh(
            pipeline.interpreter, job | {"contender": pipeline.contender}
        )
    except (SystemExit, OSError, ValueError, IndexError, subprocess.TimeoutExpired) as problem:
        raise StudyError(f"{pipeline.name}: expected a measurement, found: {problem}") from None


def summary(rounds: Sequence[dict], counts: dict[str, int]) -> Measured:
    """Summarise the answers of all rounds.

    Args:
        rounds: answers of one pipeline, at least one.
        counts: number of faces by photo.

    Raises:
        StudyError: an answer lacks a photo.
    """
    for one in rounds:
        if missing := counts.keys() - one["found"].keys():
            raise StudyError(
                f"expected an answer for each photo, found none for {', '.join(sorted(missing))}."
            )
    total = Count(0, 0, 0)
    for photo, faces in counts.items():
        total += Count.of(rounds[0]["found"][photo], faces)
    means = {
        what: [statistics.mean(one[what].values()) for one in rounds]
        for what in ("photos_ms", "photos_processor_ms")
    }
    return Measured(total, means["photos_ms"], means["photos_processor_ms"], rounds[0]["versions"])


def measure(
    pipelines: Sequence[Pipeline], job: dict, counts: dict[str, int], rounds: int
) -> tuple[dict[str, Measured], dict[str, str]]:
    """Measure pipelines in alternation, in reverse order every second round.

    Returns:
        The measurements, and the errors of the pipelines that failed, by the pipeline's name.
    """
    answers: dict[str, list[dict]] = {pipeline.name: [] for pipeline in pipelines}
    errors: dict[str, str] = {}
    for number in range(rounds):
        for pipeline in pipelines if number % 2 == 0 else reversed(pipelines):
            if pipeline.name not in answers:
                continue
            try:
                answers[pipeline.name].append(answer(pipeline, job))
            except StudyError as problem:
                errors[pipeline.name] = str(problem)
                del answers[pipeline.name]
        print(f"photos: round {number + 1} of {rounds}", flush=True)
    return {name: summary(each, counts) for name, each in answers.items()}, errors
