// The visitor's camera: opened on request, and released when it is stopped or the page is hidden.

import { Failure } from "./api.js";
import { Live } from "./live.js";
import { onDevice } from "./place.js";
import { announce, at, say, sayFailure, shape, showGhost } from "./view.js";

const figure = at("webcam-shown");
const video = figure.querySelector("video");
const choice = at("camera");
const live = new Live("webcam-shown", "webcam", () => video.classList.contains("mirrored"));

let running = null; // AbortController of the camera that is open or opening

export function enter() {
  const sent = "Frames go to the server one by one. The server stores none.";
  introduce("Your camera", onDevice() ? "No frame leaves this device." : sent);
}

/** Releases the camera at once. `reason` is shown if the visitor did not stop it. */
export function stop(reason) {
  if (!running) return;
  running.abort();
  introduce("Camera stopped", reason ?? "The camera is off.");
  announce("Camera stopped.");
}

function introduce(headline, detail) {
  say("waiting", headline, detail);
  showGhost();
}

async function start(device) {
  const before = running;
  const run = new AbortController();
  const { signal } = run;
  let stream = null;
  const free = () => {
    for (const track of stream?.getTracks() ?? []) track.stop();
    if (running !== run) return; // another camera was chosen and uses the figure now
    running = null;
    video.srcObject = null;
    show(false);
  };
  running = run;
  before?.abort();
  signal.addEventListener("abort", free);
  say("loading", "Waiting for the camera…", "The browser may ask for your permission.");
  showGhost();
  try {
    stream = await open(device);
    if (signal.aborted) { free(); return; } // stopped while the browser asked
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => {
      if (running === run) stop("It was turned off or unplugged, or the permission was withdrawn.");
    });
    video.classList.toggle("mirrored", track.getSettings().facingMode !== "environment");
    video.srcObject = stream;
    show(true);
    await video.play();
    await offer(track);
    announce("Camera running.");
    await live.follow(signal);
  } catch (failure) {
    if (signal.aborted) return;
    run.abort();
    sayFailure(failure instanceof Failure ? failure : explain(failure), () => start(device));
    showGhost();
  }
}

async function open(device) {
  if (!navigator.mediaDevices) {
    const detail = "Browsers allow the camera only on pages with https and on this machine itself "
      + "(localhost).";
    throw new Failure("camera", "No camera for this page", detail);
  }
  const which = device ? { deviceId: { exact: device } } : { facingMode: "user" };
  const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
  return navigator.mediaDevices.getUserMedia({ video: { ...which, ...size }, audio: false });
}

const EXPLANATIONS = {
  NotAllowedError: [
    "The camera is not allowed",
    "Allow it for this page in the browser's address bar, then try again. Inside a notebook, open "
      + "the page in its own tab.",
  ],
  NotFoundError: [
    "No camera found",
    "Connect one or turn it on, then try again. Photos and videos need no camera.",
  ],
  OverconstrainedError: [
    "No such camera",
    "The chosen camera is no longer connected. Try again with another one.",
  ],
  NotReadableError: [
    "The camera cannot be opened",
    "Another program may be using it. Close that program, then try again.",
  ],
};

function explain(failure) {
  const other = ["The camera cannot be opened", String(failure.message || failure.name)];
  return new Failure("camera", ...(EXPLANATIONS[failure.name] ?? other));
}

/** Lists the cameras if there are several. Browsers reveal their names once one is allowed. */
async function offer(current) {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const cameras = devices.filter((device) => device.kind === "videoinput");
  const options = cameras.map(({ label, deviceId }, index) => {
    return new Option(label || `Camera ${index + 1}`, deviceId);
  });
  choice.replaceChildren(...options);
  choice.value = current.getSettings().deviceId;
  choice.parentElement.hidden = cameras.length < 2;
}

function show(on) {
  if (figure.hidden !== on) return; // already so
  const active = document.activeElement;
  const focused = figure.contains(active) || active === at("start-webcam");
  at("webcam-start").hidden = on;
  figure.hidden = !on;
  if (focused) at(on ? "stop-webcam" : "start-webcam").focus();
}

at("start-webcam").addEventListener("click", () => start());
at("stop-webcam").addEventListener("click", () => stop());
choice.addEventListener("change", () => start(choice.value));
video.addEventListener("resize", () => {
  shape(figure.querySelector(".photo"), video.videoWidth, video.videoHeight);
});
