// The annotated clip: a video with its boxes and names, made and saved by the browser.
//
// An answer that is drawn when it arrives lags behind its frame by the time that it took. A clip is
// therefore made in two steps. The first looks at the moments of the video that have no answer yet,
// none if the visitor watched it all. The second plays and records the video. It asks nothing, and
// draws on each frame the faces of the answer nearest to it, so a box is at most `STEP` away from
// its time, however slow the answers are.

import { fromLeft } from "./live.js";
import { drawAnnotated, save } from "./pictures.js";
import { record, recordable } from "./recording.js";
import { judged } from "./threshold.js";
import { announce, at, label, percent, write } from "./view.js";

const STEP = 0.2; // seconds between the moments that need an answer
const FAR = 1e9; // seconds; after the end of any video

const button = at("save-clip");
const work = at("clip");
const bar = work.querySelector("progress");
const problem = at("clip-problem");
const figure = at("video-shown");
const curve = at("curve");

/** Makes clips of the <video>, which shows the moments that are looked at. */
export class Clip {
  #video;
  #making = null; // AbortController of the clip in work
  #look = () => {}; // continues after an answer

  constructor(video) {
    this.#video = video;
    at("cancel-clip").addEventListener("click", () => {
      this.cancel();
      announce("The clip was cancelled.");
    });
  }

  /** Notes that the frame at this time has an answer. */
  answered(seconds) {
    if (!this.#video.seeking && seconds === this.#video.currentTime) this.#look();
  }

  /** Ends the work on a clip, which is not saved. */
  cancel() {
    problem.hidden = true;
    this.#making?.abort();
  }

  /** Makes and saves the clip of a video with this file name and timeline. */
  async make(name, timeline) {
    if (this.#making) return;
    const making = new AbortController();
    const { signal } = making;
    this.#making = making;
    signal.addEventListener("abort", () => this.#look());
    const restore = this.#occupy();
    try {
      await this.#complete(timeline, signal);
      const clip = await this.#record(timeline, signal);
      const ending = clip.type.includes("mp4") ? "mp4" : "webm";
      save(clip, `${name.replace(/\.[^.]*$/, "")} annotated.${ending}`);
      announce("The clip was saved.");
    } catch (failure) {
      if (signal.aborted) return;
      write(problem, `The clip could not be made. ${failure.message}`);
      problem.hidden = false;
    } finally {
      this.#making = null;
      restore();
    }
  }

  /** Prevents what would disturb the work. Returns a function that restores the page. */
  #occupy() {
    const video = this.#video;
    const { src, paused, currentTime } = video;
    const snapshot = figure.querySelector(".snapshot");
    const busy = (on) => {
      const focused = figure.contains(document.activeElement);
      video.controls = !on;
      curve.inert = on; // it moves the video
      work.hidden = !on;
      for (const other of [button, snapshot]) other.hidden = on;
      if (focused) (on ? at("cancel-clip") : button).focus();
    };
    problem.hidden = true;
    video.pause();
    busy(true);
    this.#tell("Step 1 of 2: finding faces", 0);
    return () => {
      busy(false);
      if (video.src !== src) return; // it was closed
      video.currentTime = currentTime;
      if (!paused) video.play();
    };
  }

  #tell(step, share) {
    bar.value = share;
    write(at("clip-step"), `${step}, ${percent(share)}`);
  }

  /** Shows each moment without an answer, so that its frame is asked for like any other. */
  async #complete(timeline, signal) {
    const video = this.#video;
    const show = async (seconds) => {
      const shown = new Promise((resolve) => { this.#look = resolve; });
      video.currentTime = seconds;
      await shown;
      signal.throwIfAborted();
    };
    // Some recordings do not tell their duration. Browsers know it once they were at the end.
    if (!Number.isFinite(video.duration)) await show(FAR);
    for (let seconds = 0; seconds < video.duration; seconds += STEP) {
      const near = timeline.nearest(seconds);
      if (near && Math.abs(near.seconds - seconds) <= STEP / 2) continue;
      this.#tell("Step 1 of 2: finding faces", seconds / video.duration);
      await show(seconds);
    }
  }

  async #record(timeline, signal) {
    const { src, duration, videoWidth: width, videoHeight: height } = this.#video;
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height, ariaHidden: "true" });
    let places = [];
    const draw = (video, seconds) => {
      const faces = fromLeft(judged(timeline.nearest(seconds)?.faces ?? []));
      const named = (face, index) => label(face, index, faces.length > 1);
      places = drawAnnotated(canvas, video, { width, height, faces }, named, places);
      this.#tell("Step 2 of 2: recording", Math.min(1, video.currentTime / duration));
    };
    figure.querySelector(".photo").append(canvas); // the visitor sees what is recorded
    try {
      return await record(src, canvas, draw, signal);
    } finally {
      canvas.remove();
    }
  }
}

button.hidden = !recordable();
