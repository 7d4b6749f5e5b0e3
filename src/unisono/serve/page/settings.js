// What stands under "More", the theme, and what the browser remembers of them.

const KEPT = "unisono-settings";
const NUMBERS = ["steps", "guidance", "seed"];
const $ = (id) => document.getElementById(id);

export function setUpSettings() {
  const kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
  for (const name of [...NUMBERS, "speed"]) if (kept[name] !== undefined) $(name).value = kept[name];
  $("more").addEventListener("input", keep);
  $("dice").addEventListener("click", () => {
    $("seed").value = Math.floor(Math.random() * 1e6);
    keep();
  });
  $("more-button").addEventListener("click", () => {
    $("more").hidden = !$("more").hidden;
    $("more-button").setAttribute("aria-expanded", String(!$("more").hidden));
  });
  keep();
}

function keep() {
  $("speed-value").value = `${Number($("speed").value)}×`;
  const values = Object.fromEntries([...NUMBERS, "speed"].map((name) => [name, $(name).value]));
  localStorage.setItem(KEPT, JSON.stringify(values));
}

/** The settings as fields of a request; what is left empty is left to the server. Throws an Error with a sentence. */
export function settings() {
  const speed = Number($("speed").value);
  const fields = speed === 1 ? {} : { speed };
  for (const name of NUMBERS) {
    const input = $(name);
    if (!input.checkValidity()) throw new Error(`${input.labels[0].textContent}: ${input.validationMessage}`);
    if (input.value !== "") fields[name] = Number(input.value);
  }
  return fields;
}

export function setUpTheme() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const show = () => {
    $("theme").setAttribute("aria-pressed", String(dark()));
    $("theme").querySelector("use").setAttribute("href", dark() ? "#i-sun" : "#i-moon");
    document.dispatchEvent(new Event("themechange"));
  };
  $("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem("unisono-theme", root.dataset.theme);
    show();
  });
  system.addEventListener("change", show);
  show();
}
