"""The download of the contest's file from Kaggle with kagglehub.

The contest's file has the original pixels, and the order of rows that FER+ votes need. Other data
sets on Kaggle do not. The download requires an account and acceptance of the contest's rules.
"""

from dataclasses import replace
from pathlib import Path

from fer_utils.data.csv import read_csv
from fer_utils.data.faces import Faces, Source
from fer_utils.data.packing import CONTEST
from fer_utils.errors import StudyError

COMPETITION = CONTEST
FILE = "fer2013.tar.gz"

_RULES = f"https://www.kaggle.com/competitions/{COMPETITION}/rules"
_ADVICE = (
    "Create an API token on https://www.kaggle.com/settings, set the environment variable "
    f"KAGGLE_API_TOKEN to it, accept the contest's rules on {_RULES}, and try again. Or download a "
    f"file by hand: {FILE} from the contest, for --source csv --path FILE; or the images of "
    "https://www.kaggle.com/datasets/msambare/fer2013, unpacked, for --source folder --path FOLDER."
)


def read_kaggle(*, progress: bool = False) -> Faces:
    """Download the contest's file, unless kagglehub's cache has it, and read it.

    Returns:
        Faces in the order of Kaggle's CSV. `row` is its zero-based row.

    Raises:
        StudyError: there are no credentials or no network, the rules are not accepted, or the file
            is invalid.
    """
    return replace(read_csv(_download(), progress=progress), source="kaggle")


SOURCE = Source(read_kaggle)


def _download() -> Path:
    import kagglehub  # here, because the import is slow

    try:
        return Path(kagglehub.competition_download(COMPETITION, path=FILE))
    # kagglehub raises errors of its HTTP library, its credentials and the disk. The advice is the
    # same for all.
    except Exception as problem:
        raise StudyError(
            f"Kaggle: expected to download {FILE}, found {type(problem).__name__}: {problem}. "
            f"{_ADVICE}"
        ) from problem
