// The photos and snapshots of this visit with their results, in memory until the tab closes.

import { csv, saveResults } from "./table.js";
import { judged, threshold, whenMoved } from "./threshold.js";
import { announce, at, count, tally, write } from "./view.js";

const THUMBNAIL = 240; // pixels of the longer side

let entries = []; // newest first
let cleared = []; // restored by "Undo clearing"
let selected = null;
let onSelect = () => {};

/**
 * Registers `select(entry)`, which is called when the visitor selects an entry.
 *
 * It is called with null when the shown entry is cleared.
 */
export function whenSelected(select) {
  onSelect = select;
}

/**
 * Adds new entries at the top and returns them in the same order.
 *
 * An entry is { file, name, kind, time, answer, failure }. `file` is a Blob, `time` a Date, and
 * `kind` "photo", "webcam" or "video". While the server processes an entry, it has neither answer
 * nor failure.
 */
export function add(fresh) {
  cleared = [];
  for (const entry of fresh) entry.item = item(entry);
  entries = [...fresh, ...entries];
  at("entries").prepend(...fresh.map((entry) => entry.item));
  show();
  return fresh;
}

/** Draws an entry again after its answer or failure has arrived. */
export function update(entry) {
  fill(entry);
  show();
}

export function mark(entry) {
  selected?.item.firstElementChild.removeAttribute("aria-current");
  selected = entry;
  selected?.item.firstElementChild.setAttribute("aria-current", "true");
}

/** Adds a small picture of the entry if the browser can read its file. */
export async function drawThumbnail(entry) {
  try {
    const bitmap = await createImageBitmap(entry.file);
    const scale = Math.min(1, THUMBNAIL / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(scale * bitmap.width));
    canvas.height = Math.max(1, Math.round(scale * bitmap.height));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    canvas.className = "thumbnail";
    entry.item.querySelector(".thumbnail").replaceWith(canvas);
  } catch { /* the placeholder with the file's type stays */ }
}

// --- the list ---

function item(entry) {
  const element = at("entry").content.cloneNode(true).querySelector("li");
  const type = entry.name.includes(".") ? entry.name.split(".").pop().slice(0, 5) : "";
  write(element.querySelector(".title"), entry.name);
  write(element.querySelector(".thumbnail"), type);
  element.querySelector("button").addEventListener("click", () => onSelect(entry));
  entry.item = element;
  fill(entry);
  return element;
}

function fill(entry) {
  const digits = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  const clock = entry.time.toLocaleTimeString([], digits);
  write(entry.item.querySelector(".when"), `${clock} · ${entry.kind}`);
  write(entry.item.querySelector(".found"), found(entry));
  let state = "waiting";
  if (entry.answer) state = "done";
  else if (entry.failure) state = "failed";
  entry.item.dataset.state = state;
}

function found({ answer, failure }) {
  if (failure) return failure.headline;
  if (!answer) return "Waiting…";
  const faces = judged(answer.faces);
  if (!faces.length) return "No face found";
  const names = faces.map((face) => face.emotion + (face.uncertain ? " (uncertain)" : ""));
  return `${count(faces.length, "face")}: ${tally(faces) ?? names.join(", ")}`;
}

function show() {
  const settled = settledEntries().length;
  const total = entries.length;
  at("history").hidden = !total && !cleared.length;
  const progress = `${settled} of ${total} processed`;
  write(at("settled"), settled < total ? progress : count(total, "entry", "entries"));
  for (const id of ["save-json", "save-csv"]) at(id).disabled = !settled;
  at("clear").hidden = !total;
  at("undo").hidden = !cleared.length;
}

function clear() {
  // The requests of all other entries are aborted.
  cleared = entries.filter((entry) => entry.answer || entry.failure);
  entries = [];
  at("entries").replaceChildren();
  mark(null);
  show();
  at(cleared.length ? "undo" : "headline").focus();
  announce("History cleared.");
  onSelect(null);
}

function undo() {
  entries = cleared;
  cleared = [];
  at("entries").append(...entries.map((entry) => entry.item));
  show();
  at("clear").focus();
  announce("History restored.");
}

// --- saving ---

function settledEntries() {
  return entries
    .filter((entry) => entry.answer || entry.failure)
    .sort((one, other) => one.time - other.time);
}

function asJson() {
  const results = settledEntries().map(({ name, kind, time, answer, failure }) => ({
    name,
    kind,
    time: time.toISOString(),
    ...(answer
      ? { ...answer, faces: judged(answer.faces) }
      : { error: `${failure.headline}. ${failure.detail}` }),
  }));
  const { model } = document.body.dataset;
  return JSON.stringify({ model, threshold: threshold(), results }, null, 2);
}

const PHOTO_COLUMNS = ["name", "kind", "time", "photo_width", "photo_height", "faces"];
const FACE_COLUMNS = ["face", "x", "y", "width", "height", "score", "emotion", "uncertain"];

/** One row for each face. A photo without faces or with an error has one row without a face. */
function asCsv() {
  const settled = settledEntries();
  const first = settled.flatMap((entry) => entry.answer?.faces ?? [])[0];
  const emotions = first ? Object.keys(first.probabilities) : [];
  const rows = settled.flatMap((entry) => csvRows(entry, emotions));
  const header = [...PHOTO_COLUMNS, ...FACE_COLUMNS, ...emotions, "error"];
  return csv([header, ...rows]);
}

function csvRows({ name, kind, time, answer, failure }, emotions) {
  const size = [answer?.width, answer?.height, answer?.faces.length];
  const photo = [name, kind, time.toISOString(), ...size];
  if (!answer?.faces.length) {
    const blank = Array(FACE_COLUMNS.length + emotions.length).fill("");
    return [[...photo, ...blank, failure?.headline]];
  }
  return judged(answer.faces).map((face, index) => {
    const { x, y, width, height } = face.box;
    const shares = emotions.map((emotion) => face.probabilities[emotion]);
    const { score, emotion, uncertain } = face;
    return [...photo, index + 1, x, y, width, height, score, emotion, uncertain, ...shares, ""];
  });
}

whenMoved(() => entries.forEach(fill));
at("save-json").addEventListener("click", () => saveResults(asJson(), "application/json", "json"));
at("save-csv").addEventListener("click", () => saveResults(asCsv(), "text/csv", "csv"));
at("clear").addEventListener("click", clear);
at("undo").addEventListener("click", undo);
