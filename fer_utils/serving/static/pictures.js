// Pictures made from photos: a smaller one to send, and one with its faces drawn to keep.

import { placeLabels } from "./labels.js";

const LONGEST_SIDE = 3000; // pixels of a photo that was made smaller
const QUALITY = 0.9; // JPEG quality

/** A smaller JPEG of a photo: { blob, width, height }, with the photo's own size; else null. */
export async function shrink(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return null; // this browser does not read it
  }
  const { width, height } = bitmap;
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  const canvas = blank(Math.round(scale * width), Math.round(scale * height));
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // behind transparent pixels, as on the server
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const blob = await asJpeg(canvas);
  return blob && { blob, width, height };
}

/** The answer for a smaller photo, with the boxes in pixels of the photo of this size. */
export function enlarge(answer, width, height) {
  const [across, down] = [width / answer.width, height / answer.height];
  const faces = answer.faces.map((face) => {
    const x = Math.round(across * face.box.x);
    const y = Math.round(down * face.box.y);
    const right = Math.min(width, Math.round(across * (face.box.x + face.box.width)));
    const bottom = Math.min(height, Math.round(down * (face.box.y + face.box.height)));
    return { ...face, box: { x, y, width: right - x, height: bottom - y } };
  });
  return { ...answer, width, height, faces };
}

/** A JPEG of the picture (an <img>) with boxes and names; `label(face, index)` is a name. */
export async function annotated(picture, answer, label) {
  const canvas = blank(answer.width, answer.height);
  drawAnnotated(canvas, picture, answer, label);
  return asJpeg(canvas);
}

/**
 * Draws the picture (an <img> or <video>) on a canvas of its size, with boxes and names.
 *
 * Returns the places of the names. As `before`, they keep the names of the next frame steady.
 */
export function drawAnnotated(canvas, picture, { width, height, faces }, label, before = []) {
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, width, height);
  const line = Math.max(2, Math.round(Math.max(width, height) / 400));
  const text = Math.max(12, Math.round(Math.max(width, height) / 55));
  context.font = `600 ${text}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  for (const { box, uncertain } of faces) {
    context.setLineDash(uncertain ? [3 * line, 2 * line] : []);
    for (const [color, thickness] of [["rgb(20 18 24 / 75%)", 2 * line], ["#ffb040", line]]) {
      context.strokeStyle = color;
      context.lineWidth = thickness;
      context.strokeRect(box.x, box.y, box.width, box.height);
    }
  }
  const wide = (name) => context.measureText(name).width + text;
  const names = faces.map(label);
  const numbers = faces.map((_, index) => (faces.length > 1 ? String(index + 1) : names[index]));
  const sizes = names.map((name, index) => {
    return { width: wide(name), height: 1.5 * text, short: wide(numbers[index]) };
  });
  const boxes = faces.map(({ box }) => box);
  const places = placeLabels(boxes, sizes, { width, height }, before);
  places.forEach(({ x, y, short }, index) => {
    context.fillStyle = "rgb(20 18 24 / 88%)";
    context.fillRect(x, y, short ? sizes[index].short : sizes[index].width, 1.5 * text);
    context.fillStyle = "#ffb040";
    context.fillText((short ? numbers : names)[index], x + text / 2, y + 0.78 * text);
  });
  return places;
}

/** Saves a Blob as a file of the visitor. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A new canvas of this size, at least one pixel. */
export function blank(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, width);
  canvas.height = Math.max(1, height);
  return canvas;
}

/** Resolves to a JPEG (Blob) of the canvas, or to null. */
export function asJpeg(canvas, quality = QUALITY) {
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
}
