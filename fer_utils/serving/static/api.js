// What the page asks of the server: the faces of a picture, and the pictures of the server's own camera.

import { giveToken, storedToken } from "./token.js";

const BUSY_TRIES = 4; // times that a busy server is asked again
const LONGEST_WAIT = 30; // seconds, whatever Retry-After says
const PATIENCE = 60_000; // milliseconds for one answer

/** Why there is no answer, in words for the page. `kind`: away, busy, token, refused or failed. */
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
    const timer = setTimeout(() => { signal?.removeEventListener("abort", stop); resolve(); }, 1000 * seconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/**
 * The answer for one picture: { width, height, faces }.
 *
 * A server that asks for a token gets the one that the visitor types; a busy one is asked again after the time it
 * names, and `onBusy(seconds)` is told. Throws a Failure, or the signal's reason when that aborts.
 */
export async function predict(picture, { name = "picture", signal, onBusy } = {}) {
  const body = new FormData();
  body.append("image", picture, name);
  const answer = await ask("api/v1/predict", { method: "POST", body }, { signal, onBusy, patience: PATIENCE });
  let content;
  try {
    content = await answer.json();
  } catch {
    signal?.throwIfAborted();
    throw makesNoSense();
  }
  if (!answer.ok) throw refusal(answer.status, content);
  if (!Array.isArray(content.faces)) throw makesNoSense();
  return content;
}

/** Pictures (Blobs) of the server's own camera, as they come, until its stream ends. Throws as `predict` does. */
export async function* feed({ signal, onBusy } = {}) {
  const answer = await ask("video_feed", {}, { signal, onBusy });
  if (!answer.ok) throw refusal(answer.status, await answer.json().catch(() => ({})));
  const boundary = /boundary="?([^";]+)/i.exec(answer.headers.get("Content-Type") ?? "")?.[1];
  if (!boundary) throw makesNoSense();
  try {
    yield* parts(answer.body.getReader(), boundary);
  } catch (failure) {
    signal?.throwIfAborted();
    throw failure instanceof Failure ? failure : away();
  }
}

async function ask(address, options, { signal, onBusy, patience }) {
  for (let tries = 0; ;) {
    const token = storedToken();
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const signals = [signal, patience && AbortSignal.timeout(patience)].filter(Boolean);
    let answer;
    try {
      answer = await fetch(address, { ...options, headers, signal: AbortSignal.any(signals) });
    } catch {
      signal?.throwIfAborted();
      throw away();
    }
    if (answer.status === 401) {
      const given = await giveToken(token);
      signal?.throwIfAborted();
      if (!given) throw new Failure("token", "A token is needed", "This server answers only to those who have its access token.");
    } else if (answer.status === 503 && tries < BUSY_TRIES) {
      tries += 1;
      const seconds = retryAfter(answer.headers.get("Retry-After"));
      onBusy?.(seconds);
      await pause(seconds, signal);
    } else {
      return answer;
    }
  }
}

function retryAfter(header) {
  const seconds = header === null ? NaN : Number(header);
  const wait = Number.isFinite(seconds) ? seconds : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(wait) ? Math.min(Math.max(wait, 0.2), LONGEST_WAIT) : 2;
}

/** The bodies of a multipart stream as JPEG Blobs. A part without Content-Length ends where the next begins. */
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
      if (Number.isNaN(length)) to = (await find(line, from)) - 2; // before it stands a line break
      while (bytes.length < to && !over) await more();
      if (to < from || bytes.length < to) return; // cut off
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
  return new Failure("away", "The server does not answer", "It may have been stopped, or the network is down.");
}

function makesNoSense() {
  return new Failure("failed", "The server's answer makes no sense", "Something else may be answering at this address.");
}

function refusal(status, problem) {
  const detail = sentence(String(problem.detail ?? problem.title ?? `It answered with status ${status}.`));
  if (status === 503) return new Failure("busy", "The server is busy", `${detail} Try again in a while.`);
  if (status >= 500) return new Failure("failed", "The server failed", detail);
  if (status === 413) return new Failure("refused", "This photo is too large", detail);
  return new Failure("refused", status === 404 ? "Not on this server" : "This photo cannot be read", detail);
}

function sentence(text) {
  const closed = /[.!?]$/.test(text) ? text : `${text}.`;
  return closed.charAt(0).toUpperCase() + closed.slice(1);
}
