// The access token: asked of the visitor, kept while the tab lives, and asked again when the server refuses it.

const KEY = "fer-study-token";
const dialog = document.getElementById("token");
const field = document.getElementById("token-field");
const problem = document.getElementById("token-problem");

let token = read();
let asking = null; // one form, however many requests wait for it

function read() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null; // storage may be switched off: then the token lives in this module alone
  }
}

export function storedToken() {
  return token;
}

/** Asks for a token in place of `refused` (null: there was none); true when the visitor gave one. */
export function giveToken(refused) {
  if (token !== refused && token) return Promise.resolve(true); // given meanwhile, to another request
  asking ??= ask(refused).finally(() => { asking = null; });
  return asking;
}

function ask(refused) {
  return new Promise((resolve) => {
    problem.hidden = !refused;
    field.value = "";
    field.setAttribute("aria-invalid", String(Boolean(refused)));
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "given" && field.value.trim();
      field.value = "";
      if (given) keep(given);
      resolve(Boolean(given));
    }, { once: true });
    dialog.showModal();
    field.focus();
  });
}

function keep(given) {
  token = given;
  try {
    sessionStorage.setItem(KEY, given);
  } catch { /* as above */ }
}

dialog.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  dialog.close("given");
});
dialog.querySelector("button[type=button]").addEventListener("click", () => dialog.close());
