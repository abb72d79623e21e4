// The page: which source is open, and what is dropped, pasted or picked from the history.

import * as feed from "./feed.js";
import * as history from "./history.js";
import * as photos from "./photos.js";
import { giveToken, storedToken } from "./token.js";
import * as video from "./video.js";
import { at } from "./view.js";
import * as webcam from "./webcam.js";

const page = document.body;
const tabs = [...document.querySelectorAll('[role="tab"]')];
const sources = {
  photos: { enter: () => photos.show(), leave: () => {} },
  webcam: { enter: webcam.enter, leave: () => webcam.stop() },
  video: { enter: video.enter, leave: video.stop },
  feed: { enter: feed.enter, leave: () => feed.stop() },
};

// --- one source at a time ---

function open(mode) {
  if (page.dataset.mode === mode) return;
  sources[page.dataset.mode]?.leave();
  page.dataset.mode = mode;
  history.mark(null);
  for (const tab of tabs) {
    const on = tab.dataset.mode === mode;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
    at(tab.getAttribute("aria-controls")).hidden = !on;
  }
  sources[mode].enter();
}

for (const tab of tabs) {
  tab.addEventListener("click", () => open(tab.dataset.mode));
  tab.addEventListener("keydown", (event) => {
    const here = tabs.indexOf(tab);
    const next = { ArrowRight: here + 1, ArrowLeft: here - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    tabs[next % tabs.length].focus();
    open(tabs[next % tabs.length].dataset.mode);
  });
}

history.whenSelected((entry) => {
  if (!entry) photos.drop();
  if (!entry && page.dataset.mode !== "photos") return;
  open("photos");
  photos.show(entry);
  if (entry) at("photos").scrollIntoView({ block: "nearest" });
});

// --- dropped and pasted ---

function receive(files) {
  const [first] = files;
  if (!first) return;
  if (first.type.startsWith("video/")) {
    open("video");
    video.play(first);
  } else {
    open("photos");
    photos.take(files);
  }
}

document.addEventListener("paste", (event) => receive(event.clipboardData.files));
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
  receive(event.dataTransfer.files);
});

// --- a page that nobody sees holds no camera ---

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "hidden") return;
  webcam.stop("The camera was freed because this tab was left.");
  feed.stop("The stream was closed because this tab was left.");
  video.rest();
});
addEventListener("pagehide", () => {
  webcam.stop();
  feed.stop();
});

open("photos");
if (page.dataset.token === "required" && !storedToken()) giveToken(null);
