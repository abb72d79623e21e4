// A video file: played by the browser, which sends frames while it plays.

import { Failure } from "./api.js";
import { Clip } from "./clip.js";
import { Curve } from "./curve.js";
import { Live } from "./live.js";
import { onDevice } from "./place.js";
import { at, say, sayFailure, shape, showGhost, write } from "./view.js";

const figure = at("video-shown");
const video = figure.querySelector("video");
const live = new Live("video-shown", "video");
const curve = new Curve(video);
const clip = new Clip(video);

let running = null; // AbortController of the open video
let url = null;

export function enter() {
  const frames = onDevice() ? "" : " Single frames go to the server, which stores none.";
  say("waiting", "Your video", `The video stays in the browser.${frames}`);
  showGhost();
}

/** Closes the video. */
export function stop() {
  if (!running) return;
  running.abort();
  running = null;
  clip.cancel();
  video.pause();
  video.removeAttribute("src");
  video.load();
  URL.revokeObjectURL(url);
  curve.clear();
  show(false);
  enter();
}

/** Pauses the video while the page is hidden. */
export function rest() {
  video.pause();
}

/** Opens and plays a video (File). */
export async function play(file) {
  stop();
  const run = new AbortController();
  const { signal } = run;
  running = run;
  curve.clear(file.name);
  url = URL.createObjectURL(file);
  write(at("video-name"), file.name);
  say("loading", "Opening the video…", "This takes a moment.");
  showGhost();
  try {
    await load(url, signal);
    show(true);
    await video.play().catch(() => {}); // if the browser forbids autoplay, there is a play button
    await live.follow(signal, (seconds, answer) => {
      curve.add(seconds, answer);
      clip.answered(seconds);
    });
  } catch (failure) {
    if (signal.aborted) return;
    if (!(failure instanceof Failure)) throw failure;
    stop();
    sayFailure(failure, () => play(file));
  }
}

function load(source, signal) {
  return new Promise((resolve, reject) => {
    const refuse = () => reject(unplayable());
    const loaded = () => (video.videoWidth ? resolve() : refuse());
    video.addEventListener("loadeddata", loaded, { signal, once: true });
    video.addEventListener("error", refuse, { signal, once: true });
    video.src = source;
  });
}

function unplayable() {
  const formats = "MP4 with H.264 and WebM play in nearly all browsers.";
  const detail = `The browser does not support its format. ${formats}`;
  return new Failure("refused", "This video cannot be played", detail);
}

function show(on) {
  at("video-start").hidden = on;
  figure.hidden = !on;
}

at("video-file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (file) play(file);
});
at("save-clip").addEventListener("click", () => {
  clip.make(at("video-name").textContent, curve.timeline);
});
at("stop-video").addEventListener("click", () => {
  stop();
  at("video-file").focus();
});
video.addEventListener("resize", () => {
  shape(figure.querySelector(".photo"), video.videoWidth, video.videoHeight);
});
