// Tables in CSV, and results as files of the visitor.

import { save } from "./pictures.js";

/** The rows, each a list of values, as CSV. */
export function csv(rows) {
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function cell(value) {
  let text = String(value ?? "");
  // The apostrophe prevents a spreadsheet from reading the text as a formula.
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Saves the text as expressions-DATE-TIME.ENDING. */
export function saveResults(text, type, ending) {
  const now = new Date();
  const local = new Date(now - 60_000 * now.getTimezoneOffset()).toISOString();
  const stamp = local.slice(0, 19).replaceAll(/[T:]/g, "-");
  save(new Blob([text], { type }), `expressions-${stamp}.${ending}`);
}
