"""The findings of a notebook: one or two sentences that answer a section's question.

Findings on FER-2013 are committed in reports/evidence/findings/, one file per stage. A run on drawn
faces shows them behind its own, because drawn faces can lead to the opposite conclusion.
"""

import json
from pathlib import Path

from IPython.display import Markdown

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.storage import atomic_file

FOLDER = "findings"
"""The folder of committed findings in the evidence."""


class Findings:
    """Collects the findings of one run of a notebook in a JSON file, by name.

    Args:
        file: the JSON file to write, usually reports/findings/<stage>.json. It is emptied.
        faces: the faces that the findings are about.
        evidence: the folder with the evidence. Its findings of the same file name are the committed
            ones.

    Raises:
        StudyError: the committed findings cannot be read.
    """

    def __init__(self, file: Path, faces: Faces, evidence: Path) -> None:
        self.file, self.drawn = Path(file), faces.drawn
        self._texts: dict[str, str] = {}
        self._real = read_findings(Path(evidence) / FOLDER / self.file.name)
        self._write()

    def __call__(self, name: str, text: str) -> Markdown:
        """Keep a finding and return it for display.

        Args:
            name: unique in the notebook, such as "calibration".
            text: the sentences, as Markdown.
        """
        self._texts[name] = text
        self._write()
        if not self.drawn:
            return Markdown(text)
        real = self._real.get(name)
        behind = f"\n\n**On FER-2013:** {real}" if real else ""
        return Markdown(f"{text} *(drawn faces)*{behind}")

    def _write(self) -> None:
        with atomic_file(self.file) as target:
            text = json.dumps(self._texts, indent=2, ensure_ascii=False)
            target.write_text(text + "\n", encoding="utf-8")


def read_findings(file: Path) -> dict[str, str]:
    """Read findings by name; empty if there is no such file.

    Raises:
        StudyError: the file is no JSON object of texts.
    """
    if not Path(file).is_file():
        return {}
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError as problem:
        raise StudyError(
            f"{file}: expected findings as JSON, found {problem}. Restore the committed file."
        ) from None
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise StudyError(
            f"{file}: expected a JSON object of texts, found other values. Restore the committed "
            "file."
        )
    return found
