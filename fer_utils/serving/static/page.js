"use strict";

const EMOTIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];
const page = document.body;
const at = (id) => document.getElementById(id);
const maxBytes = Number(page.dataset.maxBytes);

let current = null; // the chosen file
let request = null; // AbortController of the request in flight
let pictureUrl = null;

// --- what the page says ---

function say(state, headline, detail, { again = false } = {}) {
  page.dataset.state = state;
  at("headline").textContent = headline;
  at("detail").textContent = detail;
  at("again").hidden = !again;
}

function percent(share) {
  if (share > 0 && share < 0.01) return "< 1 %";
  return `${Math.round(100 * share)} %`;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function clear() {
  at("faces").replaceChildren();
  at("boxes").replaceChildren();
}

// --- one face: its card and its box ---

function card(face, index, several) {
  const item = at("face").content.cloneNode(true).querySelector(".face");
  const bars = item.querySelector(".bars");
  item.querySelector(".number").textContent = several ? `Face ${index + 1}` : "";
  item.querySelector(".emotion").textContent = face.emotion;
  item.querySelector(".share").textContent = percent(face.probabilities[face.emotion]);
  for (const [emotion, share] of Object.entries(face.probabilities)) {
    bars.append(bar(emotion, share, emotion === face.emotion));
  }
  return item;
}

function bar(emotion, share, top) {
  const row = at("bar").content.cloneNode(true).querySelector("li");
  row.classList.toggle("top", top);
  row.querySelector(".name").textContent = emotion;
  row.querySelector(".value").textContent = share === null ? "" : percent(share);
  // The bar grows from nothing: its width is set after the first paint.
  requestAnimationFrame(() => requestAnimationFrame(() => {
    row.querySelector(".fill").style.width = `${100 * (share ?? 0)}%`;
  }));
  return row;
}

function box(face, index, several, answer) {
  const { x, y, width, height } = face.box;
  const button = document.createElement("button");
  const label = document.createElement("span");
  const share = percent(face.probabilities[face.emotion]);
  button.type = "button";
  button.className = "box";
  button.style.left = `${100 * x / answer.width}%`;
  button.style.top = `${100 * y / answer.height}%`;
  button.style.width = `${100 * width / answer.width}%`;
  button.style.height = `${100 * height / answer.height}%`;
  button.classList.toggle("at-top", y < 0.09 * answer.height);
  button.classList.toggle("at-right", x + width / 2 > 0.6 * answer.width);
  button.setAttribute("aria-label", `Face ${index + 1}: ${face.emotion}, ${share}`);
  label.textContent = several ? `${index + 1} ${face.emotion}` : face.emotion;
  button.append(label);
  return button;
}

function thumbnail(canvas, face) {
  const picture = at("picture");
  if (!picture.naturalWidth) { canvas.hidden = true; return; }
  const { x, y, width, height } = face.box;
  canvas.getContext("2d").drawImage(picture, x, y, width, height, 0, 0, canvas.width, canvas.height);
}

function link(button, item) {
  const light = (on) => { button.classList.toggle("lit", on); item.classList.toggle("lit", on); };
  for (const element of [button, item]) {
    element.addEventListener("pointerenter", () => light(true));
    element.addEventListener("pointerleave", () => light(false));
  }
  button.addEventListener("focus", () => light(true));
  button.addEventListener("blur", () => light(false));
  button.addEventListener("click", () => item.scrollIntoView({ block: "nearest", behavior: "smooth" }));
}

// --- a photo's way: chosen, shown, sent, answered ---

function choose(file) {
  current = file;
  clear();
  show(file);
  if (file.size > maxBytes) {
    const size = (file.size / 2 ** 20).toFixed(1);
    say("error", "This photo is too large", `It has ${size} MB, and the server takes ${+(maxBytes / 2 ** 20).toPrecision(3)} MB. Scale it down first.`);
    return;
  }
  send(file);
}

function show(file) {
  const picture = at("picture");
  if (pictureUrl) URL.revokeObjectURL(pictureUrl);
  pictureUrl = URL.createObjectURL(file);
  at("photo").classList.remove("unseen");
  picture.alt = `The chosen photo, ${file.name}`;
  picture.src = pictureUrl;
  at("filename").textContent = file.name;
}

function shape(width, height) {
  at("photo").style.setProperty("--ratio", width / height);
}

async function send(file) {
  request?.abort();
  request = new AbortController();
  const { signal } = request;
  say("working", "Looking for faces…", "This takes a moment.");
  const form = new FormData();
  form.append("image", file);
  let answer;
  let body;
  try {
    answer = await fetch("predict", { method: "POST", body: form, signal });
    body = await answer.json();
  } catch (failure) {
    if (signal.aborted) return; // another photo was chosen meanwhile
    if (answer) say("error", "The server's answer makes no sense", "Something else may be answering at this address.", { again: true });
    else say("error", "The server does not answer", "It may have been stopped. Start it again, then try once more; the photo is still here.", { again: true });
    return;
  }
  if (!answer.ok) {
    const headline = answer.status < 500 ? "This photo cannot be read" : "The server failed";
    say("error", headline, sentence(body.detail ?? body.title), { again: answer.status >= 500 });
    return;
  }
  await at("picture").decode().catch(() => {});
  if (!signal.aborted) tell(body);
}

function tell(answer) {
  const faces = answer.faces;
  shape(answer.width, answer.height);
  clear();
  if (!faces.length) {
    say("none", "No face found", "The detector looks for faces turned to the camera. A brighter, closer or straighter photo may help.");
    return;
  }
  const several = faces.length > 1;
  faces.forEach((face, index) => {
    const item = card(face, index, several);
    const button = box(face, index, several, answer);
    thumbnail(item.querySelector("canvas"), face);
    link(button, item);
    at("faces").append(item);
    at("boxes").append(button);
  });
  const list = faces.map((face) => `${face.emotion} ${percent(face.probabilities[face.emotion])}`).join(", ");
  say("result", several ? `${faces.length} faces` : "1 face", `Most probable: ${list}.`);
}

function wait() {
  const ghost = at("face").content.cloneNode(true).querySelector(".face");
  ghost.classList.add("ghost");
  ghost.setAttribute("aria-hidden", "true");
  ghost.querySelector(".bars").append(...EMOTIONS.map((emotion) => bar(emotion, null, false)));
  at("faces").append(ghost);
}

// --- ways to give a photo ---

at("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = ""; // so that choosing the same photo again is a change
  if (file) choose(file);
});
at("again").addEventListener("click", () => send(current));
at("picture").addEventListener("load", (event) => shape(event.target.naturalWidth, event.target.naturalHeight));
at("picture").addEventListener("error", () => at("photo").classList.add("unseen"));

document.addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (file) choose(file);
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  page.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) page.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  page.classList.remove("dragging");
  const [file] = event.dataTransfer.files;
  if (file) choose(file);
});

wait();
