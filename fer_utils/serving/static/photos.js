// Photos: chosen, shown, sent and answered; each is an entry of the history.

import { Failure, predict } from "./api.js";
import * as history from "./history.js";
import { announce, at, clearFaces, count, say, sayBusy, sayFailure, shape, showAnswer, showGhost, summary, write } from "./view.js";

const AT_ONCE = 2; // photos the server has at a time
const maxBytes = Number(document.body.dataset.maxBytes);
const picture = at("picture");
const frame = at("photo");
const boxes = frame.querySelector(".boxes");

let waiting = []; // entries that are still to be sent
const working = new Map(); // entry -> AbortController of its request
const failed = new Set(); // entries that another try may help
let shown = null;
let pictureUrl = null;

/** Takes photos (Files): shows the first, and asks the server about each. */
export function take(files) {
  const time = new Date();
  const entries = history.add([...files].map((file) => ({ file, name: file.name || "pasted photo", kind: "photo", time })));
  waiting = [...entries, ...waiting];
  show(entries[0]);
  if (entries.length > 1) announce(`${entries.length} photos. The history below has them all.`);
  work();
}

/** Shows an entry of the history, or the place to drop photos when there is none. */
export function show(entry = shown) {
  shown = entry;
  history.mark(entry);
  at("drop").hidden = Boolean(entry);
  at("shown").hidden = !entry;
  clearFaces();
  if (!entry) {
    say("waiting", "Seven expressions", "For each face in a picture: how the model shares its belief among them.");
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

/** Forgets what was to be sent and what is shown: the history was cleared. */
export function drop() {
  waiting = [];
  failed.clear();
  for (const request of working.values()) request.abort();
  shown = null;
}

// --- asking the server ---

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
    entry.answer = await predict(entry.file, { name: entry.name, signal, onBusy });
  } catch (failure) {
    if (signal.aborted) return;
    if (!(failure instanceof Failure)) throw failure;
    fail(entry, failure);
    if (failure.kind === "token") for (const other of waiting.splice(0)) fail(other, failure); // asked for once, not for each
  } finally {
    working.delete(entry);
    work();
  }
  history.update(entry);
  tell(entry);
  history.drawThumbnail(entry);
  if (!working.size && !waiting.length && entry !== shown) announce("All photos are answered.");
}

async function check(file) {
  if (file.size > maxBytes) {
    const [size, limit] = [(file.size / 2 ** 20).toFixed(1), +(maxBytes / 2 ** 20).toPrecision(3)];
    throw new Failure("refused", "This photo is too large", `It has ${size} MB, and the server takes ${limit} MB. Scale it down first.`);
  }
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Failure("refused", "This file cannot be read", "It may be a folder, or have been moved or deleted since. Choose the photos themselves.");
  }
}

function fail(entry, failure) {
  entry.failure = failure;
  if (failure.kind !== "refused") failed.add(entry);
  history.update(entry);
}

/** Asks again for the entry, and for all others that failed as it did for reasons that may be over. */
function again(entry) {
  waiting = [...new Set([entry, ...failed, ...waiting])];
  failed.clear();
  for (const one of waiting) {
    delete one.failure;
    history.update(one);
  }
  work();
}

// --- what is said of an entry ---

function visible(entry) {
  return entry === shown && document.body.dataset.mode === "photos";
}

async function tell(entry) {
  if (!visible(entry)) return;
  const { answer, failure } = entry;
  if (failure) {
    clearFaces();
    sayFailure(failure, failure.kind === "refused" ? null : () => again(entry));
  } else if (!answer) {
    say("working", "Looking for faces…", "This takes a moment.");
    showGhost();
  } else {
    shape(frame, answer.width, answer.height);
    await picture.decode().catch(() => {});
    if (visible(entry)) answered(answer);
  }
}

function answered(answer) {
  const { faces } = answer;
  clearFaces();
  if (!faces.length) {
    say("none", "No face found", "The detector looks for faces turned to the camera. A brighter, closer or straighter photo may help.");
    return;
  }
  showAnswer(answer, { picture: picture.naturalWidth ? picture : null, boxes });
  say("result", count(faces.length, "face"), `Most probable: ${summary(faces)}.`);
}

// --- ways to give photos ---

at("file").addEventListener("change", (event) => {
  const files = [...event.target.files];
  event.target.value = ""; // so that choosing the same photo again is a change
  if (files.length) take(files);
});
picture.addEventListener("load", () => shape(frame, picture.naturalWidth, picture.naturalHeight));
picture.addEventListener("error", () => frame.classList.add("unseen"));
