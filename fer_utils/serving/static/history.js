// What was looked at in this visit: photos and snapshots with their answers, in memory until the tab closes.

import { announce, at, count, write } from "./view.js";

const THUMBNAIL = 240; // pixels of the longer side

let entries = []; // newest first
let cleared = []; // what "Undo" brings back
let selected = null;
let onSelect = () => {};

/** `select(entry)` is called when the visitor picks an entry; with null when what was shown is cleared. */
export function whenSelected(select) {
  onSelect = select;
}

/**
 * Puts new entries on top and gives them back, in the same order.
 *
 * An entry: { file (Blob), name, kind ("photo", "webcam" or "video"), time (Date), answer, failure }; while there is
 * neither answer nor failure, the server still has it.
 */
export function add(fresh) {
  cleared = [];
  for (const entry of fresh) entry.item = item(entry);
  entries = [...fresh, ...entries];
  at("entries").prepend(...fresh.map((entry) => entry.item));
  show();
  return fresh;
}

/** Draws an entry again after its answer or failure came. */
export function update(entry) {
  fill(entry);
  show();
}

export function mark(entry) {
  selected?.item.firstElementChild.removeAttribute("aria-current");
  selected = entry;
  selected?.item.firstElementChild.setAttribute("aria-current", "true");
}

/** A small picture of the entry, where the browser can read its file. */
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
  write(element.querySelector(".title"), entry.name);
  write(element.querySelector(".thumbnail"), entry.name.includes(".") ? entry.name.split(".").pop().slice(0, 5) : "");
  element.querySelector("button").addEventListener("click", () => onSelect(entry));
  entry.item = element;
  fill(entry);
  return element;
}

function fill(entry) {
  const clock = entry.time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  write(entry.item.querySelector(".when"), `${clock} · ${entry.kind}`);
  write(entry.item.querySelector(".found"), found(entry));
  entry.item.dataset.state = entry.answer ? "done" : entry.failure ? "failed" : "waiting";
}

function found({ answer, failure }) {
  if (failure) return failure.headline;
  if (!answer) return "Waiting for the server…";
  if (!answer.faces.length) return "No face found";
  const names = answer.faces.map((face) => (face.uncertain ? `${face.emotion} (uncertain)` : face.emotion));
  const rest = names.length > 3 ? ` and ${names.length - 3} more` : "";
  return `${count(names.length, "face")}: ${names.slice(0, 3).join(", ")}${rest}`;
}

function show() {
  const settled = settledEntries().length;
  at("history").hidden = !entries.length && !cleared.length;
  write(at("settled"), settled < entries.length ? `${settled} of ${entries.length} answered` : count(entries.length, "entry", "entries"));
  for (const id of ["save-json", "save-csv"]) at(id).disabled = !settled;
  at("clear").hidden = !entries.length;
  at("undo").hidden = !cleared.length;
}

function clear() {
  cleared = entries.filter((entry) => entry.answer || entry.failure); // the others are asked for no more
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
  return entries.filter((entry) => entry.answer || entry.failure).sort((one, other) => one.time - other.time);
}

function asJson() {
  const results = settledEntries().map(({ name, kind, time, answer, failure }) => ({
    name,
    kind,
    time: time.toISOString(),
    ...(answer ?? { error: `${failure.headline}. ${failure.detail}` }),
  }));
  return JSON.stringify({ model: document.body.dataset.model, results }, null, 2);
}

const COLUMNS = ["name", "kind", "time", "photo_width", "photo_height", "faces", "face", "x", "y", "width", "height", "score", "emotion", "uncertain"];

/** One row a face; a photo without any, or with an error, has one row whose face is empty. */
function asCsv() {
  const settled = settledEntries();
  const first = settled.flatMap((entry) => entry.answer?.faces ?? [])[0];
  const emotions = first ? Object.keys(first.probabilities) : [];
  const rows = settled.flatMap(({ name, kind, time, answer, failure }) => {
    const photo = [name, kind, time.toISOString(), answer?.width, answer?.height, answer?.faces.length];
    const blank = Array(COLUMNS.length + emotions.length - photo.length).fill("");
    if (!answer?.faces.length) return [[...photo, ...blank, failure?.headline]];
    return answer.faces.map((face, index) => [
      ...photo, index + 1, face.box.x, face.box.y, face.box.width, face.box.height, face.score, face.emotion, face.uncertain,
      ...emotions.map((emotion) => face.probabilities[emotion]), "",
    ]);
  });
  return [[...COLUMNS, ...emotions, "error"], ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function cell(value) {
  let text = String(value ?? "");
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`; // no formula for a spreadsheet
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function save(text, type, ending) {
  const now = new Date();
  const stamp = new Date(now - 60_000 * now.getTimezoneOffset()).toISOString().slice(0, 19).replaceAll(/[T:]/g, "-");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = `expressions-${stamp}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

at("save-json").addEventListener("click", () => save(asJson(), "application/json", "json"));
at("save-csv").addEventListener("click", () => save(asCsv(), "text/csv", "csv"));
at("clear").addEventListener("click", clear);
at("undo").addEventListener("click", undo);
