// What is said and drawn: the headline, a card with bars for each face, and the boxes over the picture.

const EMOTIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];
const CALM = 4000; // milliseconds between what a screen reader hears of a moving picture

export const at = (id) => document.getElementById(id);

let tryAgain = null;

/** Sets the page's state (it styles the page), its headline and detail, and what "Try again" does, if anything. */
export function say(state, headline, detail, again = null) {
  document.body.dataset.state = state;
  write(at("headline"), headline);
  write(at("detail"), detail);
  // Moving pictures change the headline many times a second: `announce` tells a screen reader of them, calmly.
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
  say("busy", "The server is busy", `It has more to do than it can take. Asking again in ${wait} s.`);
}

/** A sentence for screen readers alone. */
export function announce(text) {
  write(at("announcer"), text);
}

let lastAnnounced = 0;

/** As `announce`, but seldom: for what changes with every frame. */
export function announceCalmly(text) {
  const now = performance.now();
  if (now - lastAnnounced < CALM || at("announcer").textContent === text) return;
  lastAnnounced = now;
  announce(text);
}

export function write(element, text) {
  if (element.textContent !== text) element.textContent = text; // an unchanged text is not read out again
}

export function percent(share) {
  if (share > 0 && share < 0.01) return "< 1 %";
  return `${Math.round(100 * share)} %`;
}

export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

/** Width by height of what is shown, so that its frame has the right shape. */
export function shape(frame, width, height) {
  if (width && height) frame.style.setProperty("--ratio", width / height);
}

/** "happy 82 %, sad 41 % (uncertain)" */
export function summary(faces) {
  return faces.map((face) => `${face.emotion} ${percent(face.probabilities[face.emotion])}${doubt(face)}`).join(", ");
}

function doubt(face) {
  return face.uncertain ? " (uncertain)" : "";
}

/** The empty bars of a card: what an answer will look like. */
export function showGhost() {
  const ghost = at("face").content.cloneNode(true).querySelector(".face");
  ghost.classList.add("ghost");
  ghost.setAttribute("aria-hidden", "true");
  for (const emotion of EMOTIONS) fill(addBar(ghost), emotion, 0, false);
  at("faces").replaceChildren(ghost);
}

export function clearFaces() {
  at("faces").replaceChildren();
  for (const boxes of document.querySelectorAll(".boxes")) boxes.replaceChildren();
}

/**
 * Draws the answer: cards, and boxes in `boxes`.
 *
 * Cards and boxes that are there already are changed, not made anew, so that a moving picture does not flicker.
 * `picture` is what the faces are cut from (null: cannot be drawn); `live` boxes are no buttons, for they come and
 * go; `mirrored` ones lie over a mirrored picture. Without a face there are the empty bars.
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
  faces.forEach((face, index) => {
    const card = at("faces").children[index];
    fillCard(card, face, index, faces.length > 1);
    cut(card.querySelector("canvas"), picture, face.box);
    fillBox(boxes.children[index], face, index, answer, { several: faces.length > 1, mirrored });
  });
}

function fit(parent, length, make) {
  while (parent.children.length > length) parent.lastElementChild.remove();
  while (parent.children.length < length) parent.append(make(parent.children.length));
}

// --- a card ---

function newCard(index) {
  const card = at("face").content.cloneNode(true).querySelector(".face");
  for (const [event, on] of [["pointerenter", true], ["pointerleave", false]]) {
    card.addEventListener(event, () => light(index, on));
  }
  return card;
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
  shares.forEach(([emotion, share], row) => fill(rows[row], emotion, share, emotion === face.emotion));
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
  // A new bar grows from nothing: its width is set after the first paint.
  const grow = () => { track.style.width = `${100 * share}%`; };
  if (track.style.width) grow();
  else requestAnimationFrame(() => requestAnimationFrame(grow));
}

function cut(canvas, picture, { x, y, width, height }) {
  canvas.hidden = !picture;
  if (picture) canvas.getContext("2d").drawImage(picture, x, y, width, height, 0, 0, canvas.width, canvas.height);
}

// --- a box ---

function newBox(index, live) {
  const box = document.createElement(live ? "div" : "button");
  box.className = "box";
  box.append(document.createElement("span"));
  if (live) return box;
  box.type = "button";
  for (const [event, on] of [["pointerenter", true], ["pointerleave", false], ["focus", true], ["blur", false]]) {
    box.addEventListener(event, () => light(index, on));
  }
  box.addEventListener("click", () => {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    at("faces").children[index].scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
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
  element.classList.toggle("at-top", y < 0.09 * answer.height);
  element.classList.toggle("at-right", x + width / 2 > 0.6 * answer.width);
  element.classList.toggle("doubted", face.uncertain);
  write(element.firstElementChild, `${several ? `${index + 1} ` : ""}${face.emotion}${doubt(face)}`);
  if (element.type === "button") {
    const share = percent(face.probabilities[face.emotion]);
    element.setAttribute("aria-label", `Face ${index + 1}: ${face.emotion}, ${share}${face.uncertain ? ", uncertain" : ""}`);
  }
}

function light(index, on) {
  at("faces").children[index]?.classList.toggle("lit", on);
  for (const boxes of document.querySelectorAll(".boxes")) boxes.children[index]?.classList.toggle("lit", on);
}

at("again").addEventListener("click", () => tryAgain?.());
