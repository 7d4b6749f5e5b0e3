// The keyboard. Keys without Ctrl count only where nothing is being typed.

const TYPING = "input:not([type=range], [type=checkbox]), textarea, select";
const PRESSING = "button, a, [type=checkbox], [type=range], summary";

/** act: {speak, escape, toggle, step(by), playChosen, longer, shorter, pause(steps), undo, help}; each a function. */
export function setUpKeys(act) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const command = event.ctrlKey || event.metaKey;
    const target = event.target instanceof Element ? event.target : document.body;
    const action = command ? commandFor(event, target, act) : actionFor(event, target, act);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function commandFor(event, target, act) {
  if (event.key === "Enter") return act.speak;
  if (event.key.toLowerCase() === "z" && !event.shiftKey && !target.closest(TYPING)) return act.undo;
  return null;
}

function actionFor(event, target, act) {
  if (event.altKey) return null;
  if (event.key === "Escape") return act.escape;
  if (target.closest(TYPING)) return null;
  if (event.key === " ") return target.closest(PRESSING) ? null : act.toggle;
  if (event.key === "Enter") return target.closest(".word") ? act.playChosen : null;
  if (target.closest("[type=range]")) return null;
  const actions = {
    ArrowLeft: () => act.step(-1),
    ArrowRight: () => act.step(1),
    "+": act.longer,
    "=": act.longer,
    "-": act.shorter,
    "−": act.shorter,
    p: () => act.pause(1),
    P: () => act.pause(-1),
    "?": act.help,
  };
  return actions[event.key] ?? null;
}
