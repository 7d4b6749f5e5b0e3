// The voices: the list in the header, and the window in which a recording becomes a voice.

import { ServerError, addVoice, listVoices, removeVoice } from "./api.js";
import { LONGEST, Recorder, whyNot } from "./recorder.js";

const TO_READ =
  "The harbour lay quiet in the early light. A single boat came in with its engine off, and nobody on the quay said a word until the rope was made fast.";
const CHOSEN = "unisono-voice";
const $ = (id) => document.getElementById(id);

export class Voices {
  /** guard(work): runs a request, asks for the key where the server wants one. onadd(voice): one was added. */
  constructor(guard, onadd) {
    this.guard = guard;
    this.onadd = onadd;
    this.sample = null; // {blob, filename}
    this.recorder = null;
    this.busy = false;
    this.select = $("voice");
    this.dialog = $("voice-dialog");
    this.select.addEventListener("change", () => localStorage.setItem(CHOSEN, this.select.value));
    $("add-voice").addEventListener("click", () => this.open());
    $("voice-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => this.#stopRecording(false));
    $("sample").addEventListener("change", () => this.#takeFile($("sample").files[0]));
    $("record").addEventListener("click", () => this.#record());
    $("suggest").addEventListener("click", () => {
      $("transcript").value = TO_READ;
      $("transcript").focus();
    });
    $("voice-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    this.#acceptDrops();
  }

  get chosen() {
    return this.select.value;
  }

  async load() {
    const voices = await this.guard(listVoices);
    const before = this.select.value || localStorage.getItem(CHOSEN);
    this.select.replaceChildren(...voices.map(({ id, name }) => new Option(name, id)));
    const choice = voices.find(({ id }) => id === before) ?? voices.find((voice) => voice.default);
    if (choice) this.select.value = choice.id;
    this.#listOwn(voices.filter(({ origin }) => origin === "added"));
  }

  open() {
    $("voice-error").textContent = "";
    this.dialog.showModal();
  }

  #listOwn(voices) {
    $("own-voices").hidden = !voices.length;
    const items = voices.map(({ id, name }) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet";
      button.textContent = "Remove";
      button.setAttribute("aria-label", `Remove the voice ${name}`);
      button.addEventListener("click", () => this.#remove(id, button));
      item.append(name, button);
      return item;
    });
    $("own-list").replaceChildren(...items);
  }

  async #remove(id, button) {
    if (button.textContent === "Remove") {
      button.textContent = "Really remove?";
      return;
    }
    await this.#try(async () => {
      await this.guard(() => removeVoice(id));
      await this.load();
    });
  }

  #acceptDrops() {
    const drop = $("drop");
    for (const kind of ["dragover", "dragleave", "drop"])
      drop.addEventListener(kind, (event) => {
        event.preventDefault();
        drop.classList.toggle("over", kind === "dragover");
        if (kind === "drop") this.#takeFile(event.dataTransfer.files[0]);
      });
  }

  #takeFile(file) {
    if (file) this.#take(file, file.name, `${file.name}, ${size(file.size)}`);
  }

  #take(blob, filename, said) {
    this.sample = { blob, filename };
    $("sample-state").textContent = said;
    $("drop").classList.add("ready");
    $("voice-error").textContent = "";
    const name = filename.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}_-]+/gu, "-").replace(/^-+|-+$/g, "");
    if (!$("voice-name").value && !filename.startsWith("recording")) $("voice-name").value = name.slice(0, 64);
  }

  async #record() {
    if (this.recorder) {
      this.#stopRecording(true);
      return;
    }
    await this.#try(async () => {
      const why = whyNot();
      if (why) throw new Error(why);
      const recorder = new Recorder(
        (level, seconds) => this.#meter(level, `${seconds.toFixed(1)} s of at most ${LONGEST} s`),
        () => this.#stopRecording(true),
      );
      await recorder.start();
      this.recorder = recorder;
      if (!this.dialog.open) return this.#stopRecording(false); // closed while the browser asked for leave
      $("record-label").textContent = "Stop";
      $("record").classList.add("recording");
    });
  }

  #meter(level, said) {
    $("level").style.transform = `scaleX(${Math.min(Math.sqrt(level), 1)})`;
    $("sample-state").textContent = said;
  }

  #stopRecording(use) {
    if (!this.recorder) return;
    const { blob, seconds } = this.recorder.stop();
    this.recorder = null;
    $("record-label").textContent = "Again";
    $("record").classList.remove("recording");
    this.#meter(0, "");
    if (use) this.#take(blob, "recording.wav", `your recording, ${seconds.toFixed(1)} s`);
  }

  async #save() {
    if (this.busy) return;
    this.#stopRecording(true);
    const missing = this.#missing();
    if (missing) {
      $("voice-error").textContent = missing.why;
      missing.field.focus();
      return;
    }
    const fields = {
      name: $("voice-name").value.trim(),
      text: $("transcript").value.trim(),
      consent: $("consent-text").textContent,
      sample: this.sample.blob,
      filename: this.sample.filename,
    };
    await this.#try(async () => {
      const added = await this.guard(() => addVoice(fields));
      await this.load();
      this.select.value = added.id;
      localStorage.setItem(CHOSEN, added.id);
      this.#clear();
      this.dialog.close();
      this.onadd(added);
    });
  }

  #missing() {
    if (!this.sample) return { why: "A recording is missing: choose a file, or record one.", field: $("record") };
    if (!$("transcript").value.trim())
      return { why: "Write down what is said in the recording, word for word.", field: $("transcript") };
    if (!$("voice-name").value.trim()) return { why: "Give the voice a name.", field: $("voice-name") };
    if (!$("consent").checked)
      return { why: "Tick that the person heard here has allowed this; without that no voice is made.", field: $("consent") };
    return null;
  }

  #clear() {
    $("voice-form").reset();
    this.sample = null;
    $("drop").classList.remove("ready");
    $("sample-state").textContent = "or drop one here";
    $("record-label").textContent = "Record";
  }

  // Run some work of this window; what goes wrong is said in it.
  async #try(work) {
    $("voice-error").textContent = "";
    this.busy = true;
    $("voice-save").disabled = true;
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ServerError) && error.constructor !== Error) throw error;
      $("voice-error").textContent = error.message;
    } finally {
      this.busy = false;
      $("voice-save").disabled = false;
    }
  }
}

function size(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
