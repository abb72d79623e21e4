// The visitor's camera: opened on request, and freed as soon as it is stopped, the tab is hidden or left.

import { Failure } from "./api.js";
import { Live } from "./live.js";
import { announce, at, say, sayFailure, shape, showGhost } from "./view.js";

const figure = at("webcam-shown");
const video = figure.querySelector("video");
const choice = at("camera");
const live = new Live("webcam-shown", "webcam", () => video.classList.contains("mirrored"));

let running = null; // AbortController of the camera that is open or being opened

export function enter() {
  introduce("Your camera", "Its picture goes to the server frame by frame, is looked at there and thrown away.");
}

/** Frees the camera at once. `reason`: said in place of nothing, when it was not the visitor who stopped it. */
export function stop(reason) {
  if (!running) return;
  running.abort();
  introduce("Camera stopped", reason ?? "The camera is free again.");
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
    if (running !== run) return; // another camera was chosen, and has the figure now
    running = null;
    video.srcObject = null;
    show(false);
  };
  running = run;
  before?.abort();
  signal.addEventListener("abort", free);
  say("loading", "Waiting for the camera…", "The browser may ask whether this page may use it.");
  showGhost();
  try {
    stream = await open(device);
    if (signal.aborted) { free(); return; } // stopped while the browser asked
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => {
      if (running === run) stop("It was switched off or unplugged, or its permission was taken away.");
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
    throw new Failure("camera", "No camera from here", "Browsers give the camera only to pages with https, or on this machine itself (localhost).");
  }
  const which = device ? { deviceId: { exact: device } } : { facingMode: "user" };
  return navigator.mediaDevices.getUserMedia({ video: { ...which, width: { ideal: 1280 }, height: { ideal: 720 } }, audio: false });
}

function explain(failure) {
  const [headline, detail] = {
    NotAllowedError: ["The camera may not be used", "Allow it for this page in the browser's address bar, then try again. Inside a notebook, open the page in a tab of its own."],
    NotFoundError: ["No camera found", "Plug one in or switch it on, then try again. Photos and videos work without."],
    OverconstrainedError: ["No such camera", "The chosen camera is gone. Try again with another one."],
    NotReadableError: ["The camera cannot be opened", "Another program may be using it. Close that one, then try again."],
  }[failure.name] ?? ["The camera cannot be opened", String(failure.message || failure.name)];
  return new Failure("camera", headline, detail);
}

/** Lists the cameras where there are several: their names are known once one may be used. */
async function offer(current) {
  const devices = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
  const { deviceId } = current.getSettings();
  choice.replaceChildren(...devices.map((device, index) => new Option(device.label || `Camera ${index + 1}`, device.deviceId)));
  choice.value = deviceId;
  choice.parentElement.hidden = devices.length < 2;
}

function show(on) {
  if (figure.hidden !== on) return; // it is so already
  const focused = figure.contains(document.activeElement) || document.activeElement === at("start-webcam");
  at("webcam-start").hidden = on;
  figure.hidden = !on;
  if (focused) at(on ? "stop-webcam" : "start-webcam").focus();
}

at("start-webcam").addEventListener("click", () => start());
at("stop-webcam").addEventListener("click", () => stop());
choice.addEventListener("change", () => start(choice.value));
video.addEventListener("resize", () => shape(figure.querySelector(".photo"), video.videoWidth, video.videoHeight));
