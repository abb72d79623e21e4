// Texts and drawings: the headline, a card with bars for each face, and the boxes over the picture.

import { placeLabels } from "./labels.js";

export const EMOTIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];
const MANY = 4; // faces from which on the list is compact
const CALM = 4000; // milliseconds between announcements about a moving picture

export const at = (id) => document.getElementById(id);

let tryAgain = null;

/**
 * Sets the page's state, which determines its style, its headline and its detail.
 *
 * `again` is the action of the button "Try again", which is hidden if there is none.
 */
export function say(state, headline, detail, again = null) {
  document.body.dataset.state = state;
  write(at("headline"), headline);
  write(at("detail"), detail);
  // Moving pictures change the headline many times a second. For screen readers, `announceCalmly`
  // takes the place of the headline.
  at("said").setAttribute("aria-live", state === "live" ? "off" : "polite");
  if (!again && document.activeElement === at("again")) at("headline").focus();
  at("again").hidden = !again;
  tryAgain = again;
}

export function sayFailure(failure, again = null) {
  say("error", failure.headline, failure.detail, again);
}

export function sayBusy(seconds) {
  const wait = Math.max(1, Math.round(seconds));
  say("busy", "The server is busy", `The next attempt is in ${wait} s.`);
}

/** Sets a sentence for screen readers only. */
export function announce(text) {
  write(at("announcer"), text);
}

let lastAnnounced = 0;

/** Like `announce`, but at most once in `CALM` milliseconds. */
export function announceCalmly(text) {
  const now = performance.now();
  if (now - lastAnnounced < CALM || at("announcer").textContent === text) return;
  lastAnnounced = now;
  announce(text);
}

export function write(element, text) {
  // Screen readers would read an unchanged text again.
  if (element.textContent !== text) element.textContent = text;
}

export function percent(share) {
  if (share > 0 && share < 0.01) return "< 1 %";
  return `${Math.round(100 * share)} %`;
}

export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

/** Gives a frame the aspect ratio of the picture in it. */
export function shape(frame, width, height) {
  if (width && height) frame.style.setProperty("--ratio", width / height);
}

/** "happy 82 %, sad 41 % (uncertain)"; for many faces "5 happy, 2 sad, of which 1 is uncertain" */
export function summary(faces) {
  const words = (face) => {
    return `${face.emotion} ${percent(face.probabilities[face.emotion])}${doubt(face)}`;
  };
  return tally(faces) ?? faces.map(words).join(", ");
}

/** The numbers of many faces by emotion, or null for few faces. */
export function tally(faces) {
  if (faces.length < MANY) return null;
  const counts = new Map();
  for (const { emotion } of faces) counts.set(emotion, (counts.get(emotion) ?? 0) + 1);
  const sorted = [...counts].sort((one, other) => other[1] - one[1]);
  const unsure = faces.filter((face) => face.uncertain).length;
  const rest = unsure ? `, of which ${count(unsure, "is", "are")} uncertain` : "";
  return sorted.map(([emotion, number]) => `${number} ${emotion}`).join(", ") + rest;
}

/** "2 happy (uncertain)", without the number if there are not several faces. */
export function label(face, index, several) {
  return `${several ? `${index + 1} ` : ""}${face.emotion}${doubt(face)}`;
}

function doubt(face) {
  return face.uncertain ? " (uncertain)" : "";
}

/** Shows a card with empty bars, as a preview of a result. */
export function showGhost() {
  const ghost = at("face").content.cloneNode(true).querySelector(".face");
  ghost.classList.add("ghost");
  ghost.setAttribute("aria-hidden", "true");
  for (const emotion of EMOTIONS) fill(addBar(ghost), emotion, 0, false);
  at("faces").replaceChildren(ghost);
  spreadOut();
}

/** Ends the compact list. */
function spreadOut() {
  for (const element of document.querySelectorAll(".many")) element.classList.remove("many");
}

export function clearFaces() {
  at("faces").replaceChildren();
  spreadOut();
  for (const boxes of document.querySelectorAll(".boxes")) boxes.replaceChildren();
}

/**
 * Draws the cards, and the boxes in `boxes`, of a result.
 *
 * Existing cards and boxes are reused, so a moving picture does not flicker. The faces on the cards
 * are cut out of `picture`, or missing if it is null. `live` boxes change all the time, so they are
 * no buttons. `mirrored` boxes belong to a mirrored picture. Without faces, the bars are empty.
 */
export function showAnswer(answer, { picture, boxes, live = false, mirrored = false }) {
  const { faces } = answer;
  const ghost = at("faces").querySelector(".ghost");
  if (!faces.length) {
    boxes.replaceChildren();
    if (!ghost) showGhost();
    return;
  }
  ghost?.remove();
  fit(at("faces"), faces.length, newCard);
  fit(boxes, faces.length, (index) => newBox(index, live));
  const several = faces.length > 1;
  // The list of a moving picture stays compact, because the number of faces in it flickers.
  const many = faces.length >= MANY || (live && boxes.classList.contains("many"));
  for (const element of [at("faces"), boxes]) element.classList.toggle("many", many);
  faces.forEach((face, index) => {
    const card = at("faces").children[index];
    fillCard(card, face, index, several);
    card.querySelector(".more").hidden = !many;
    cut(card.querySelector("canvas"), picture, face.box);
    fillBox(boxes.children[index], face, index, answer, { several, mirrored });
  });
  arrange(boxes);
}

function fit(parent, length, make) {
  while (parent.children.length > length) parent.lastElementChild.remove();
  while (parent.children.length < length) parent.append(make(parent.children.length));
}

// --- a card ---

function newCard(index) {
  const card = at("face").content.cloneNode(true).querySelector(".face");
  card.addEventListener("pointerenter", () => light(index, true));
  card.addEventListener("pointerleave", () => light(index, false));
  const more = card.querySelector(".more");
  more.ariaLabel = `All expressions of face ${index + 1}`;
  more.addEventListener("click", () => open(card, !card.classList.contains("open")));
  more.addEventListener("focus", () => light(index, true));
  more.addEventListener("blur", () => light(index, false));
  return card;
}

/** Shows all bars of a card in the compact list. */
function open(card, on) {
  card.classList.toggle("open", on);
  card.querySelector(".more").ariaExpanded = String(on);
}

function fillCard(card, face, index, several) {
  write(card.querySelector(".number"), several ? `Face ${index + 1}` : "");
  write(card.querySelector(".emotion"), face.emotion);
  write(card.querySelector(".share"), percent(face.probabilities[face.emotion]));
  card.querySelector(".uncertain").hidden = !face.uncertain;
  card.classList.toggle("doubted", face.uncertain);
  const shares = Object.entries(face.probabilities);
  const rows = card.querySelector(".bars").children;
  while (rows.length < shares.length) addBar(card);
  shares.forEach(([emotion, share], row) => {
    fill(rows[row], emotion, share, emotion === face.emotion);
  });
}

function addBar(card) {
  const row = at("bar").content.cloneNode(true).querySelector("li");
  card.querySelector(".bars").append(row);
  return row;
}

function fill(row, emotion, share, top) {
  row.classList.toggle("top", top);
  write(row.querySelector(".name"), emotion);
  write(row.querySelector(".value"), percent(share));
  const track = row.querySelector(".fill");
  // A new bar grows from zero, because its width is set after the first paint.
  const grow = () => { track.style.width = `${100 * share}%`; };
  if (track.style.width) grow();
  else requestAnimationFrame(() => requestAnimationFrame(grow));
}

function cut(canvas, picture, { x, y, width, height }) {
  canvas.hidden = !picture;
  if (!picture) return;
  const context = canvas.getContext("2d");
  context.drawImage(picture, x, y, width, height, 0, 0, canvas.width, canvas.height);
}

// --- a box ---

function newBox(index, live) {
  const box = document.createElement(live ? "div" : "button");
  box.className = "box";
  const plate = document.createElement("span");
  plate.className = "label";
  plate.append(document.createElement("span"), document.createElement("span"));
  plate.lastElementChild.className = "rest";
  box.append(plate);
  if (live) return box;
  box.type = "button";
  for (const event of ["pointerenter", "focus"]) {
    box.addEventListener(event, () => light(index, true));
  }
  for (const event of ["pointerleave", "blur"]) {
    box.addEventListener(event, () => light(index, false));
  }
  box.addEventListener("click", () => {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const behavior = still ? "auto" : "smooth";
    const card = at("faces").children[index];
    open(card, true);
    card.scrollIntoView({ block: "nearest", behavior });
  });
  return box;
}

function fillBox(element, face, index, answer, { several, mirrored }) {
  const { y, width, height } = face.box;
  const x = mirrored ? answer.width - face.box.x - width : face.box.x;
  element.style.left = `${100 * x / answer.width}%`;
  element.style.top = `${100 * y / answer.height}%`;
  element.style.width = `${100 * width / answer.width}%`;
  element.style.height = `${100 * height / answer.height}%`;
  element.classList.toggle("doubted", face.uncertain);
  const [number, rest] = element.firstElementChild.children;
  write(number, several ? String(index + 1) : "");
  write(rest, `${several ? " " : ""}${label(face, index, false)}`);
  if (element.type === "button") {
    const share = percent(face.probabilities[face.emotion]);
    const label = `Face ${index + 1}: ${face.emotion}, ${share}`;
    element.setAttribute("aria-label", label + (face.uncertain ? ", uncertain" : ""));
  }
}

const places = new WeakMap(); // the .boxes -> the places of their labels

/** Puts the labels where they cover neither faces nor each other, as far as there is room. */
function arrange(boxes) {
  const { clientWidth: width, clientHeight: height } = boxes;
  const elements = [...boxes.children];
  if (!width || !elements.length) return; // hidden; it is arranged when it appears
  const single = elements.length === 1; // its label has no number, so it is never shortened
  const plates = elements.map((element) => element.firstElementChild);
  for (const plate of plates) plate.classList.remove("short");
  const sizes = plates.map((plate) => {
    const { offsetWidth, offsetHeight } = plate;
    const short = single ? offsetWidth : offsetWidth - plate.lastElementChild.offsetWidth;
    return { width: offsetWidth, height: offsetHeight, short };
  });
  const frames = elements.map(({ offsetLeft, offsetTop, offsetWidth, offsetHeight }) => {
    return { x: offsetLeft, y: offsetTop, width: offsetWidth, height: offsetHeight };
  });
  const border = elements[0].clientLeft; // a label's place is counted from within its box
  const found = placeLabels(frames, sizes, { width, height }, places.get(boxes));
  places.set(boxes, found);
  found.forEach(({ x, y, short }, index) => {
    const [plate, frame] = [plates[index], frames[index]];
    plate.classList.toggle("short", short && !single);
    plate.style.top = `${y - frame.y - border}px`;
    // A short label grows when its face is chosen. At the right edge it grows to the left.
    const right = x + sizes[index].width > width;
    const shown = short ? sizes[index].short : sizes[index].width;
    plate.style.left = right ? "auto" : `${x - frame.x - border}px`;
    plate.style.right = right ? `${frame.x + frame.width - x - shown - border}px` : "auto";
  });
}

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) arrange(target);
});
for (const boxes of document.querySelectorAll(".boxes")) resized.observe(boxes);

function light(index, on) {
  at("faces").children[index]?.classList.toggle("lit", on);
  for (const boxes of document.querySelectorAll(".boxes")) {
    boxes.children[index]?.classList.toggle("lit", on);
  }
}

at("again").addEventListener("click", () => tryAgain?.());
