// Moving pictures: frames of a <video> go to the server one at a time, and the answers over what is playing.

import { Failure, pause, predict } from "./api.js";
import * as history from "./history.js";
import { announce, announceCalmly, at, count, say, sayBusy, showAnswer, showGhost, summary, write } from "./view.js";

const LONGEST_SIDE = 640; // pixels of a frame that is sent
const QUALITY = 0.85; // of its JPEG
const AWAY_WAIT = 2; // seconds until a server that is away is asked again

/** Counts what happens, and writes now and then how often a second. */
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
 * The figure `id`: a video, boxes over it, the rate, a button that keeps a snapshot.
 *
 * `kind` names its snapshots in the history; `mirrored()` says whether the picture is shown as in a mirror.
 */
export class Live {
  #figure;
  #boxes;
  #snapshot;
  #video;
  #kind;
  #mirrored;
  #last = null; // { blob, answer } of the newest answered frame
  #kept = 0;

  constructor(id, kind, mirrored = () => false) {
    this.#figure = at(id);
    this.#boxes = this.#figure.querySelector(".boxes");
    this.#snapshot = this.#figure.querySelector(".snapshot");
    this.#video = this.#figure.querySelector("video");
    this.#kind = kind;
    this.#mirrored = mirrored;
    this.#snapshot.addEventListener("click", () => this.#keep());
  }

  /** Sends frames until the signal aborts. Throws a Failure that waiting does not mend. */
  async follow(signal) {
    const canvas = document.createElement("canvas");
    const rate = new Rate(this.#figure.querySelector(".rate"));
    this.#clear();
    let sent = -1; // the video's time of the frame that was sent last
    for (;;) {
      await newFrame(this.#video, sent, signal);
      if (signal.aborted) break;
      sent = this.#video.currentTime;
      const blob = await grab(this.#video, canvas);
      if (!blob) continue;
      let answer;
      try {
        answer = await predict(blob, { name: "frame.jpg", signal, onBusy: sayBusy });
      } catch (failure) {
        if (signal.aborted) break;
        if (failure.kind !== "away" && failure.kind !== "busy") throw failure;
        say("error", failure.headline, `${failure.detail} Asking again every ${AWAY_WAIT} seconds.`);
        this.#clear();
        sent = -1; // the same frame again, if the video stands still
        await pause(AWAY_WAIT, signal).catch(() => {});
        continue;
      }
      if (signal.aborted) break;
      rate.count();
      this.#show(answer, canvas, blob);
    }
    this.#clear();
  }

  #show(answer, canvas, blob) {
    const mirrored = this.#mirrored();
    // From left to right, so that a face keeps its number while it moves.
    const middle = ({ box }) => (mirrored ? -1 : 1) * (box.x + box.width / 2);
    const faces = [...answer.faces].sort((one, other) => middle(one) - middle(other));
    this.#last = { blob, answer };
    this.#snapshot.disabled = false;
    showAnswer({ ...answer, faces }, { picture: canvas, boxes: this.#boxes, live: true, mirrored });
    const headline = faces.length ? count(faces.length, "face") : "No face in view";
    const detail = ["The detector looks for faces turned to the camera.", "The bars follow the picture."][faces.length] ?? "From left to right; the bars follow the picture.";
    say("live", headline, detail);
    announceCalmly(faces.length ? `${headline}: ${summary(faces)}` : headline);
  }

  #clear() {
    this.#last = null;
    this.#snapshot.disabled = true;
    this.#boxes.replaceChildren();
    showGhost();
  }

  #keep() {
    if (!this.#last) return;
    this.#kept += 1;
    const { blob, answer } = this.#last;
    const [entry] = history.add([{ file: blob, name: `${this.#kind} snapshot ${this.#kept}`, kind: this.#kind, time: new Date(), answer }]);
    history.drawThumbnail(entry);
    announce(`${entry.name} is kept in the history.`);
    write(this.#snapshot, "Kept ✓");
    setTimeout(() => write(this.#snapshot, "Snapshot"), 1200);
  }
}

/** Resolves when the video shows a frame other than that of time `sent`, or when the signal aborts. */
function newFrame(video, sent, signal) {
  return new Promise((resolve) => {
    const over = new AbortController(); // takes the listeners away again: there is a frame many times a second
    const finish = () => { over.abort(); resolve(); };
    const stands = () => video.paused && video.currentTime === sent;
    const ready = video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !video.seeking;
    if (signal.aborted || (ready && video.paused && !stands())) { finish(); return; }
    signal.addEventListener("abort", finish, { signal: over.signal });
    const shown = () => {
      if (over.signal.aborted) return;
      if (stands()) wait();
      else finish();
    };
    const wait = () => (video.requestVideoFrameCallback ? video.requestVideoFrameCallback(shown) : setTimeout(shown, 50));
    wait();
    // On a busy machine Chromium has let a video that stands still be set elsewhere without calling back.
    video.addEventListener("seeked", () => { if (!stands()) finish(); }, { signal: over.signal });
    // A video that stops while its next frame is waited for has none left: where it stands is looked at.
    if (!video.paused) video.addEventListener("pause", finish, { signal: over.signal });
  });
}

function grab(video, canvas) {
  const { videoWidth: width, videoHeight: height } = video;
  if (!width || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  canvas.width = Math.round(scale * width);
  canvas.height = Math.round(scale * height);
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}
