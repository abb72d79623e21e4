// A drawing over the frames of a video, recorded by the browser.

import { pause } from "./api.js";

const TYPES = ["video/webm;codecs=vp9,opus", "video/webm;codecs=vp8,opus", "video/mp4"];
const BITS = 3; // per second and pixel of the canvas
const FEWEST_BITS = 2_500_000; // per second
const LAST = 0.1; // seconds in which the last frame reaches the recorder

/** The first type of file that this browser can record, or undefined. */
export function recordable() {
  if (!window.MediaRecorder || !HTMLCanvasElement.prototype.captureStream) return undefined;
  return TYPES.find((type) => MediaRecorder.isTypeSupported(type));
}

/**
 * Plays the video at the address `source` once and records the canvas (a Blob).
 *
 * `draw(video, seconds)` draws each frame on the canvas. The sound is recorded, and not heard.
 * While the page is hidden, the recording waits. Throws the signal's reason when it aborts.
 */
export async function record(source, canvas, draw, signal) {
  const over = new AbortController(); // removes the listeners
  const options = { signal: over.signal };
  const video = document.createElement("video");
  Object.assign(video, { muted: true, playsInline: true, src: source });
  let stream = null;
  try {
    await reached(video, "loadeddata", signal, options);
    const ended = reached(video, "ended", signal, options);
    const playing = playedWhileSeen(video, options);
    // Before a frame is shown, Chromium draws the video black.
    await Promise.race([nextFrame(video), ended, playing]);
    draw(video, video.currentTime);
    stream = canvas.captureStream();
    for (const track of soundOf(video)) stream.addTrack(track);
    const bits = Math.max(FEWEST_BITS, BITS * canvas.width * canvas.height);
    const type = { mimeType: recordable(), videoBitsPerSecond: bits };
    const recorder = new MediaRecorder(stream, type);
    const parts = [];
    recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
    const failed = new Promise((_, reject) => {
      recorder.addEventListener("error", ({ error }) => reject(error), options);
    });
    // A video that waits for data or for its page must not lengthen the clip.
    for (const event of ["pause", "waiting"]) {
      video.addEventListener(event, () => { if (!video.ended) recorder.pause(); }, options);
    }
    video.addEventListener("playing", () => recorder.resume(), options);
    recorder.start(1000); // milliseconds of a part
    drawFrames(video, draw, over.signal);
    await Promise.race([ended, playing, failed]);
    draw(video, video.currentTime);
    await pause(LAST, signal);
    await stopped(recorder);
    return new Blob(parts, { type: recorder.mimeType });
  } finally {
    over.abort();
    for (const track of stream?.getTracks() ?? []) track.stop(); // this also stops the recorder
    video.removeAttribute("src");
    video.load();
  }
}

/** Resolves at the event of the video; rejects when the video fails or the signal aborts. */
function reached(video, event, signal, options) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    video.addEventListener(event, resolve, options);
    video.addEventListener("error", () => reject(new Error(video.error.message)), options);
    signal.addEventListener("abort", () => reject(signal.reason), options);
  });
}

/** The tracks of the sound, where the browser gives them. */
function soundOf(video) {
  const stream = video.captureStream?.();
  for (const track of stream?.getVideoTracks() ?? []) track.stop();
  return stream?.getAudioTracks() ?? [];
}

/**
 * Plays the video whenever the page is visible: browsers draw no frames of a hidden one.
 *
 * The promise only rejects, when the browser refuses to play.
 */
function playedWhileSeen(video, options) {
  return new Promise((_, reject) => {
    const refused = (failure) => { if (failure.name !== "AbortError") reject(failure); };
    const follow = () => {
      if (document.visibilityState === "hidden") video.pause();
      else if (!video.ended) video.play().catch(refused); // a pause is an AbortError
    };
    document.addEventListener("visibilitychange", follow, options);
    follow();
  });
}

/** Resolves with the time of the frame that the video shows next. */
function nextFrame(video) {
  return new Promise((resolve) => {
    const shown = (_, frame) => resolve(frame?.mediaTime ?? video.currentTime);
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(shown);
    else requestAnimationFrame(() => shown());
  });
}

async function drawFrames(video, draw, signal) {
  for (;;) {
    const seconds = await nextFrame(video);
    if (signal.aborted) return;
    draw(video, seconds);
  }
}

function stopped(recorder) {
  return new Promise((resolve) => {
    recorder.addEventListener("stop", resolve);
    recorder.stop();
  });
}
