// Texts and drawings: the headline, a card with bars for each face, and the boxes over the picture.

export const EMOTIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];
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

/** "happy 82 %, sad 41 % (uncertain)" */
export function summary(faces) {
  const words = (face) => {
    return `${face.emotion} ${percent(face.probabilities[face.emotion])}${doubt(face)}`;
  };
  return faces.map(words).join(", ");
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
}

export function clearFaces() {
  at("faces").replaceChildren();
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
  faces.forEach((face, index) => {
    const card = at("faces").children[index];
    fillCard(card, face, index, several);
    cut(card.querySelector("canvas"), picture, face.box);
    fillBox(boxes.children[index], face, index, answer, { several, mirrored });
  });
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
  box.append(document.createElement("span"));
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
    at("faces").children[index].scrollIntoView({ block: "nearest", behavior });
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
  write(element.firstElementChild, label(face, index, several));
  if (element.type === "button") {
    const share = percent(face.probabilities[face.emotion]);
    const label = `Face ${index + 1}: ${face.emotion}, ${share}`;
    element.setAttribute("aria-label", label + (face.uncertain ? ", uncertain" : ""));
  }
}

function light(index, on) {
  at("faces").children[index]?.classList.toggle("lit", on);
  for (const boxes of document.querySelectorAll(".boxes")) {
    boxes.children[index]?.classList.toggle("lit", on);
  }
}

at("again").addEventListener("click", () => tryAgain?.());
