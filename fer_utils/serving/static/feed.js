// The server's own camera: a stream of JPEGs in which the server has drawn the faces.

import { Failure, feed } from "./api.js";
import { Rate } from "./live.js";
import { announce, at, clearFaces, say, sayBusy, sayFailure, shape } from "./view.js";

const figure = at("feed-shown");
const canvas = figure.querySelector("canvas");

let running = null; // AbortController of the open stream

export function enter() {
  clearFaces();
  say(
    "waiting",
    "The server's camera",
    "The server's own camera or video. The same model finds the faces, and the server draws them.",
  );
}

/** Closes the stream. `reason` is shown if the visitor did not close it. */
export function stop(reason) {
  if (!running) return;
  running.abort();
  running = null;
  show(false);
  enter();
  if (reason) say("waiting", "Stopped", reason);
}

// An <img> could show the stream, but it cannot send the access token.
async function watch() {
  stop();
  const run = new AbortController();
  const { signal } = run;
  running = run;
  say("loading", "Waiting for the server's camera…", "This takes a moment.");
  const rate = new Rate(figure.querySelector(".rate"));
  try {
    for await (const picture of feed({ signal, onBusy: sayBusy })) {
      const bitmap = await createImageBitmap(picture);
      if (signal.aborted) return;
      if (figure.hidden) begin();
      draw(bitmap);
      rate.count();
    }
    if (signal.aborted) return;
    stop();
    const detail = "The server's video is over, or its camera was removed.";
    say("waiting", "The stream has ended", detail);
  } catch (failure) {
    if (signal.aborted) return;
    stop();
    sayFailure(failure instanceof Failure ? failure : unreadable(), watch);
  }
}

function unreadable() {
  return new Failure("failed", "The stream is damaged", "One of its pictures cannot be read.");
}

function begin() {
  show(true);
  say("live", "The server's camera", "The server draws the boxes and names.");
  announce("The server's camera is shown.");
}

function draw(bitmap) {
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    shape(figure.querySelector(".photo"), bitmap.width, bitmap.height);
  }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
}

function show(on) {
  const active = document.activeElement;
  const focused = figure.contains(active) || active === at("start-feed");
  at("feed-start").hidden = on;
  figure.hidden = !on;
  if (focused) at(on ? "stop-feed" : "start-feed").focus();
}

at("start-feed").addEventListener("click", watch);
at("stop-feed").addEventListener("click", () => stop());
