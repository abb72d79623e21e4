// The probability below which a face is marked "uncertain". The visitor can move it on the page.

import { at, percent, write } from "./view.js";

const slider = at("threshold");
const usual = Number(document.body.dataset.threshold); // the model's own

let chosen = null; // null until the visitor moves the slider
const listeners = [];

/** The threshold in use, 0 to 1. */
export function threshold() {
  return chosen ?? usual;
}

/** The faces with `uncertain` according to the visitor's threshold. */
export function judged(faces) {
  if (chosen === null) return faces;
  return faces.map((face) => {
    return { ...face, uncertain: Math.max(...Object.values(face.probabilities)) < chosen };
  });
}

/** Calls `listener()` whenever the visitor changes the threshold. */
export function whenMoved(listener) {
  listeners.push(listener);
}

function change(value) {
  chosen = value;
  show();
  for (const listener of listeners) listener();
}

function show() {
  slider.value = Math.round(100 * threshold());
  slider.ariaValueText = percent(threshold());
  write(at("threshold-value"), percent(threshold()));
  at("threshold-reset").disabled = chosen === null;
}

slider.addEventListener("input", () => change(slider.valueAsNumber / 100));
at("threshold-reset").addEventListener("click", () => {
  slider.focus(); // the button is disabled from now on
  change(null);
});
show();
