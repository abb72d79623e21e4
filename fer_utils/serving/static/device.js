// Answers on this device: the models run in the browser, and no picture leaves it. Nothing is
// fetched before the first use.

import { download, Failure } from "./api.js";

const { temperature, threshold } = document.body.dataset;
const settings = { temperature: Number(temperature), threshold: Number(threshold) };

let opened = null; // Promise of the worker with the models
let messages = 0;

/** Fetches and opens the models, once. Throws a Failure; the next call tries again. */
export function open() {
  opened ??= start().catch((failure) => {
    opened = null;
    throw failure;
  });
  return opened;
}

/**
 * The answer for a picture (Blob or ImageData), as `predict` of api.js gives it. Throws a Failure.
 */
export async function predict(picture, { signal } = {}) {
  const worker = await open();
  signal?.throwIfAborted();
  try {
    return await ask(worker, { task: "answer", picture });
  } catch (problem) {
    throw unreadable(problem);
  } finally {
    signal?.throwIfAborted();
  }
}

async function start() {
  if (typeof WebAssembly === "undefined" || typeof OffscreenCanvas === "undefined") throw tooOld();
  const files = ["on-device/yunet.onnx", "on-device/model.onnx"];
  const [yunet, model] = await Promise.all(files.map((address) => download(address)));
  const worker = new Worker("static/on_device/worker.js", { type: "module" });
  try {
    await ask(worker, { task: "open", yunet, model, settings }, [yunet, model]);
  } catch (problem) {
    worker.terminate();
    throw unopened(problem);
  }
  return worker;
}

/** Resolves to the worker's result. Rejects with an Error. */
function ask(worker, message, transfer = []) {
  messages += 1;
  const id = messages;
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const { signal } = over;
    worker.addEventListener("message", ({ data }) => {
      if (data.id !== id) return;
      over.abort();
      if (data.problem) reject(Object.assign(new Error(data.problem.message), data.problem));
      else resolve(data.result);
    }, { signal });
    worker.addEventListener("error", (event) => {
      over.abort();
      reject(new Error(event.message || "a script of the page is missing"));
    }, { signal });
    worker.postMessage({ id, ...message }, transfer);
  });
}

function tooOld() {
  const detail = "It lacks or forbids WebAssembly or OffscreenCanvas. Use a current browser.";
  return new Failure("refused", "This browser cannot recognise faces by itself", detail);
}

function unopened({ message }) {
  const detail = `The models could not be started (${message}). Reload the page and try again.`;
  return new Failure("failed", "This device cannot answer now", detail);
}

function unreadable({ name, message }) {
  if (name === "InvalidStateError" || name === "EncodingError") {
    const detail = "This browser does not support its format, or it is damaged. JPEG, PNG and WebP "
      + "work in all browsers.";
    return new Failure("refused", "This photo cannot be read", detail);
  }
  const detail = `Recognition stopped (${message}). The photo may be too large for this device.`;
  return new Failure("failed", "This device could not answer", detail);
}
