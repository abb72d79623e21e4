// Photos: chosen, shown, sent and processed. Each photo is an entry of the history.

import { example, Failure } from "./api.js";
import { showCall } from "./call.js";
import * as history from "./history.js";
import { annotated, enlarge, save, shrink } from "./pictures.js";
import { onDevice, predict } from "./place.js";
import { judged, whenMoved } from "./threshold.js";
import {
  announce, at, clearFaces, count, label, say, sayBusy, sayFailure, shape, showAnswer, showGhost,
  summary, write,
} from "./view.js";

const AT_ONCE = 2; // requests at a time
const maxBytes = Number(document.body.dataset.maxBytes);
const picture = at("picture");
const frame = at("photo");
const boxes = frame.querySelector(".boxes");

let waiting = []; // entries that are not sent yet
const working = new Map(); // entry -> AbortController of its request
const failed = new Set(); // entries for which another attempt may succeed
let shown = null;
let pictureUrl = null;

/** Shows the first of the photos (Files) and sends all of them. */
export function take(files) {
  const time = new Date();
  const fresh = [...files].map((file) => {
    return { file, name: file.name || "pasted photo", kind: "photo", time, local: onDevice() };
  });
  const entries = history.add(fresh);
  waiting = [...entries, ...waiting];
  show(entries[0]);
  if (entries.length > 1) announce(`${entries.length} photos were added to the history below.`);
  work();
}

/** Shows an entry of the history, or the place to drop photos if there is none. */
export function show(entry = shown) {
  shown = entry;
  history.mark(entry);
  at("drop").hidden = Boolean(entry);
  at("shown").hidden = !entry;
  at("keep").hidden = true;
  showCall(entry?.kind === "photo" && !entry.local ? entry.name : null);
  clearFaces();
  if (!entry) {
    const detail = "For each face, the bars show the model's probability of each expression.";
    say("waiting", "Seven expressions", detail);
    showGhost();
    return;
  }
  if (pictureUrl) URL.revokeObjectURL(pictureUrl);
  pictureUrl = URL.createObjectURL(entry.file);
  frame.classList.remove("unseen");
  picture.alt = entry.kind === "photo" ? `The chosen photo, ${entry.name}` : entry.name;
  picture.src = pictureUrl;
  write(at("filename"), entry.name);
  tell(entry);
}

/** Aborts all requests and hides the shown entry, after the history was cleared. */
export function drop() {
  waiting = [];
  failed.clear();
  for (const request of working.values()) request.abort();
  shown = null;
}

// --- requests ---

function work() {
  while (working.size < AT_ONCE && waiting.length) send(waiting.shift());
}

async function send(entry) {
  const request = new AbortController();
  const { signal } = request;
  working.set(entry, request);
  history.update(entry);
  tell(entry);
  try {
    await check(entry.file);
    const onBusy = (seconds) => { if (visible(entry)) sayBusy(seconds); };
    entry.answer = await recognize(entry, { name: entry.name, signal, onBusy });
  } catch (failure) {
    if (signal.aborted) return;
    if (!(failure instanceof Failure)) throw failure;
    fail(entry, failure);
    // The visitor is asked for the token once, not for each photo.
    if (failure.kind === "token") for (const other of waiting.splice(0)) fail(other, failure);
  } finally {
    working.delete(entry);
    work();
  }
  history.update(entry);
  tell(entry);
  history.drawThumbnail(entry);
  const finished = !working.size && !waiting.length;
  if (finished && entry !== shown) announce("All photos are processed.");
}

/** The answer for a photo. One over the server's limits is made smaller first. */
async function recognize(entry, options) {
  if (entry.local) return predict(entry.file, options, true);
  let refusal = tooLarge(entry.file.size);
  if (!refusal) {
    try {
      return await predict(entry.file, options, false);
    } catch (failure) {
      if (failure.kind !== "large") throw failure;
      refusal = failure; // it has many pixels, in a small file
    }
  }
  const smaller = await shrink(entry.file);
  if (!smaller) throw refusal;
  const answer = await predict(smaller.blob, options, false);
  entry.sent = `${answer.width} × ${answer.height}`;
  return enlarge(answer, smaller.width, smaller.height);
}

function tooLarge(bytes) {
  if (bytes <= maxBytes) return null;
  const size = (bytes / 2 ** 20).toFixed(1);
  const limit = +(maxBytes / 2 ** 20).toPrecision(3);
  const detail = `It has ${size} MB. The server accepts ${limit} MB. Scale it down first.`;
  return new Failure("large", "This photo is too large", detail);
}

async function check(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    const detail = "It may be a folder, or it was moved or deleted. Choose the photos themselves.";
    throw new Failure("refused", "This file cannot be read", detail);
  }
}

function fail(entry, failure) {
  entry.failure = failure;
  if (!final(failure)) failed.add(entry);
  history.update(entry);
}

/** Whether another attempt would end in the same way. */
function final({ kind }) {
  return kind === "refused" || kind === "large";
}

/** Sends the entry again, and all others for which another attempt may succeed. */
function again(entry) {
  waiting = [...new Set([entry, ...failed, ...waiting])];
  failed.clear();
  for (const one of waiting) {
    delete one.failure;
    history.update(one);
  }
  work();
}

// --- the shown entry ---

function visible(entry) {
  return entry === shown && document.body.dataset.mode === "photos";
}

async function tell(entry) {
  if (!visible(entry)) return;
  const { answer, failure } = entry;
  if (failure) {
    clearFaces();
    sayFailure(failure, final(failure) ? null : () => again(entry));
  } else if (!answer) {
    say("working", "Looking for faces…", "This takes a moment.");
    showGhost();
  } else {
    shape(frame, answer.width, answer.height);
    // The headline of the photo before must not stand beside this one while it is decoded.
    if (!picture.complete) say("loading", "Opening the photo…", "This takes a moment.");
    await picture.decode().catch(() => {});
    if (visible(entry)) answered(entry);
  }
}

function answered(entry) {
  clearFaces();
  draw(entry);
}

function draw({ answer, sent }) {
  const faces = judged(answer.faces);
  if (!faces.length) {
    const where = "The detector finds faces that look at the camera.";
    say("none", "No face found", `${where} Try a brighter, closer or more frontal photo.`);
    return;
  }
  showAnswer({ ...answer, faces }, { picture: picture.naturalWidth ? picture : null, boxes });
  at("keep").hidden = !picture.naturalWidth;
  const reduced = sent ? ` The photo was sent with ${sent} pixels.` : "";
  say("result", count(faces.length, "face"), `Most probable: ${summary(faces)}.${reduced}`);
}

whenMoved(() => {
  if (shown?.answer && visible(shown) && picture.complete) draw(shown);
});
at("keep").addEventListener("click", async () => {
  const { name } = shown;
  const answer = { ...shown.answer, faces: judged(shown.answer.faces) };
  const several = answer.faces.length > 1;
  const drawn = await annotated(picture, answer, (face, index) => label(face, index, several));
  if (drawn) save(drawn, `${name.replace(/\.[^.]*$/, "")}-annotated.jpg`);
});

// --- the file input and the picture ---

at("file").addEventListener("change", (event) => {
  const files = [...event.target.files];
  event.target.value = ""; // otherwise choosing the same photo again is no change
  if (files.length) take(files);
});
async function takeExample(address) {
  try {
    const file = await example(address);
    at("file").focus({ preventScroll: true }); // the button is hidden from now on
    take([file]);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    sayFailure(failure, () => takeExample(address));
  }
}

for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", () => takeExample(button.dataset.example));
}
picture.addEventListener("load", () => {
  shape(frame, picture.naturalWidth, picture.naturalHeight);
});
picture.addEventListener("error", () => frame.classList.add("unseen"));
