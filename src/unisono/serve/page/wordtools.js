// The chosen word: its length and the pause after it, by buttons and keys.

const STEP = 1.1; // a press makes a word longer or shorter by this factor
const PAUSE_STEP = 0.2; // seconds
const $ = (id) => document.getElementById(id);

export class WordTools {
  /** onedit(change): {rate} or {pause} of the chosen word shall be this; onundo(). */
  constructor(onedit, onundo) {
    this.onedit = onedit;
    this.onundo = onundo;
    this.state = null;
    $("longer").addEventListener("click", () => this.longer());
    $("shorter").addEventListener("click", () => this.shorter());
    $("pause-more").addEventListener("click", () => this.pause(1));
    $("pause-less").addEventListener("click", () => this.pause(-1));
    $("undo").addEventListener("click", onundo);
  }

  longer() {
    if (this.state) this.onedit({ rate: this.state.rate / STEP });
  }

  shorter() {
    if (this.state) this.onedit({ rate: this.state.rate * STEP });
  }

  pause(steps) {
    if (this.state) this.onedit({ pause: Math.max(this.state.pause + steps * PAUSE_STEP, 0) });
  }

  /** Show a word {text}, its state {rate, pause, length} and what of it is changed {rate, pause}; null for none. */
  show(word, state, edit = {}, undo = false) {
    this.state = state;
    $("word-hint").hidden = Boolean(word);
    $("word-editor").hidden = !word;
    $("undo").disabled = !undo;
    if (!word) return;
    $("the-word").textContent = word.text;
    $("the-length").textContent = `${state.length.toFixed(2)} s`;
    this.#value("length-value", `${Math.round(100 / state.rate)} %`, edit.rate !== undefined);
    this.#value("pause-value", `${Number(state.pause.toFixed(2))} s`, edit.pause !== undefined);
    $("pause-less").disabled = state.pause <= 0;
  }

  #value(id, text, changed) {
    $(id).value = text;
    $(id).classList.toggle("changed", changed);
  }
}
