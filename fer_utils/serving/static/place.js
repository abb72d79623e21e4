// Where pictures are processed: on the server, or on this device. The visitor chooses, if the
// server offers both.

import * as server from "./api.js";
import * as device from "./device.js";
import { at, write } from "./view.js";

const { dataset } = document.body;

/** Whether pictures are processed on this device, and never sent. */
export function onDevice() {
  return dataset.place === "device";
}

/**
 * The result for one picture, from the chosen place; see `predict` of api.js.
 *
 * A picture is a Blob, or for this device also ImageData.
 *
 * A picture that was given for this device keeps `local` when the visitor changes the place.
 */
export async function predict(picture, options, local = onDevice()) {
  if (!local) return server.predict(picture, options);
  await prepare();
  return device.predict(picture, options);
}

const listeners = [];

/** Calls `listener()` whenever the visitor changes the place. */
export function whenChanged(listener) {
  listeners.push(listener);
}

/** Opens the models and tells the visitor. Throws a Failure. */
async function prepare() {
  const opening = device.open();
  const slow = setTimeout(() => note(`Loading ${dataset.megabytes} MB, once…`), 100);
  try {
    await opening;
    note("Pictures stay on this device.");
  } catch (failure) {
    note(`${failure.headline}.`);
    throw failure;
  } finally {
    clearTimeout(slow);
  }
}

function note(text) {
  write(at("place-note"), onDevice() ? text : "");
}

for (const input of document.querySelectorAll('input[name="place"]')) {
  input.addEventListener("change", () => {
    dataset.place = input.value;
    note("");
    if (onDevice()) prepare().catch(() => {}); // the note has the reason
    for (const listener of listeners) listener();
  });
}
if (onDevice()) note("Pictures stay on this device.");
