// YuNet, a small network that finds faces. The same steps and numbers as in the library's
// recognition/yunet.py, which explains them.

import { roundToEven } from "./pixels.js";

const STRIDES = [8, 16, 32];
const SCORE = Math.fround(0.7);
const OVERLAP = Math.fround(0.3);
const WIDEST = 1e6;
const OUTPUTS = STRIDES.flatMap((stride) => [`cls_${stride}`, `obj_${stride}`, `bbox_${stride}`]);

/** A square about a face has this multiple of its box's longer side. */
export const FRAME = 0.95;

/** The faces in an RGB image: { box, score }. `ort` is onnxruntime-web, `session` has YuNet. */
export async function detect(image, ort, session) {
  const { width, height, data } = image;
  const whole = STRIDES[2];
  const [columns, rows] = [width, height].map((side) => whole * Math.ceil(side / whole));
  // BGR, channels first, in whole cells of the widest grid.
  const pixels = new Float32Array(3 * rows * columns);
  for (let channel = 0; channel < 3; channel += 1) {
    for (let y = 0; y < height; y += 1) {
      const to = ((2 - channel) * rows + y) * columns;
      for (let x = 0; x < width; x += 1) pixels[to + x] = data[3 * (y * width + x) + channel];
    }
  }
  const input = new ort.Tensor("float32", pixels, [1, 3, rows, columns]);
  const outputs = await session.run({ input }, OUTPUTS);
  const found = STRIDES.flatMap((stride) => candidates(outputs, stride, columns / stride));
  return strongest(found).map(({ edges: [x, y, w, h], score }) => {
    const [left, top, across, down] = [x, y, w, h].map(roundToEven);
    return { box: { x: left, y: top, width: across, height: down }, score };
  });
}

/** The likely boxes of one stride: { edges: [x, y, width, height], score }. */
function candidates(outputs, stride, columns) {
  const output = (name) => outputs[`${name}_${stride}`].data;
  const [face, thing, boxes] = [output("cls"), output("obj"), output("bbox")];
  const share = (value) => Math.min(Math.max(value, 0), 1);
  const found = [];
  face.forEach((value, cell) => {
    const score = Math.fround(Math.sqrt(Math.fround(share(value) * share(thing[cell]))));
    if (score < SCORE) return;
    const [across, down, wide, high] = boxes.subarray(4 * cell, 4 * cell + 4);
    const [width, height] = [wide, high].map((side) => Math.fround(Math.exp(side)) * stride);
    const x = (cell % columns + across) * stride - width / 2;
    const y = (Math.floor(cell / columns) + down) * stride - height / 2;
    const edges = [x, y, width, height].map(Math.fround);
    if (edges.every((edge) => Math.abs(edge) < WIDEST)) found.push({ edges, score });
  });
  return found;
}

/** The candidates without those that overlap a stronger one. */
function strongest(found) {
  const kept = [];
  const sorted = found.filter(({ score }) => score > SCORE);
  sorted.sort((one, other) => other.score - one.score);
  for (const candidate of sorted) {
    const whole = candidate.edges.map(Math.trunc); // as OpenCV compares them
    if (kept.every((other) => overlap(whole, other.whole) <= OVERLAP)) {
      kept.push({ ...candidate, whole });
    }
  }
  return kept;
}

/** The intersection over union of two boxes. */
function overlap([x, y, width, height], [left, top, across, down]) {
  const wide = Math.min(x + width, left + across) - Math.max(x, left);
  const high = Math.min(y + height, top + down) - Math.max(y, top);
  const shared = Math.max(0, wide) * Math.max(0, high);
  const union = width * height + across * down - shared;
  return union > 0 ? Math.fround(shared / union) : 1;
}
