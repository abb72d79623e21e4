// The server's own camera: its stream of JPEGs, with the faces drawn in by the server.

import { Failure, feed } from "./api.js";
import { Rate } from "./live.js";
import { announce, at, clearFaces, say, sayBusy, sayFailure, shape } from "./view.js";

const figure = at("feed-shown");
const canvas = figure.querySelector("canvas");

let running = null; // AbortController of the stream that is open

export function enter() {
  clearFaces();
  say("waiting", "The server's camera", "The server looks at its own camera or video with the same model, and draws what it finds on the picture.");
}

/** Lets go of the stream. `reason`: why, when it was not the visitor. */
export function stop(reason) {
  if (!running) return;
  running.abort();
  running = null;
  show(false);
  enter();
  if (reason) say("waiting", "Stopped", reason);
}

// An <img> would show the stream by itself, but cannot send the access token.
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
    say("waiting", "The stream has ended", "The server's video is over, or its camera was taken away.");
  } catch (failure) {
    if (signal.aborted) return;
    stop();
    sayFailure(failure instanceof Failure ? failure : new Failure("failed", "The stream is broken", "A picture of it cannot be read."), watch);
  }
}

function begin() {
  show(true);
  say("live", "The server's camera", "Boxes and names are drawn by the server.");
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
  const focused = figure.contains(document.activeElement) || document.activeElement === at("start-feed");
  at("feed-start").hidden = on;
  figure.hidden = !on;
  if (focused) at(on ? "stop-feed" : "start-feed").focus();
}

at("start-feed").addEventListener("click", watch);
at("stop-feed").addEventListener("click", () => stop());
