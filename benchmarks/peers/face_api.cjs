// face-api.js, measured in Node: `node face_api.cjs JOB`, with the job and the answer as JSON.
//
// The backend is WebAssembly, because that of tfjs-node needs a binary that npm does not have. sharp
// decodes photos, turned as their EXIF data say, as a browser does.
//
// Jobs have `folder` (of node_modules) and `threads`. A job with `images` classifies raw uint8
// (n, 48, 48) into raw float32 (n, 7) in `outputs`, and answers with `labels` and `versions`. One
// with `photos` answers as contenders.py does for a photo.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { createRequire } = require("node:module");

const SIDE = 48;
const BATCH = 64;
const CALLS = 5; // at least, for a median

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Median milliseconds of a call: by the clock, and of the processor in all threads together. */
async function typical(call, seconds) {
  const times = [];
  const used = [];
  const until = performance.now() + 1e3 * seconds;
  while (times.length < CALLS || performance.now() < until) {
    const before = process.cpuUsage();
    const started = performance.now();
    await call();
    times.push(performance.now() - started);
    const { user, system } = process.cpuUsage(before);
    used.push((user + system) / 1e3);
  }
  return [median(times), median(used)];
}

async function load(job) {
  const modules = path.join(job.folder, "node_modules");
  const from = createRequire(path.join(job.folder, "package.json"));
  const tf = from("@tensorflow/tfjs");
  const wasm = from("@tensorflow/tfjs-backend-wasm");
  wasm.setWasmPaths(path.join(modules, "@tensorflow", "tfjs-backend-wasm", "dist") + path.sep);
  wasm.setThreadsCount(job.threads);
  await tf.setBackend("wasm");
  await tf.ready();
  if (tf.getBackend() !== "wasm") throw new Error(`backend ${tf.getBackend()} instead of wasm`);
  const faceapi = from("@vladmandic/face-api/dist/face-api.node-wasm.js");
  const models = path.join(modules, "@vladmandic", "face-api", "model");
  await faceapi.nets.faceExpressionNet.loadFromDisk(models);
  if (job.detector) await faceapi.nets[job.detector].loadFromDisk(models);
  const sharp = job.photos && from("sharp");
  if (sharp) sharp.concurrency(job.threads);
  const versions = `@vladmandic/face-api ${faceapi.version}, tfjs ${tf.version_core}, node ` +
    process.versions.node;
  return { tf, faceapi, sharp, versions };
}

async function classify(job, { tf, faceapi, versions }) {
  const pixels = fs.readFileSync(job.images);
  const size = SIDE * SIDE;
  const count = pixels.length / size;
  let labels = null;
  const outputs = new Float32Array(count * 7);
  for (let start = 0; start < count; start += BATCH) {
    const batch = [];
    for (let i = start; i < Math.min(count, start + BATCH); i++) {
      const grey = pixels.subarray(i * size, (i + 1) * size);
      const colours = new Int32Array(3 * size);
      for (let k = 0; k < size; k++) colours.fill(grey[k], 3 * k, 3 * k + 3);
      batch.push(tf.tensor3d(colours, [SIDE, SIDE, 3], "int32"));
    }
    const found = await faceapi.nets.faceExpressionNet.predictExpressions(batch);
    // For a single image, the result is no list.
    [].concat(found).forEach((expressions, i) => {
      labels = labels || Object.keys(expressions);
      labels.forEach((label, k) => { outputs[7 * (start + i) + k] = expressions[label]; });
    });
    tf.dispose(batch);
  }
  fs.writeFileSync(job.outputs, Buffer.from(outputs.buffer));
  return { labels, versions };
}

async function photos(job, { tf, faceapi, sharp, versions }) {
  const options = {
    tinyFaceDetector: () => new faceapi.TinyFaceDetectorOptions(),
    ssdMobilenetv1: () => new faceapi.SsdMobilenetv1Options(),
  }[job.detector]();
  const recognise = async (file) => {
    const { data, info } = await sharp(file).rotate().removeAlpha().toColourspace("srgb").raw()
      .toBuffer({ resolveWithObject: true });
    const image = tf.tensor3d(new Uint8Array(data), [info.height, info.width, 3], "int32");
    const found = await faceapi.detectAllFaces(image, options).withFaceExpressions();
    tf.dispose(image);
    return found.length;
  };
  const answer = { photos_ms: {}, photos_processor_ms: {}, found: {}, versions };
  for (const file of job.photos) {
    const name = path.basename(file);
    answer.found[name] = await recognise(file); // the first call for a size is slower
    [answer.photos_ms[name], answer.photos_processor_ms[name]] =
      await typical(() => recognise(file), job.seconds / 5);
  }
  return answer;
}

async function main() {
  const job = JSON.parse(process.argv[2]);
  const loaded = await load(job);
  const answer = await (job.photos ? photos : classify)(job, loaded);
  console.log("\n" + JSON.stringify(answer));
}

main().catch((problem) => {
  console.error(problem);
  process.exitCode = 1;
});
