// From a picture to the expressions of its faces. The same steps and numbers as in the library's
// recognition/recognizer.py, which explains them.

import { cut, enlarge, extend, grey, readPicture, reduce, roundToEven, shrink } from "./pixels.js";
import { findFaces } from "./search.js";
import { detect, FRAME } from "./yunet.js";

const EMOTIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];
const SIDE = 48;
const ENOUGH = 2 * SIDE;
const LARGE = 2048;
const BATCH = 64;

/** Finds and classifies faces with two models. */
export class Recognizer {
  #ort;
  #yunet;
  #model;
  #settings;

  /**
   * `ort` is onnxruntime-web; `yunet` and `model` are its sessions; `settings` are those of the
   * model: { temperature, threshold }.
   */
  constructor(ort, yunet, model, settings) {
    this.#ort = ort;
    this.#yunet = yunet;
    this.#model = model;
    this.#settings = settings;
  }

  /**
   * The answer for a picture (Blob or ImageData), as the server's: { width, height, detector,
   * faces }.
   */
  async answer(picture) {
    const photo = await readPicture(picture);
    const { width, height } = photo;
    const found = await findFaces(photo, (image) => detect(image, this.#ort, this.#yunet));
    found.sort((one, other) => {
      const keys = ["x", "y", "width", "height"];
      const key = keys.find((name) => one.box[name] !== other.box[name]);
      return key ? one.box[key] - other.box[key] : 0;
    });
    const rows = await this.#classify(found.map(({ box }) => cropFace(photo, box)));
    const faces = found.map(({ box, score }, index) => this.#face(box, score, rows[index]));
    return { width, height, detector: "yunet", faces };
  }

  /** The probabilities of cropped faces, a row for each. */
  async #classify(crops) {
    const rows = [];
    for (let start = 0; start < crops.length; start += BATCH) {
      const batch = crops.slice(start, start + BATCH);
      const pixels = new Float32Array(batch.length * SIDE * SIDE);
      batch.forEach(({ data }, index) => pixels.set(data, index * SIDE * SIDE));
      const tensor = new this.#ort.Tensor("float32", pixels, [batch.length, SIDE, SIDE, 1]);
      const outputs = await this.#model.run({ [this.#model.inputNames[0]]: tensor });
      const logits = outputs[this.#model.outputNames[0]].data;
      batch.forEach((_, index) => {
        const start = EMOTIONS.length * index;
        rows.push(softmax(logits.subarray(start, start + EMOTIONS.length), this.#settings));
      });
    }
    return rows;
  }

  #face(box, score, probabilities) {
    const most = Math.max(...probabilities);
    const shares = EMOTIONS.map((name, index) => [name, rounded(probabilities[index], 6)]);
    return {
      box,
      score: rounded(score, 4),
      emotion: EMOTIONS[probabilities.indexOf(most)],
      probabilities: Object.fromEntries(shares),
      uncertain: most < this.#settings.threshold,
    };
  }
}

/** A face, cropped as FER-2013 does: a square about its box, grey, 48 x 48 pixels. */
export function cropFace(photo, box) {
  const { width, height } = photo;
  const side = Math.max(1, roundToEven(FRAME * Math.max(box.width, box.height)));
  const left = roundToEven(box.x + box.width / 2 - side / 2);
  const top = roundToEven(box.y + box.height / 2 - side / 2);
  const [x0, x1] = [left, left + side].map((x) => Math.min(Math.max(0, x), width));
  const [y0, y1] = [top, top + side].map((y) => Math.min(Math.max(0, y), height));
  const part = cut(photo, x0, y0, x1, y1);
  // A large part is reduced first, but keeps the pixels that a crop needs.
  const most = Math.floor(1 / Math.min(1, ENOUGH / side));
  const factor = Math.min(Math.floor(Math.max(x1 - x0, y1 - y0) / LARGE), most);
  const region = grey(factor > 1 ? reduce(part, factor) : part);
  const [across, down] = [region.width / (x1 - x0), region.height / (y1 - y0)];
  const [above, below] = [y0 - top, top + side - y1].map((rest) => roundToEven(rest * down));
  const [before, after] = [x0 - left, left + side - x1].map((rest) => roundToEven(rest * across));
  const square = extend(region, above, below, before, after);
  const scale = Math.min(square.width, square.height) >= SIDE ? shrink : enlarge;
  return scale(square, SIDE, SIDE);
}

function softmax(logits, { temperature }) {
  const scaled = [...logits].map((logit) => logit / temperature);
  const most = Math.max(...scaled);
  const exponentials = scaled.map((logit) => Math.exp(logit - most));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}

function rounded(value, digits) {
  return Number(value.toFixed(digits));
}
