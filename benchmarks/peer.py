"""Compare the released network with packages that recognise facial expressions.

    python benchmarks/peer.py --csv fer2013.csv.gz --photos FOLDER --yunet FILE [--write]

The peers are face-api.js, fer and facex: `peers/environments.py` has what is installed, and why
others are left out. Each gets an environment of its own in --environments. The first run creates
them (about 11 GB, much of it PyTorch for fer's MTCNN), and later runs use them again. face-api.js
needs Node.js 20.9 or later. A peer whose environment cannot be made, or which fails, is reported,
and the rest goes on.

--csv compares the networks alone, without detectors, on PublicTest and PrivateTest, and on
PrivateTest without the images that have a duplicate in Training. Our predictions are those of the
evidence, so no run of ours is scored again. The table has accuracies with 95 % bootstrap intervals
over images, the differences with 95 % paired bootstrap intervals, and the exact McNemar test. It is
unknown which images trained and selected the peers' weights. FER-2013's narrow frame and its labels
are ours, and those of fer.

--photos compares whole pipelines, from file to answer, on a folder of photos with faces.csv
(columns file and faces). Each measurement runs in a new process on one thread, in alternating
rounds. A face counts as found, missed or false by the number of faces in each photo. A photo's time
is the median of at least five calls after one that is not counted, and the table has the mean of
all photos: the median of the rounds, and their range.

--write replaces the tables that are measured in docs/benchmarks.md, and README's, which is made of
them.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import recognize
from detect import read_counts
from peers.environments import PEERS, Peer
from peers.networks import Comparison, classify, compare, selections
from peers.photos import Measured, Pipeline, measure
from peers.tables import (
    DOCS,
    NETWORKS,
    OURS,
    PHOTOS,
    block_of,
    networks_table,
    photos_table,
    write,
)

from fer_utils.data.faces import Faces
from fer_utils.data.sources import read
from fer_utils.emotions import PRIVATE, PUBLIC
from fer_utils.errors import StudyError
from fer_utils.evaluation import bootstrap_interval
from fer_utils.paths import CARD, RELEASED
from fer_utils.training.runs import logits_of

SECONDS = 0.2
"""A fifth of it is for a photo, so most photos get the five calls that there are at least."""


class Networks:
    """Our network and the peers' on FER-2013: what `networks_table` takes."""

    def __init__(self, faces: Faces, run: Path) -> None:
        """Look up our logits in a run's evidence.

        Raises:
            StudyError: the evidence lacks some.
        """
        self.parts = {split: faces.of(split) for split in (PUBLIC, PRIVATE)}
        self.logits = {split: logits_of(run, part) for split, part in self.parts.items()}
        self.selections = list(selections(faces))
        self.ours: dict[str, tuple[int, tuple[float, float, float]]] = {}
        for name, split, chosen in self.selections:
            correct = (self.logits[split].argmax(axis=1) == self.parts[split].emotion)[chosen]
            accuracy = (float(correct.mean()), *bootstrap_interval(correct))
            self.ours[name] = (len(correct), accuracy)
        self.theirs: dict[str, dict[str, Comparison]] = {name: {} for name in self.ours}

    def add(self, peer: Peer, interpreter: Path, folder: Path) -> None:
        """Compare with a peer.

        Raises:
            StudyError: its program fails.
        """
        found = {
            split: classify(peer, interpreter, folder, part.images)
            for split, part in self.parts.items()
        }
        for name, split, chosen in self.selections:
            outputs = (self.logits[split][chosen], found[split][chosen])
            self.theirs[name][peer.name] = compare(self.parts[split].emotion[chosen], *outputs)

    def table(self) -> str:
        return networks_table(self.ours, self.theirs)


def released_evidence() -> Path:
    """The folder with the evidence of the run that the released model was exported from."""
    card = json.loads((RELEASED / CARD).read_text(encoding="utf-8"))
    name = f"{card['recipe']['name']}-seed{card['seed']}"
    return recognize.PROJECT / "reports" / "evidence" / name


def pipelines_of(peer: Peer, folder: Path) -> tuple[list[Pipeline], dict[str, str]]:
    """The peer's pipelines whose environment can be made, and the errors of the others by name."""
    pipelines, errors = [], {}
    for detector, contender in peer.detectors.items():
        name = f"{peer.name}, {detector}"
        try:
            interpreter = peer.ensure(folder, contender)
        except StudyError as problem:
            errors[name] = str(problem)
            continue
        where = folder if peer.node else None
        pipelines.append(Pipeline(name, contender, interpreter, where))
    return pipelines, errors


def machine(given: argparse.Namespace) -> str:
    """The processor, its load, and how it is used."""
    rounds = f"{given.rounds} round{'s' * (given.rounds > 1)}"
    return (
        f"{recognize.processor()}, threads of each: {given.threads}, {rounds}, load "
        f"{os.getloadavg()[0]:.1f} at the start"
    )


def compare_networks(networks: Networks, environments: Path) -> dict[str, str]:
    """Compare our network with that of each peer. Returns the errors by the peer's name."""
    errors = {}
    for peer in PEERS:
        folder = environments / peer.folder
        try:
            networks.add(peer, peer.ensure(folder, None), folder)
        except StudyError as problem:
            errors[peer.name] = str(problem)
            continue
        print(f"networks: {peer.name} is done", flush=True)
    return errors


def compare_photos(given: argparse.Namespace) -> tuple[dict[str, Measured], dict[str, str]]:
    """Compare the pipelines. Returns measurements and errors by the pipeline's name."""
    counts = read_counts(given.photos)
    pipelines = [Pipeline(f"{OURS}, Haar", "ours")]
    if given.yunet:
        pipelines.insert(0, Pipeline(f"{OURS}, YuNet", "ours, yunet"))
    errors = {}
    for peer in PEERS:
        found, failed = pipelines_of(peer, given.environments / peer.folder)
        pipelines += found
        errors |= failed
    job = {
        "threads": given.threads,
        "seconds": SECONDS,
        "photos": [str((given.photos / name).resolve()) for name in counts],
        "model": str(recognize.PROJECT / "fer_utils" / "pretrained"),
        "yunet": str(given.yunet.resolve()) if given.yunet else None,
    }
    measured, failed = measure(pipelines, job, counts, given.rounds)
    return measured, errors | failed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path, help="Kaggle's CSV, packed or not")
    parser.add_argument("--photos", type=Path, help="folder with photos and faces.csv")
    parser.add_argument("--yunet", type=Path, help="YuNet's model file; default: without YuNet")
    parser.add_argument(
        "--run", type=Path, help="a run's evidence; default: that of the released model"
    )
    parser.add_argument(
        "--environments",
        type=Path,
        default=recognize.default_env().parent,
        help="folder of the peers' environments; default: %(default)s",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads per library; default: 1")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; default: 3")
    parser.add_argument("--write", action="store_true", help="write the tables into the pages")
    given = parser.parse_args()
    if not given.csv and not given.photos:
        parser.error("expected --csv, --photos or both")
    try:
        print(compare_all(given))
    except StudyError as problem:
        sys.exit(str(problem))


def compare_all(given: argparse.Namespace) -> str:
    """Compare what is asked for, and write the pages if asked to. Returns the text.

    Raises:
        StudyError: the CSV, the evidence, faces.csv or a page is not as expected.
    """
    asked = [name for name, at in ((NETWORKS, given.csv), (PHOTOS, given.photos)) if at]
    if given.write:  # errors come before the measurements, which take many minutes
        page = (recognize.PROJECT / DOCS).read_text(encoding="utf-8")
        write({name: block_of(page, name) for name in asked}, recognize.PROJECT)
    blocks, messages = {}, []
    if given.csv:
        networks = Networks(read("csv", given.csv), given.run or released_evidence())
        errors = compare_networks(networks, given.environments)
        blocks[NETWORKS] = "\n\n".join([networks.table(), *left_out(errors)])
        messages += errors.values()
    if given.photos:
        started = machine(given)
        measured, errors = compare_photos(given)
        versions = dict.fromkeys(each.versions for each in measured.values())
        line = f"{started}, {os.getloadavg()[0]:.1f} at the end. {'; '.join(versions)}."
        blocks[PHOTOS] = "\n\n".join([photos_table(measured), line, *left_out(errors)])
        messages += errors.values()
    if given.write:
        write(blocks, recognize.PROJECT)
    return "\n\n".join([*blocks.values(), *messages])


def left_out(errors: dict[str, str]) -> list[str]:
    """A line that names what could not be compared, because a table without it looks complete."""
    return [f"Not compared in this run: {'; '.join(errors)}."] if errors else []


if __name__ == "__main__":
    main()
