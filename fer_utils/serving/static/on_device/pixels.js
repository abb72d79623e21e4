// Pixels: read from a picture, scaled, cut out and made grey, as Pillow and OpenCV do it on the
// server.
//
// An image is { width, height, channels, data }, rows of pixels from the top, each 0 to 255. The
// results are those of the libraries, so that both places give the same answers. Where the
// libraries round in float32, a value may differ by one.

/** Rounds to the nearest whole number, and .5 to the even one, as Python and OpenCV do. */
export function roundToEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

/**
 * The picture as upright RGB on white, in full size. Throws if this browser cannot read it.
 *
 * The picture is a Blob, or ImageData of an opaque frame.
 *
 * Colour profiles are ignored, as on the server.
 */
export async function readPicture(picture) {
  if (picture instanceof ImageData) return rgb(picture);
  const bitmap = await createImageBitmap(picture, { colorSpaceConversion: "none" });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return rgb(context.getImageData(0, 0, width, height));
}

function rgb({ width, height, data: rgba }) {
  const data = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; to < data.length; from += 4, to += 3) {
    data[to] = rgba[from];
    data[to + 1] = rgba[from + 1];
    data[to + 2] = rgba[from + 2];
  }
  return { width, height, channels: 3, data };
}

/** The part of an image between these edges. */
export function cut({ width, channels, data }, left, top, right, bottom) {
  const row = channels * (right - left);
  const part = new Uint8Array(row * (bottom - top));
  for (let y = top; y < bottom; y += 1) {
    const start = channels * (y * width + left);
    part.set(data.subarray(start, start + row), row * (y - top));
  }
  return { width: right - left, height: bottom - top, channels, data: part };
}

/** The means of squares of `factor` pixels, as Pillow's `reduce`. Squares at the edges are cut. */
export function reduce({ width, height, channels, data }, factor) {
  const [columns, rows] = [Math.ceil(width / factor), Math.ceil(height / factor)];
  const means = new Uint8Array(channels * columns * rows);
  let to = 0;
  for (let row = 0; row < rows; row += 1) {
    const bottom = Math.min(height, factor * (row + 1));
    for (let column = 0; column < columns; column += 1) {
      const right = Math.min(width, factor * (column + 1));
      const count = (bottom - factor * row) * (right - factor * column);
      // Pillow multiplies by a share in 24 bits that is cut off, so whole means become one less.
      const share = Math.trunc(Math.fround(2 ** 24 / count));
      for (let channel = 0; channel < channels; channel += 1) {
        let sum = count >> 1;
        for (let y = factor * row; y < bottom; y += 1) {
          for (let x = factor * column; x < right; x += 1) {
            sum += data[channels * (y * width + x) + channel];
          }
        }
        means[to] = Math.floor((sum * share) / 2 ** 24);
        to += 1;
      }
    }
  }
  return { width: columns, height: rows, channels, data: means };
}

/** Scales an image down to this size: each pixel is a mean. OpenCV's INTER_AREA. */
export function shrink(image, width, height) {
  const { channels, data } = image;
  if (image.width === 2 * width && image.height === 2 * height) return halve(image);
  const across = shares(image.width, width);
  const down = shares(image.height, height);
  const length = channels * width;
  const result = new Uint8ClampedArray(length * height); // rounds .5 to even, as OpenCV
  const [row, sum] = [new Float32Array(length), new Float32Array(length)];
  for (let y = 0; y < height; y += 1) {
    sum.fill(0);
    for (let part = down.first[y]; part < down.first[y + 1]; part += 1) {
      shrinkRow(data, channels * image.width * down.index[part], channels, across, row);
      const weight = down.weight[part];
      for (let at = 0; at < length; at += 1) sum[at] += weight * row[at];
    }
    result.set(sum, length * y);
  }
  return { width, height, channels, data: result };
}

/** Scales one row of `data`, which begins at `start`, into `row`. */
function shrinkRow(data, start, channels, { first, index, weight }, row) {
  for (let x = 0, to = 0; x + 1 < first.length; x += 1) {
    for (let channel = 0; channel < channels; channel += 1, to += 1) {
      let sum = 0;
      for (let part = first[x]; part < first[x + 1]; part += 1) {
        sum = Math.fround(sum + weight[part] * data[start + channels * index[part] + channel]);
      }
      row[to] = sum;
    }
  }
}

/** Half of the width and height. OpenCV rounds these means up. */
function halve({ width, height, channels, data }) {
  const row = channels * width;
  const half = { width: width / 2, height: height / 2, channels };
  const result = new Uint8Array(channels * half.width * half.height);
  let to = 0;
  for (let y = 0; y < half.height; y += 1) {
    for (let x = 0; x < half.width; x += 1) {
      for (let channel = 0; channel < channels; channel += 1) {
        const at = 2 * y * row + 2 * x * channels + channel;
        const sum = data[at] + data[at + channels] + data[at + row] + data[at + row + channels];
        result[to] = (sum + 2) >> 2;
        to += 1;
      }
    }
  }
  return { ...half, data: result };
}

/**
 * The `from` pixels that each of `to` pixels covers, and their weights.
 *
 * Those of pixel n are the entries first[n] to first[n + 1] - 1 of `index` and `weight`.
 */
function shares(from, to) {
  const scale = from / to;
  const [first, index, weight] = [[0], [], []];
  for (let place = 0; place < to; place += 1) {
    const [start, end] = [place * scale, (place + 1) * scale];
    const size = Math.min(scale, from - start);
    const last = Math.min(Math.floor(end), from - 1);
    const whole = Math.min(Math.ceil(start), last);
    const add = (pixel, part) => { index.push(pixel); weight.push(part / size); };
    if (whole - start > 1e-3) add(whole - 1, whole - start);
    for (let pixel = whole; pixel < last; pixel += 1) add(pixel, 1);
    if (end - last > 1e-3) add(last, Math.min(end - last, 1, size));
    first.push(index.length);
  }
  const whole = (numbers) => Int32Array.from(numbers);
  return { first: whole(first), index: whole(index), weight: Float32Array.from(weight) };
}

const FIXED = 2048; // OpenCV's fixed point: 11 bits after the point

/** Enlarges a grey image to this size. OpenCV's INTER_LINEAR, in its fixed-point arithmetic. */
export function enlarge(image, width, height) {
  const across = neighbours(image.width, width, true);
  const down = neighbours(image.height, height, false);
  const data = new Uint8Array(width * height);
  const mix = (row, { first, second, weights: [one, other] }) => {
    return one * image.data[row + first] + other * image.data[row + second];
  };
  down.forEach(({ first, second, weights: [one, other] }, y) => {
    for (let x = 0; x < width; x += 1) {
      const above = one * (mix(first * image.width, across[x]) >> 4);
      const below = other * (mix(second * image.width, across[x]) >> 4);
      data[y * width + x] = ((above >> 16) + (below >> 16) + 2) >> 2;
    }
  });
  return { width, height, channels: 1, data };
}

/** For each of `to` pixels the two `from` pixels around its centre, and their weights. */
function neighbours(from, to, clamped) {
  return Array.from({ length: to }, (_, index) => {
    const place = Math.fround((index + 0.5) * (from / to) - 0.5);
    let first = Math.floor(place);
    let rest = Math.fround(place - first);
    if (clamped && (first < 0 || first >= from - 1)) {
      first = Math.min(Math.max(first, 0), from - 1);
      rest = 0;
    }
    const within = (at) => Math.min(Math.max(at, 0), from - 1);
    const weights = [Math.fround(1 - rest), rest].map((share) => roundToEven(share * FIXED));
    return { first: within(first), second: within(first + 1), weights };
  });
}

/** The grey image of an RGB one, with OpenCV's weights in 15 bits. */
export function grey({ width, height, data }) {
  const result = new Uint8Array(width * height);
  for (let at = 0; at < result.length; at += 1) {
    const sum = 9798 * data[3 * at] + 19235 * data[3 * at + 1] + 3735 * data[3 * at + 2];
    result[at] = (sum + 16384) >> 15;
  }
  return { width, height, channels: 1, data: result };
}

/** Repeats the outermost pixels of a grey image beyond its edges, so many times on each side. */
export function extend(image, above, below, before, after) {
  const width = image.width + before + after;
  const height = image.height + above + below;
  const data = new Uint8Array(width * height);
  for (let y = 0; y < height; y += 1) {
    const row = image.width * Math.min(Math.max(y - above, 0), image.height - 1);
    for (let x = 0; x < width; x += 1) {
      const column = Math.min(Math.max(x - before, 0), image.width - 1);
      data[y * width + x] = image.data[row + column];
    }
  }
  return { width, height, channels: 1, data };
}
