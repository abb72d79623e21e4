// Moving pictures: frames of a <video> are processed, one at a time, and the results are drawn.

import { pause } from "./api.js";
import * as history from "./history.js";
import { asJpeg, blank } from "./pictures.js";
import { onDevice, predict } from "./place.js";
import { judged, threshold, whenMoved } from "./threshold.js";
import { Tracker } from "./tracking.js";
import {
  announce, announceCalmly, at, count, say, sayBusy, showAnswer, showGhost, summary, write,
} from "./view.js";

const LONGEST_SIDE = 640; // pixels of a sent frame
const QUALITY = 0.85; // JPEG quality of a sent frame
const AWAY_WAIT = 2; // seconds between requests to a server that does not respond

/** Counts events and shows their rate. */
export class Rate {
  #element;
  #times = [];
  #written = 0;

  constructor(element) {
    this.#element = element;
    element.hidden = true;
  }

  count() {
    const now = performance.now();
    this.#times = [...this.#times.filter((time) => now - time < 3000), now];
    if (this.#times.length < 2 || now - this.#written < 400) return;
    this.#written = now;
    const rate = 1000 * (this.#times.length - 1) / (now - this.#times[0]);
    write(this.#element, `${rate.toFixed(rate < 9.95 ? 1 : 0)} frames/s`);
    this.#element.hidden = false;
  }
}

/**
 * The figure with this `id`: a video, boxes over it, its frame rate, and a snapshot button.
 *
 * `kind` names the snapshots in the history. `mirrored()` returns whether the video is mirrored.
 */
export class Live {
  #figure;
  #boxes;
  #snapshot;
  #video;
  #kind;
  #mirrored;
  #last = null; // { frame, canvas, answer } of the newest processed frame
  #kept = 0;

  constructor(id, kind, mirrored = () => false) {
    this.#figure = at(id);
    this.#boxes = this.#figure.querySelector(".boxes");
    this.#snapshot = this.#figure.querySelector(".snapshot");
    this.#video = this.#figure.querySelector("video");
    this.#kind = kind;
    this.#mirrored = mirrored;
    this.#snapshot.addEventListener("click", () => this.#keep());
    whenMoved(() => { if (this.#last) this.#show(this.#last); });
  }

  /**
   * Sends frames until the signal aborts. Throws a Failure that another attempt cannot resolve.
   *
   * `onAnswer(seconds, answer)` is called for each frame, with its time in the video and its
   * tracked faces.
   */
  async follow(signal, onAnswer = () => {}) {
    const canvas = document.createElement("canvas");
    const rate = new Rate(this.#figure.querySelector(".rate"));
    this.#clear();
    const tracker = new Tracker(threshold());
    let sent = -1; // the video's time of the last sent frame
    for (;;) {
      await newFrame(this.#video, sent, signal);
      if (signal.aborted) break;
      sent = this.#video.currentTime;
      const seconds = sent;
      const local = onDevice();
      const frame = await grab(this.#video, canvas, local);
      if (!frame) { // the frame is still loading, as during a seek
        sent = -1;
        continue;
      }
      let answer;
      try {
        answer = await predict(frame, { name: "frame.jpg", signal, onBusy: sayBusy }, local);
      } catch (failure) {
        if (signal.aborted) break;
        if (failure.kind !== "away" && failure.kind !== "busy") throw failure;
        const next = `The next attempt is in ${AWAY_WAIT} seconds.`;
        say("error", failure.headline, `${failure.detail} ${next}`);
        this.#clear();
        sent = -1; // sends the same frame again if the video is paused
        await pause(AWAY_WAIT, signal).catch(() => {});
        continue;
      }
      if (signal.aborted) break;
      rate.count();
      // The labels and boxes of single frames flicker.
      const faces = tracker.update(answer.faces, seconds);
      this.#show({ answer: { ...answer, faces }, canvas, frame });
      onAnswer(seconds, { ...answer, faces });
    }
    this.#clear();
  }

  #show(shown) {
    const { answer, canvas } = shown;
    const mirrored = this.#mirrored();
    const faces = fromLeft(judged(answer.faces), mirrored);
    this.#last = shown;
    this.#snapshot.disabled = false;
    const view = { picture: canvas, boxes: this.#boxes, live: true, mirrored };
    showAnswer({ ...answer, faces }, view);
    const headline = faces.length ? count(faces.length, "face") : "No face in view";
    let detail = "Faces are numbered from left to right. The bars follow the picture.";
    if (faces.length === 0) detail = "The detector finds faces that look at the camera.";
    if (faces.length === 1) detail = "The bars follow the picture.";
    say("live", headline, detail);
    announceCalmly(faces.length ? `${headline}: ${summary(faces)}` : headline);
  }

  #clear() {
    this.#last = null;
    this.#snapshot.disabled = true;
    this.#boxes.replaceChildren();
    showGhost();
  }

  async #keep() {
    if (!this.#last) return;
    this.#kept += 1;
    const { frame, answer } = this.#last;
    const name = `${this.#kind} snapshot ${this.#kept}`;
    const blob = frame instanceof Blob ? frame : await asJpeg(canvasOf(frame), QUALITY);
    const snapshot = { file: blob, name, kind: this.#kind, time: new Date(), answer };
    const [entry] = history.add([snapshot]);
    history.drawThumbnail(entry);
    announce(`${name} was added to the history.`);
    write(this.#snapshot, "Kept ✓");
    setTimeout(() => write(this.#snapshot, "Snapshot"), 1200);
  }
}

/** The faces sorted from left to right, so that a moving face keeps its number. */
export function fromLeft(faces, mirrored = false) {
  const middle = ({ box }) => (mirrored ? -1 : 1) * (box.x + box.width / 2);
  return [...faces].sort((one, other) => middle(one) - middle(other));
}

/** Resolves when the video shows another frame than at time `sent`, or when the signal aborts. */
function newFrame(video, sent, signal) {
  return new Promise((resolve) => {
    const over = new AbortController(); // removes the listeners, because frames come often
    const finish = () => { over.abort(); resolve(); };
    const stands = () => video.paused && video.currentTime === sent;
    const ready = video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !video.seeking;
    if (signal.aborted || (ready && video.paused && !stands())) { finish(); return; }
    signal.addEventListener("abort", finish, { signal: over.signal });
    const shown = () => {
      if (over.signal.aborted) return;
      if (stands() || video.seeking) wait(); // "seeked" follows
      else finish();
    };
    const wait = () => {
      if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(shown);
      else setTimeout(shown, 50);
    };
    wait();
    // On a busy machine, Chromium sometimes omits the callback after a seek in a paused video.
    const seeked = () => { if (!stands()) finish(); };
    video.addEventListener("seeked", seeked, { signal: over.signal });
    // A video that pauses now may have no further frame. Its present frame is processed.
    if (!video.paused) video.addEventListener("pause", finish, { signal: over.signal });
  });
}

/**
 * The video's frame, drawn on the canvas: a JPEG (Blob) to send, or ImageData for this device,
 * which spares it the coding. Null if there is no frame.
 */
function grab(video, canvas, local) {
  const { videoWidth: width, videoHeight: height } = video;
  if (!width || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  canvas.width = Math.round(scale * width);
  canvas.height = Math.round(scale * height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, 0, canvas.width, canvas.height);
  return local ? context.getImageData(0, 0, canvas.width, canvas.height)
    : asJpeg(canvas, QUALITY);
}

function canvasOf(frame) {
  const canvas = blank(frame.width, frame.height);
  canvas.getContext("2d").putImageData(frame, 0, 0);
  return canvas;
}
