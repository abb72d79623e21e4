// Searching photos of any size for faces. The same rules and numbers as in the library's
// recognition/search.py, which explains them.

import { reduce, roundToEven, shrink } from "./pixels.js";

const SIDES = [640, 1000];
const SAME_FACE = 0.3;
const INSIDE = 0.5;

/** The faces in an RGB image: { box, score }. `detect(image)` resolves to those of a scaled one. */
export async function findFaces(photo, detect) {
  const { width, height } = photo;
  const longest = Math.max(width, height);
  const factor = Math.floor(longest / SIDES[1]);
  const scaled = factor > 1 ? reduce(photo, factor) : photo;
  const found = [];
  for (const side of SIDES) {
    const scale = Math.min(1, side / longest);
    const size = [width, height].map((length) => Math.max(1, roundToEven(length * scale)));
    const same = size[0] === scaled.width && size[1] === scaled.height;
    const before = [...found];
    for (const face of await detect(same ? scaled : shrink(scaled, ...size))) {
      const inside = within(face, scale, width, height);
      const known = inside && before.some(({ box }) => share(box, inside.box) > SAME_FACE);
      if (inside && !known) found.push(inside);
    }
    if (scale === 1) break;
  }
  return found;
}

/** The face in pixels of the photo, cut at its border; null if most of it lies beside the photo. */
function within({ box, score }, scale, width, height) {
  const [x, y] = [box.x, box.y].map((edge) => Math.max(0, roundToEven(edge / scale)));
  const right = Math.min(width, roundToEven((box.x + box.width) / scale));
  const bottom = Math.min(height, roundToEven((box.y + box.height) / scale));
  const area = (box.width * box.height) / scale ** 2;
  const kept = right > x && bottom > y && (right - x) * (bottom - y) >= INSIDE * area;
  return kept ? { box: { x, y, width: right - x, height: bottom - y }, score } : null;
}

/** The intersection of two boxes as a share of the smaller one. */
function share(one, other) {
  const across = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x);
  const down = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y);
  const smaller = Math.min(one.width * one.height, other.width * other.height);
  return (Math.max(0, across) * Math.max(0, down)) / smaller;
}
