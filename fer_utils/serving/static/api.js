// Requests to the server: the faces of a picture, and the pictures of the server's own camera.

import { giveToken, storedToken } from "./token.js";

const BUSY_PATIENCE = 180; // seconds for which a busy server is asked again
const SPREAD = 0.5; // part of Retry-After that is added at random, so that not all come at once
const LONGEST_WAIT = 60; // seconds; limits Retry-After
const PATIENCE = 60_000; // milliseconds for one response

/** A reason, in words for the page. `kind`: away, busy, token, large, refused or failed. */
export class Failure extends Error {
  constructor(kind, headline, detail) {
    super(headline);
    Object.assign(this, { kind, headline, detail });
  }
}

/** Resolves after `seconds`; rejects when the signal aborts first. */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(signal.reason); };
    const finish = () => { signal?.removeEventListener("abort", stop); resolve(); };
    const timer = setTimeout(finish, 1000 * seconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/**
 * The result for one picture: { width, height, detector, faces }.
 *
 * A server with a token receives the one that the visitor types. A busy server is asked again after
 * the time in its response, and `onBusy(seconds)` is called. Throws a Failure, or the signal's
 * reason when the signal aborts.
 */
export async function predict(picture, { name = "picture", signal, onBusy } = {}) {
  const body = new FormData();
  body.append("image", picture, name);
  const options = { method: "POST", body };
  const response = await ask("api/v1/predict", options, { signal, onBusy, patience: PATIENCE });
  let content;
  try {
    content = await response.json();
  } catch {
    signal?.throwIfAborted();
    throw invalid();
  }
  if (!response.ok) throw refusal(response.status, content);
  const image = content.images?.[0];
  if (image?.error) throw refusal(image.error.status, image.error);
  if (!Array.isArray(image?.faces)) throw invalid();
  return image;
}

/** One of the server's own example photos as a File. Throws a Failure. */
export async function example(address) {
  let response;
  let blob;
  try {
    response = await fetch(address);
    blob = await response.blob();
  } catch {
    throw away();
  }
  if (!response.ok) throw refusal(response.status, {});
  return new File([blob], address.split("/").pop(), { type: blob.type });
}

/** The bytes (ArrayBuffer) of one of the server's files. Throws a Failure. */
export async function download(address) {
  const response = await ask(address, {}, {});
  if (!response.ok) {
    const detail = `${address} is missing: the server responded with status ${response.status}.`;
    throw new Failure("failed", "A file of this page is missing", detail);
  }
  try {
    return await response.arrayBuffer();
  } catch {
    throw away();
  }
}

/** Yields pictures (Blobs) of the server's camera until the stream ends. Throws like `predict`. */
export async function* feed({ signal, onBusy } = {}) {
  const response = await ask("video_feed", {}, { signal, onBusy });
  if (!response.ok) throw refusal(response.status, await response.json().catch(() => ({})));
  const type = response.headers.get("Content-Type") ?? "";
  const boundary = /boundary="?([^";]+)/i.exec(type)?.[1];
  if (!boundary) throw invalid();
  try {
    yield* parts(response.body.getReader(), boundary);
  } catch (failure) {
    signal?.throwIfAborted();
    throw failure instanceof Failure ? failure : away();
  }
}

async function ask(address, options, { signal, onBusy, patience }) {
  let waited = 0;
  for (;;) {
    const token = storedToken();
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const signals = [signal, patience && AbortSignal.timeout(patience)].filter(Boolean);
    let response;
    try {
      response = await fetch(address, { ...options, headers, signal: AbortSignal.any(signals) });
    } catch {
      signal?.throwIfAborted();
      throw away();
    }
    if (response.status === 401) {
      const given = await giveToken(token);
      signal?.throwIfAborted();
      if (!given) throw tokenMissing();
    } else if ([429, 503].includes(response.status) && waited < BUSY_PATIENCE) {
      const least = retryAfter(response.headers.get("Retry-After"));
      const seconds = least * (1 + SPREAD * Math.random());
      waited += seconds;
      onBusy?.(seconds);
      await pause(seconds, signal);
    } else {
      return response;
    }
  }
}

/** Seconds to wait. The header is a number of seconds or a date. */
function retryAfter(header) {
  const seconds = header === null ? NaN : Number(header);
  const wait = Number.isFinite(seconds) ? seconds : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(wait) ? Math.min(Math.max(wait, 0.2), LONGEST_WAIT) : 2;
}

/**
 * The bodies of a multipart stream as JPEG Blobs.
 *
 * A part without Content-Length ends where the next one begins.
 */
async function* parts(reader, boundary) {
  const encode = (text) => new TextEncoder().encode(text);
  const [line, blank] = [encode(`--${boundary}`), encode("\r\n\r\n")];
  let bytes = new Uint8Array(0);
  let over = false;
  const more = async () => {
    const { value, done } = await reader.read();
    if (done) { over = true; return; }
    const joined = new Uint8Array(bytes.length + value.length);
    joined.set(bytes);
    joined.set(value, bytes.length);
    bytes = joined;
  };
  const find = async (what, from) => {
    for (let searched = from; ;) {
      const at = indexOf(bytes, what, searched);
      if (at >= 0 || over) return at;
      searched = Math.max(from, bytes.length - what.length);
      await more();
    }
  };
  try {
    for (;;) {
      const start = await find(line, 0);
      const end = start < 0 ? -1 : await find(blank, start);
      if (end < 0) return;
      const header = new TextDecoder().decode(bytes.subarray(start, end));
      const from = end + blank.length;
      const length = Number(/content-length:\s*(\d+)/i.exec(header)?.[1] ?? NaN);
      let to = from + length;
      if (Number.isNaN(length)) to = (await find(line, from)) - 2; // before the line break
      while (bytes.length < to && !over) await more();
      if (to < from || bytes.length < to) return; // truncated
      yield new Blob([bytes.slice(from, to)], { type: "image/jpeg" });
      bytes = bytes.slice(to);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function indexOf(bytes, what, from) {
  for (let at = bytes.indexOf(what[0], from); at >= 0; at = bytes.indexOf(what[0], at + 1)) {
    if (at + what.length > bytes.length) return -1;
    if (what.every((byte, index) => bytes[at + index] === byte)) return at;
  }
  return -1;
}

function away() {
  const detail = "It may have been stopped, or the network is down.";
  return new Failure("away", "The server does not respond", detail);
}

function invalid() {
  const detail = "Another program may be running at this address.";
  return new Failure("failed", "The server's response is invalid", detail);
}

function tokenMissing() {
  const detail = "This server needs an access token. Its operator has one.";
  return new Failure("token", "A token is needed", detail);
}

function refusal(status, problem) {
  const fallback = `The server responded with status ${status}.`;
  const detail = sentence(String(problem.detail ?? problem.title ?? fallback));
  if (status === 503 || status === 429) return new Failure("busy", "The server is busy", detail);
  if (status >= 500) return new Failure("failed", "The server failed", detail);
  if (status === 413) return new Failure("large", "This photo is too large", detail);
  const headline = status === 404 ? "Not on this server" : "This photo cannot be read";
  return new Failure("refused", headline, detail);
}

function sentence(text) {
  const closed = /[.!?]$/.test(text) ? text : `${text}.`;
  return closed.charAt(0).toUpperCase() + closed.slice(1);
}
