// Runs the models beside the page, so that it stays responsive. Messages come from device.js, one
// to open the models and one for each picture.

import { Recognizer } from "./recognition.js";

const RUNTIME = new URL("../../on-device/onnxruntime-web/", import.meta.url).href;

let recognizer = null;
let last = Promise.resolve(); // a session of onnxruntime-web runs one picture at a time

async function open({ yunet, model, settings }) {
  const ort = await import(`${RUNTIME}ort.wasm.min.mjs`);
  ort.env.wasm.wasmPaths = RUNTIME;
  ort.env.wasm.numThreads = 1; // more need memory that pages share only if the host isolates them
  const options = { executionProviders: ["wasm"], logSeverityLevel: 3 }; // no warnings
  const faces = await ort.InferenceSession.create(yunet, options);
  const expressions = await ort.InferenceSession.create(model, options);
  recognizer = new Recognizer(ort, faces, expressions, settings);
}

const tasks = { open, answer: ({ picture }) => recognizer.answer(picture) };

addEventListener("message", ({ data: { id, task, ...given } }) => {
  last = last.then(async () => {
    try {
      postMessage({ id, result: await tasks[task](given) });
    } catch (problem) {
      postMessage({ id, problem: { name: problem.name, message: String(problem.message) } });
    }
  });
});
