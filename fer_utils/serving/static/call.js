// The request for the shown photo in three languages, to copy.

import { announce, at, write } from "./view.js";

const address = new URL("api/v1/predict", document.baseURI).href;
const token = document.body.dataset.token === "required";

const languages = {
  curl(file) {
    const header = token ? ' -H "Authorization: Bearer $TOKEN"' : "";
    return `curl${header} -F image=@${shell(file)} ${address}`;
  },
  python(file) {
    const bearer = `{"Authorization": f"Bearer {os.environ['TOKEN']}"}`;
    const headers = token ? `\n        headers=${bearer},` : "";
    return `${token ? "import os\n\n" : ""}import requests

with open(${text(file)}, "rb") as photo:
    response = requests.post(
        "${address}",
        files={"image": photo},${headers}
    )
response.raise_for_status()
for face in response.json()["images"][0]["faces"]:
    print(face["emotion"], face["box"])`;
  },
  javascript(file) {
    const headers = token ? "\n  headers: { Authorization: `Bearer ${process.env.TOKEN}` }," : "";
    return `import { readFile } from "node:fs/promises";

const body = new FormData();
body.append("image", new Blob([await readFile(${text(file)})]));
const response = await fetch("${address}", {
  method: "POST",${headers}
  body,
});
const { images } = await response.json();
for (const { emotion, box } of images[0].faces) console.log(emotion, box);`;
  },
};

let name = "photo.jpg";

/** Names the file in the request; the request is hidden if there is no file. */
export function showCall(file) {
  at("call").hidden = !file;
  if (!file) return;
  name = file;
  fill();
}

function fill() {
  const chosen = document.querySelector('#call input[name="language"]:checked').value;
  write(at("code"), languages[chosen](name));
}

/** The name as one word of a shell, with its own meaning to curl as well. */
function shell(file) {
  const plain = /^[\w./-]+$/.test(file);
  // curl reads ; and , in a name, unless it stands between quotes.
  const quoted = /[;,"]/.test(file) ? `"${file.replaceAll(/["\\]/g, "\\$&")}"` : file;
  return plain ? file : `'${quoted.replaceAll("'", "'\\''")}'`;
}

function text(file) {
  return JSON.stringify(file);
}

at("call").addEventListener("change", fill);
at("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(at("code").textContent);
    write(at("copy"), "Copied ✓");
    announce("Copied.");
  } catch { // the browser allows it on https and on this machine only
    getSelection().selectAllChildren(at("code"));
    write(at("copy"), "Selected");
  }
  setTimeout(() => write(at("copy"), "Copy"), 1500);
});
