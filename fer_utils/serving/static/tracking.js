// Tracking of faces in moving pictures, with labels that do not flicker. The same rules and numbers
// as in the library's recognition/tracking.py, which explains them.

const LEAST_OVERLAP = 0.2;
const FARTHEST = 1;
const RESIZED = 2;
const VELOCITY = 0.2;
const FORESEEN = 0.5;
const MOVED = 0.15;

const SMOOTHING = 0.3;
const MARGIN = 0.05;
const STEADYING = 0.1;
const HOLD = 1;

/** Tracks the faces of one video or camera. A face below `threshold` is uncertain. */
export class Tracker {
  #threshold;
  #tracks = [];
  #next = 1;
  #seconds = -Infinity; // time of the latest frame

  constructor(threshold) {
    this.#threshold = threshold;
  }

  /**
   * The faces of the next frame in their order, with smoothed values and a number `track`.
   *
   * A time before that of the last frame starts a new video.
   */
  update(faces, seconds) {
    if (seconds < this.#seconds) this.#tracks = [];
    const kept = (track) => track.seen === this.#seconds || seconds - track.seen < HOLD;
    this.#tracks = this.#tracks.filter(kept);
    this.#seconds = seconds;
    const matched = this.#match(faces);
    return faces.map((face, index) => {
      const track = matched.get(index) ?? this.#begin(face, seconds);
      if (matched.has(index)) follow(track, face, seconds);
      return shown(track, face, this.#threshold);
    });
  }

  #begin(face, seconds) {
    const box = edges(face.box);
    const { emotion } = face;
    const probabilities = { ...face.probabilities };
    const start = { box, steady: box, velocity: [0, 0], probabilities, emotion, seen: seconds };
    const track = { number: this.#next++, ...start };
    this.#tracks.push(track);
    return track;
  }

  /** The tracks that faces continue, by the index of the face. */
  #match(faces) {
    const pairs = [];
    for (const track of this.#tracks) {
      const place = expected(track, this.#seconds);
      faces.forEach((face, index) => {
        const box = edges(face.box);
        const overlap = shareInCommon(place, box);
        const [distance, resized] = apart(place, box);
        if (overlap >= LEAST_OVERLAP) pairs.push([-overlap, track.number, index, track]);
        else if (distance < FARTHEST && resized < RESIZED) {
          pairs.push([distance, track.number, index, track]);
        }
      });
    }
    pairs.sort((one, other) => one[0] - other[0] || one[1] - other[1] || one[2] - other[2]);
    const matched = new Map();
    const taken = new Set();
    for (const [, number, index, track] of pairs) {
      if (matched.has(index) || taken.has(number)) continue;
      matched.set(index, track);
      taken.add(number);
    }
    return matched;
  }
}

// --- a track; boxes are [left, top, right, bottom] ---

function expected({ box, velocity, seen }, seconds) {
  const passed = Math.min(seconds - seen, FORESEEN);
  return box.map((edge, index) => edge + velocity[index % 2] * passed);
}

function follow(track, face, seconds) {
  const passed = seconds - track.seen;
  const box = edges(face.box);
  if (passed > 0) {
    const [from, to] = [centre(track.box), centre(box)];
    const share = weight(passed, VELOCITY);
    track.velocity = track.velocity.map((speed, axis) => {
      return speed + share * ((to[axis] - from[axis]) / passed - speed);
    });
  }
  const moves = box.map((edge, index) => Math.abs(edge - track.steady[index]));
  const change = Math.max(...moves) / Math.max(size(box), 1);
  const share = Math.max(weight(passed, STEADYING), Math.min(1, change / MOVED));
  track.steady = track.steady.map((edge, index) => edge + share * (box[index] - edge));
  const newest = weight(passed, SMOOTHING);
  for (const [emotion, value] of Object.entries(face.probabilities)) {
    track.probabilities[emotion] += newest * (value - track.probabilities[emotion]);
  }
  const [best, most] = largest(track.probabilities);
  if (most >= track.probabilities[track.emotion] + MARGIN) track.emotion = best;
  Object.assign(track, { box, seen: seconds });
}

function shown(track, face, threshold) {
  const [x, y, right, bottom] = track.steady.map(Math.round);
  return {
    ...face,
    track: track.number,
    box: { x, y, width: right - x, height: bottom - y },
    emotion: track.emotion,
    probabilities: { ...track.probabilities },
    uncertain: largest(track.probabilities)[1] < threshold,
  };
}

function largest(probabilities) {
  const higher = (one, other) => (other[1] > one[1] ? other : one);
  return Object.entries(probabilities).reduce(higher);
}

/** The weight of a value in an exponential average, `passed` seconds after the last. */
function weight(passed, constant) {
  return -Math.expm1(-passed / constant);
}

function edges({ x, y, width, height }) {
  return [x, y, x + width, y + height];
}

function centre([left, top, right, bottom]) {
  return [(left + right) / 2, (top + bottom) / 2];
}

function size([left, top, right, bottom]) {
  return Math.sqrt((right - left) * (bottom - top));
}

/** The intersection over union of two boxes. */
function shareInCommon(one, other) {
  const side = (axis) => {
    const end = Math.min(one[axis + 2], other[axis + 2]);
    return Math.max(0, end - Math.max(one[axis], other[axis]));
  };
  const shared = side(0) * side(1);
  return shared / Math.max(size(one) ** 2 + size(other) ** 2 - shared, 1e-9);
}

/** The distance of two boxes' centres in sizes of the smaller one, and the ratio of their sizes. */
function apart(one, other) {
  const small = Math.max(Math.min(size(one), size(other)), 1e-9);
  const [a, b] = [centre(one), centre(other)];
  const ratio = Math.max(size(one), size(other)) / small;
  return [Math.hypot(a[0] - b[0], a[1] - b[1]) / small, ratio];
}
