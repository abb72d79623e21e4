"""What a reader can touch: a threshold slider, and a confusion matrix that opens examples.

Both are HTML with a few lines of plain JavaScript, and fetch nothing. They work in JupyterLab and
on the pages. Without JavaScript they stay hidden: the figures beside them show the results.
"""

import base64
import html
import io
import json

import numpy as np
from IPython.display import HTML
from PIL import Image

from fer_utils.data.drawing import draw_face as drawn_face
from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation import accuracy_interval, probabilities
from fer_utils.evaluation.wording import percent

THRESHOLDS = np.arange(20, 100) / 100
"""Positions of the slider. The largest of seven probabilities is seldom below 0.2."""

EXAMPLES = 4
"""Number of examples of each cell of the confusion matrix."""

# On the pages the variables are those of study.css. JupyterLab has others, so each has a default.
_STYLE = """
.touch { margin: 1rem 0; max-width: 42rem; }
.touch label { display: block; }
.touch input[type=range] { width: 100%; accent-color: var(--accent, #0b6661); }
.touch .cells { display: grid; gap: 2px;
  grid-template-columns: max-content repeat(7, minmax(0, 1fr)); }
.touch .cells > * { font-family: inherit; font-size: .8rem; line-height: 1.2;
  text-align: center; align-self: center; }
.touch [aria-live] p { margin: .7rem 0 0; }
.touch .cells .row { text-align: right; padding-right: .4rem; }
.touch .cells .column { writing-mode: vertical-rl; transform: rotate(180deg);
  justify-self: center; }
.touch .cells button { color: inherit; padding: .45rem 0; border: 1px solid transparent;
  border-radius: 2px; cursor: pointer; align-self: stretch; background:
  color-mix(in srgb, var(--accent, #0b6661) calc(45% * var(--share)), var(--raised, #8881)); }
.touch .cells button[aria-pressed=true] { border-color: currentColor; font-weight: 700; }
.touch .shown { display: flex; flex-wrap: wrap; gap: .8rem; margin: .6rem 0; padding: 0;
  list-style: none; font-size: .8rem; line-height: 1.3; }
.touch .shown li { width: 8.5rem; }
.touch .shown img { display: block; width: 96px; height: 96px; image-rendering: pixelated; }
@media print { .touch { display: none; } }
"""

_SLIDER = """
const box = document.getElementById("threshold"), data = DATA;
const [slider, text] = [box.querySelector("input"), box.querySelector("output")];
const show = () => { text.textContent = data[slider.value]; };
slider.oninput = show;
show();
box.hidden = false;
"""

_MATRIX = """
const box = document.getElementById("examples"), data = DATA;
const [title, list] = [box.querySelector("[aria-live] p"), box.querySelector("ul")];
box.querySelectorAll("button").forEach((button, place, buttons) => {
  button.onclick = () => {
    buttons.forEach((other) => other.setAttribute("aria-pressed", other === button));
    const cell = data.cells[place];
    title.textContent = cell.title;
    list.replaceChildren(...cell.examples.map(([picture, text]) => {
      const item = document.createElement("li");
      if (picture) {
        const image = item.appendChild(new Image());
        image.src = "data:image/png;base64," + (data.faces[picture] ?? picture);
        image.alt = "";
      }
      item.append(text);
      return item;
    }));
  };
});
box.hidden = false;
"""


def threshold_slider(shares: np.ndarray, emotion: np.ndarray, start: float) -> HTML:
    """Let the reader move the threshold below which predictions are rejected.

    Args:
        shares: probabilities (n, 7).
        emotion: true emotions, int (n,).
        start: threshold that is shown first, 0 to 1. It is rounded to one of `THRESHOLDS`.

    Returns:
        A slider. Beside it are the share of accepted predictions, and their accuracy with its
        95 % Wilson interval.
    """
    confidence, correct = shares.max(axis=1), shares.argmax(axis=1) == emotion
    texts = []
    for threshold in THRESHOLDS:
        kept = confidence >= threshold
        images = int(kept.sum())
        text = f"Threshold {threshold:.2f}: {images:,} of {len(kept):,} predictions are accepted "
        text += f"({percent(images / len(kept))})."
        if images:
            low, high = accuracy_interval(correct[kept].mean(), images)
            text += f" {percent(correct[kept].mean())} of them are correct "
            text += f"(95 % interval {100 * low:.1f} to {100 * high:.1f})."
        texts.append(text)
    first = int(np.abs(THRESHOLDS - start).argmin())
    body = (
        '<label for="threshold-value">Move the threshold:</label>'
        f'<input id="threshold-value" type="range" min="0" max="{len(THRESHOLDS) - 1}" '
        f'value="{first}"><output for="threshold-value">{html.escape(texts[first])}</output>'
    )
    return _widget("threshold", body, _SLIDER, texts)


def confusion_examples(faces: Faces, logits: np.ndarray, *, show_faces: bool) -> HTML:
    """Let the reader open the predictions behind each cell of the confusion matrix.

    Args:
        faces: (n,).
        logits: (n, 7).
        show_faces: show the faces. If False, a drawn face stands for each emotion, and the examples
            are named by their row in the CSV.

    Returns:
        A matrix of buttons with the numbers of images: rows are labels and columns predictions. A
        button opens the `EXAMPLES` predictions with the highest probability.
    """
    shares = probabilities(logits)
    predicted, confidence = shares.argmax(axis=1), shares.max(axis=1)
    drawn = {} if show_faces else {name: _png(drawn_face(name)) for name in EMOTIONS}
    buttons, cells = [], []
    corner = '<span class="row">prediction →<br>label ↓</span>'
    header = "".join(f'<span class="column">{name}</span>' for name in EMOTIONS)
    for label, name in enumerate(EMOTIONS):
        buttons.append(f'<span class="row">{name}</span>')
        of_label = faces.emotion == label
        for prediction, other in enumerate(EMOTIONS):
            inside = np.flatnonzero(of_label & (predicted == prediction))
            best = inside[np.argsort(-confidence[inside], kind="stable")][:EXAMPLES]
            title = f"Label {name}, prediction {other}: {len(inside):,} images."
            if len(inside) > len(best):
                title += f" These {len(best)} have the highest probability."
            examples = [
                (
                    _png(faces.images[index]) if show_faces else "",
                    f"row {faces.row[index]:,}, probability {percent(confidence[index], 0)}",
                )
                for index in best
            ]
            if len(best) and not show_faces:
                examples = [
                    (each, f"{each}, drawn") for each in dict.fromkeys((name, other))
                ] + examples
            cells.append({"title": title, "examples": examples})
            share = len(inside) / max(1, of_label.sum())
            buttons.append(
                f'<button type="button" aria-pressed="false" style="--share: {share:.2f}" '
                f'aria-label="{html.escape(title)}">{len(inside):,}</button>'
            )
    body = (
        f'<div class="cells">{corner}{header}{"".join(buttons)}</div>'
        '<div aria-live="polite"><p>Press a cell to see examples of it.</p>'
        '<ul class="shown"></ul></div>'
    )
    return _widget("examples", body, _MATRIX, {"faces": drawn, "cells": cells})


def _widget(name: str, body: str, script: str, data: object) -> HTML:
    """A hidden box with a script that fills and shows it."""
    # Braces keep the script's names to itself. Data cannot end the script.
    encoded = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return HTML(
        f'<div class="touch" id="{name}" hidden>\n<style>{_STYLE}</style>\n{body}\n</div>\n'
        f"<script>\n{{{script.replace('DATA', encoded)}}}\n</script>"
    )


def _png(image: np.ndarray) -> str:
    """A grey image (h, w), uint8, as the base64 text of a PNG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
