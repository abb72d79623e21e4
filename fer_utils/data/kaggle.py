"""Kaggle's contest of 2013, downloaded with kagglehub.

The contest's own file is taken, not one of the copies: it has the original pixels, and the order of
rows by which FER+ votes are joined. Kaggle gives it to those who have an account and have accepted
the contest's rules.
"""

from dataclasses import replace
from pathlib import Path

from fer_utils.data.csv import read_csv
from fer_utils.data.faces import Faces
from fer_utils.data.packing import CONTEST
from fer_utils.errors import StudyError

COMPETITION = CONTEST
FILE = "fer2013.tar.gz"

_RULES = f"https://www.kaggle.com/competitions/{COMPETITION}/rules"
_ADVICE = (
    "Make an API token on https://www.kaggle.com/settings, put it into the environment variable "
    f"KAGGLE_API_TOKEN, accept the contest's rules on {_RULES}, and try again. Or download by "
    f"hand: {FILE} from that contest, read with --source csv --path FILE; or the images of "
    "https://www.kaggle.com/datasets/msambare/fer2013, unpacked and read with --source folder "
    "--path FOLDER."
)


def read_kaggle(*, progress: bool = False) -> Faces:
    """Download the contest's file, unless kagglehub's cache has it, and read it.

    Returns:
        Faces in the order of Kaggle's CSV; `row` is its zero-based row.

    Raises:
        StudyError: there are no credentials, no network, the rules are not accepted, or what came
            is not in order.
    """
    return replace(read_csv(_download(), progress=progress), source="kaggle")


def _download() -> Path:
    import kagglehub  # slow to import, and only needed here

    try:
        return Path(kagglehub.competition_download(COMPETITION, path=FILE))
    # kagglehub lets through whatever its HTTP library, its credentials and the disk raise; one
    # advice fits all.
    except Exception as problem:
        raise StudyError(
            f"Kaggle: expected to download {FILE}, found {type(problem).__name__}: {problem}. "
            f"{_ADVICE}"
        ) from problem
