// The access token: typed by the visitor and stored while the tab is open.

const KEY = "fer-study-token";
const dialog = document.getElementById("token");
const field = document.getElementById("token-field");
const problem = document.getElementById("token-problem");

let token = read();
let asking = null; // promise of the open form, shared by all requests that wait for it

function read() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null; // storage may be off; the token then exists in this module only
  }
}

export function storedToken() {
  return token;
}

/**
 * Asks for a token in place of `refused`, which is null if there was none.
 *
 * Resolves to true if the visitor entered one.
 */
export function giveToken(refused) {
  // Another request may have received a token in the meantime.
  if (token !== refused && token) return Promise.resolve(true);
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
  } catch { /* storage is off, as above */ }
}

dialog.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  dialog.close("given");
});
dialog.querySelector("button[type=button]").addEventListener("click", () => dialog.close());
