// The results of a video by their time: what is drawn as a curve and saved as a table.

const SAME = 0.005; // seconds; a frame that was seen before comes back at nearly the same time
const NEAR = 1; // seconds within which a face keeps its number after a seek
const LEAST_OVERLAP = 0.2; // of the boxes, as in tracking.js
const GAP = 2; // seconds without a result, at least, that interrupt a curve

/**
 * Frames with their faces, sorted by time.
 *
 * A frame is { seconds, faces }. After a seek backwards the tracker gives new numbers to the same
 * faces. Here they get back the numbers that they have in the nearest known frame.
 */
export class Timeline {
  #frames = [];
  #numbers = new Map(); // the tracker's number -> the number here
  #next = 1;

  get frames() {
    return this.#frames;
  }

  /** Adds the faces at a time, in place of earlier results for it. Returns them renumbered. */
  add(seconds, faces) {
    const place = this.#placeOf(seconds);
    const known = new Set(faces.map(({ track }) => this.#numbers.get(track)));
    const renumbered = faces.map((face) => {
      if (!this.#numbers.has(face.track)) {
        const number = this.#known(face, seconds, place, known) ?? this.#next++;
        this.#numbers.set(face.track, number);
        known.add(number);
      }
      return { ...face, track: this.#numbers.get(face.track) };
    });
    const again = this.#frames[place];
    const replaced = again && again.seconds - seconds < SAME ? 1 : 0;
    this.#frames.splice(place, replaced, { seconds, faces: renumbered });
    return renumbered;
  }

  /** The numbers of the faces, from the one in most frames to the one in fewest. */
  tracks() {
    const counts = new Map();
    for (const { faces } of this.#frames) {
      for (const { track } of faces) counts.set(track, (counts.get(track) ?? 0) + 1);
    }
    return [...counts].sort((one, other) => other[1] - one[1] || one[0] - other[0]);
  }

  /**
   * The curve of one face: runs without interruption, each a list of { seconds, probabilities }.
   *
   * More frames than `most` are averaged over equal parts of the time.
   */
  runs(track, most) {
    const runs = [];
    const longest = Math.max(GAP, 4 * this.#step());
    let last = -Infinity;
    let missed = true;
    for (const { seconds, faces } of thinned(this.#frames, track, most)) {
      const face = faces.find((one) => one.track === track);
      if (!face) { missed = true; continue; }
      if (missed || seconds - last > longest) runs.push([]);
      runs.at(-1).push({ seconds, probabilities: face.probabilities });
      [last, missed] = [seconds, false];
    }
    return runs;
  }

  /** The frame nearest to a time, or undefined. */
  nearest(seconds) {
    const place = this.#placeOf(seconds);
    const near = [this.#frames[place - 1], this.#frames[place]].filter(Boolean);
    near.sort((one, other) => Math.abs(one.seconds - seconds) - Math.abs(other.seconds - seconds));
    return near[0];
  }

  /** The face with this number in the frame nearest to a time, or undefined. */
  at(seconds, track) {
    return this.nearest(seconds)?.faces.find((face) => face.track === track);
  }

  #step() {
    const times = this.#frames.map(({ seconds }) => seconds);
    const steps = times.slice(1).map((seconds, index) => seconds - times[index]);
    return steps.sort((one, other) => one - other)[Math.floor(steps.length / 2)] ?? 0;
  }

  /** The place of the first frame that is not before a time. */
  #placeOf(seconds) {
    let [low, high] = [0, this.#frames.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#frames[middle].seconds < seconds - SAME) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #known(face, seconds, place, taken) {
    for (const frame of [this.#frames[place], this.#frames[place - 1]]) {
      if (!frame || Math.abs(frame.seconds - seconds) > NEAR) continue;
      const free = frame.faces.filter(({ track }) => !taken.has(track));
      const shares = free.map((one) => [overlap(one.box, face.box), one.track]);
      const [best] = shares.sort((one, other) => other[0] - one[0]);
      if (best && best[0] >= LEAST_OVERLAP) return best[1];
    }
    return undefined;
  }
}

/** The intersection over union of two boxes. */
function overlap(one, other) {
  const across = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x);
  const down = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y);
  const shared = Math.max(0, across) * Math.max(0, down);
  return shared / Math.max(one.width * one.height + other.width * other.height - shared, 1e-9);
}

/** At most `most` frames: those of one part of the time are averaged for one face. */
function thinned(frames, track, most) {
  if (frames.length <= most) return frames;
  const start = frames[0].seconds;
  const part = (frames.at(-1).seconds - start) / most || 1;
  const parts = new Map();
  for (const frame of frames) {
    const index = Math.min(most - 1, Math.floor((frame.seconds - start) / part));
    if (!parts.has(index)) parts.set(index, []);
    parts.get(index).push(frame);
  }
  return [...parts.values()].map((within) => {
    const found = within.flatMap(({ faces }) => faces.filter((face) => face.track === track));
    const seconds = mean(within.map((frame) => frame.seconds));
    return { seconds, faces: found.length ? [{ track, probabilities: average(found) }] : [] };
  });
}

/** The mean probabilities of faces. */
export function average(faces) {
  const emotions = Object.keys(faces[0].probabilities);
  return Object.fromEntries(emotions.map((emotion) => {
    return [emotion, mean(faces.map(({ probabilities }) => probabilities[emotion]))];
  }));
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
