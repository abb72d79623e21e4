// The page: its tabs, and pictures that are dropped, pasted or selected in the history.

import * as feed from "./feed.js";
import * as history from "./history.js";
import * as photos from "./photos.js";
import { whenChanged } from "./place.js";
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

// --- tabs: one source at a time ---

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

function tabAfter(key, here) {
  if (key === "ArrowRight") return tabs[(here + 1) % tabs.length];
  if (key === "ArrowLeft") return tabs[(here - 1 + tabs.length) % tabs.length];
  if (key === "Home") return tabs[0];
  if (key === "End") return tabs[tabs.length - 1];
  return null;
}

for (const tab of tabs) {
  tab.addEventListener("click", () => open(tab.dataset.mode));
  tab.addEventListener("keydown", (event) => {
    const next = tabAfter(event.key, tabs.indexOf(tab));
    if (!next) return;
    event.preventDefault();
    next.focus();
    open(next.dataset.mode);
  });
}

history.whenSelected((entry) => {
  if (!entry) photos.drop();
  if (!entry && page.dataset.mode !== "photos") return;
  open("photos");
  photos.show(entry);
  if (entry) at("photos").scrollIntoView({ block: "nearest" });
});

whenChanged(() => {
  // The introduction of a source names the place.
  if (page.dataset.state === "waiting") sources[page.dataset.mode].enter();
});

// --- dropped and pasted files ---

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

// --- a hidden page uses no camera ---

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "hidden") return;
  webcam.stop("The camera was turned off because this tab was hidden.");
  feed.stop("The stream was closed because this tab was hidden.");
  video.rest();
});
addEventListener("pagehide", () => {
  webcam.stop();
  feed.stop();
});

open("photos");
if (page.dataset.token === "required" && !storedToken()) giveToken(null);
