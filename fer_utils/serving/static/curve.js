// The curve under a video: one line for each emotion, which also moves the video, and its table.

import { csv, saveResults } from "./table.js";
import { judged } from "./threshold.js";
import { average, Timeline } from "./timeline.js";
import { at, count, EMOTIONS, percent, write } from "./view.js";

const MOST = 600; // points of one line
const PARTS = 12; // rows of the table
const CALM = 250; // milliseconds between drawings
const WIDTH = 1000; // units of the drawing, which is stretched to its place
const HEIGHT = 100;
const SVG = "http://www.w3.org/2000/svg";

const section = at("curve");
const plot = at("plot");
const lines = plot.querySelector(".lines");
const head = plot.querySelector(".head");
const choice = at("curve-face");
const table = at("curve-table");

const COLUMNS = ["seconds", "track", "x", "y", "width", "height", "score", "emotion", "uncertain"];

/** The curve of the <video>, which it follows and moves. */
export class Curve {
  #video;
  #timeline = new Timeline();
  #name = "";
  #chosen = null; // the number of the face that the visitor chose
  #timer = null;

  constructor(video) {
    this.#video = video;
    plot.addEventListener("keydown", (event) => this.#key(event));
    plot.addEventListener("pointerdown", (event) => this.#grab(event));
    plot.addEventListener("pointermove", (event) => {
      if (plot.hasPointerCapture(event.pointerId) && !video.seeking) this.#point(event);
    });
    for (const event of ["timeupdate", "seeking", "durationchange"]) {
      video.addEventListener(event, () => this.#move());
    }
    choice.addEventListener("change", () => {
      this.#chosen = Number(choice.value);
      this.#draw();
    });
    table.addEventListener("toggle", () => this.#draw());
    at("save-curve").addEventListener("click", () => saveResults(this.#csv(), "text/csv", "csv"));
  }

  /** The results, with the boxes in pixels of the video. */
  get timeline() {
    return this.#timeline;
  }

  /** Forgets all results. `name` is that of the next video. */
  clear(name = "") {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#timeline = new Timeline();
    this.#name = name;
    this.#chosen = null;
    section.hidden = true;
  }

  /** Adds the tracked faces of a sent frame; `width` and `height` are its size in pixels. */
  add(seconds, { faces, width, height }) {
    const { videoWidth, videoHeight } = this.#video;
    const [across, down] = [videoWidth / width, videoHeight / height];
    const sized = faces.map((face) => ({ ...face, box: scaled(face.box, across, down) }));
    this.#timeline.add(seconds, sized);
    this.#timer ??= setTimeout(() => this.#draw(), CALM);
  }

  // --- the drawing ---

  #draw() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const tracks = this.#timeline.tracks();
    section.hidden = !tracks.length;
    if (!tracks.length) return;
    this.#offer(tracks);
    const runs = this.#timeline.runs(this.#track(), MOST);
    for (const emotion of EMOTIONS) {
      lines.querySelector(`.${emotion}`).setAttribute("d", this.#path(runs, emotion));
    }
    const faces = this.#faces();
    write(at("curve-summary"), shares(faces));
    write(at("curve-end"), clock(this.#end()));
    this.#move();
    if (table.open) this.#tabulate();
  }

  #track() {
    return this.#chosen ?? this.#timeline.tracks()[0]?.[0];
  }

  /** The chosen face in all frames that have it. */
  #faces() {
    const track = this.#track();
    return this.#timeline.frames.flatMap(({ seconds, faces }) => {
      return faces.filter((face) => face.track === track).map((face) => ({ ...face, seconds }));
    });
  }

  #offer(tracks) {
    const label = ([track, frames]) => `${track} (${count(frames, "frame")})`;
    const wanted = tracks.map((each) => `${each[0]}`).join();
    // A list that is open or focused must not change under the visitor's hand.
    if (document.activeElement !== choice || choice.dataset.tracks !== wanted) {
      choice.replaceChildren(...tracks.map((each) => new Option(label(each), each[0])));
      choice.value = this.#track();
      choice.dataset.tracks = wanted;
    }
    choice.parentElement.hidden = tracks.length < 2;
  }

  #path(runs, emotion) {
    const end = this.#end() || 1;
    const point = ({ seconds, probabilities }) => {
      const x = (WIDTH * seconds / end).toFixed(1);
      return `${x} ${(HEIGHT * (1 - probabilities[emotion])).toFixed(1)}`;
    };
    // A line of no length is drawn as a dot.
    return runs.map((run) => `M${run.map(point).join("L")}${run.length < 2 ? "h0" : ""}`).join("");
  }

  /** The duration in seconds. Some recordings do not tell theirs. */
  #end() {
    const { duration } = this.#video;
    return Number.isFinite(duration) ? duration : this.#timeline.frames.at(-1)?.seconds ?? 0;
  }

  #move() {
    if (section.hidden) return;
    const { currentTime: seconds } = this.#video;
    const end = this.#end();
    const x = WIDTH * Math.min(1, seconds / (end || 1));
    head.setAttribute("x1", x);
    head.setAttribute("x2", x);
    plot.ariaValueMax = end.toFixed(2);
    plot.ariaValueNow = seconds.toFixed(2);
    const face = this.#timeline.at(seconds, this.#track());
    const words = face ? `${face.emotion} ${percent(face.probabilities[face.emotion])}` : "no face";
    plot.ariaValueText = `${clock(seconds)} of ${clock(end)}: ${words}`;
  }

  #tabulate() {
    const faces = this.#faces();
    const part = (this.#end() || 1) / PARTS;
    const rows = Array.from({ length: PARTS }, (_, index) => {
      const start = index * part;
      const last = index === PARTS - 1;
      const within = faces.filter(({ seconds }) => {
        return seconds >= start && (last || seconds < start + part);
      });
      const means = within.length ? average(within) : {};
      const values = EMOTIONS.map((emotion) => (emotion in means ? percent(means[emotion]) : "–"));
      return row("td", [tenths(start), ...values]);
    });
    table.querySelector("thead").replaceChildren(row("th", ["from", ...EMOTIONS]));
    table.querySelector("tbody").replaceChildren(...rows);
  }

  // --- moving the video ---

  #seek(seconds) {
    this.#video.currentTime = Math.max(0, Math.min(this.#end(), seconds));
  }

  #key(event) {
    const { currentTime: now } = this.#video;
    const end = this.#end();
    const step = Math.min(1, end / 20);
    const places = {
      ArrowRight: now + step,
      ArrowUp: now + step,
      ArrowLeft: now - step,
      ArrowDown: now - step,
      PageUp: now + end / 10,
      PageDown: now - end / 10,
      Home: 0,
      End: end,
    };
    if (!(event.key in places) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    this.#seek(places[event.key]);
  }

  #grab(event) {
    if (event.button !== 0) return;
    plot.setPointerCapture(event.pointerId);
    this.#point(event);
  }

  #point({ clientX }) {
    const { left, width } = plot.getBoundingClientRect();
    this.#seek(this.#end() * (clientX - left) / width);
  }

  // --- saving ---

  /** One row for each face of each frame, in the columns of `fer-study predict --csv`. */
  #csv() {
    const rows = this.#timeline.frames.flatMap(({ seconds, faces }) => judged(faces).map((face) => {
      const { track, box, score, emotion, uncertain } = face;
      const { x, y, width, height } = box;
      const place = [this.#name, +seconds.toFixed(6), track, x, y, width, height];
      const values = EMOTIONS.map((name) => +face.probabilities[name].toFixed(6));
      return [...place, score, emotion, uncertain, ...values];
    }));
    return csv([["name", ...COLUMNS, ...EMOTIONS], ...rows]);
  }
}

function scaled({ x, y, width, height }, across, down) {
  const edges = [x * across, y * down, (x + width) * across, (y + height) * down].map(Math.round);
  return { x: edges[0], y: edges[1], width: edges[2] - edges[0], height: edges[3] - edges[1] };
}

/** "happy in 64 % of 20 frames, sad in 36 %" */
function shares(faces) {
  const counts = new Map();
  for (const { emotion } of faces) counts.set(emotion, (counts.get(emotion) ?? 0) + 1);
  const sorted = [...counts].sort((one, other) => other[1] - one[1]);
  const words = sorted.map(([emotion, number], index) => {
    const whole = index ? "" : ` of ${count(faces.length, "frame")}`;
    return `${emotion} in ${percent(number / faces.length)}${whole}`;
  });
  return `Most probable: ${words.join(", ")}.`;
}

/** "1:05" */
function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** "1:05.3" */
function tenths(seconds) {
  const whole = Math.floor(10 * seconds + 1e-6);
  return `${clock(whole / 10)}.${whole % 10}`;
}

function row(kind, values) {
  const element = document.createElement("tr");
  values.forEach((value, index) => {
    const cell = document.createElement(index ? kind : "th");
    cell.textContent = value;
    if (cell.tagName === "TH") cell.scope = kind === "th" ? "col" : "row";
    element.append(cell);
  });
  return element;
}

// --- the lines and their names ---

for (const emotion of EMOTIONS) {
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("class", emotion);
  lines.append(line);
  const button = document.createElement("button");
  button.type = "button";
  button.className = emotion;
  button.ariaPressed = "true";
  button.textContent = emotion;
  const stress = (on) => {
    lines.classList.toggle("stressed", on);
    line.classList.toggle("stress", on);
  };
  for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => stress(true));
  for (const event of ["pointerleave", "blur"]) button.addEventListener(event, () => stress(false));
  button.addEventListener("click", () => {
    const on = button.ariaPressed !== "true";
    button.ariaPressed = String(on);
    line.classList.toggle("off", !on);
  });
  const item = document.createElement("li");
  item.append(button);
  at("curve-names").append(item);
}
