// The page: text in, sound out. Holds what the parts show and passes between them what people do.

import { ServerError, rememberKey, speak } from "./api.js";
import { setUpKeys } from "./keys.js";
import { Player } from "./player.js";
import { Reading } from "./reading.js";
import { setUpSettings, setUpTheme, settings } from "./settings.js";
import { readScript, splitText } from "./script.js";
import { keep, srtFile } from "./sound.js";
import { Take } from "./take.js";
import { Timeline } from "./timeline.js";
import { Voices } from "./voices.js";
import { WordTools } from "./wordtools.js";

const SAMPLE_RATE = 24000; // that most models have; the answer says it
const FRAMES = 50; // a second, of token positions
const LONGEST_INPUT = 4000; // characters a request; the contract's are 4096
const LETTERS_A_SECOND = 14; // of speech, to guess how long a text will be
const DRAFT = "unisono-text";
const EXAMPLE =
  "Every word is lit while you hear it. Click one, and the voice goes on from there; drag its edge, and it takes its time.";
const $ = (id) => document.getElementById(id);

const text = $("text");
let take = null; // what is heard
let work = null; // the AbortController of the request under way
let chosen = -1;
let frame = 0;

const player = new Player(showState);
const reading = new Reading($("reading"), (index) => playFrom(index));
const timeline = new Timeline($("timeline"), {
  seek: (time) => seek(time),
  choose: (index) => {
    choose(index);
    seek(take.words[index].start);
  },
  edit: (index, change, done) => edit(index, change, done),
});
const tools = new WordTools((change) => edit(chosen, change, true), undo);
const voices = new Voices(withKey, ({ name, warnings }) => say([`The voice ${name} is ready.`, ...(warnings ?? [])].join(" ")));

// Speaking

async function speakNow() {
  if (work) {
    work.abort();
    return;
  }
  say("");
  if (!/[\p{L}\p{N}]/u.test(text.value)) {
    complain(text.value.trim() ? "There is nothing to say in this text: it has no letters or digits." : "Type a text first.");
    showText();
    return;
  }
  player.pause();
  player.wake(SAMPLE_RATE);
  work = new AbortController();
  showWork();
  try {
    await withKey(() => receive(text.value, work.signal));
    if (!voices.chosen) await voices.load(); // the server was not ready for it when the page was opened
  } catch (error) {
    if (error.name === "AbortError") say(take ? summary(take) : "");
    else if (error instanceof ServerError || error.constructor === Error) complain(error.message);
    else throw error;
  } finally {
    work = null;
    if (take) {
      take.sound.complete = true;
      timeline.fill(take.words, take.marks, take.tokens);
    }
    showWork();
    showTake();
  }
}

// Ask for a speech; the one that is shown now stays until the first sound of the new one comes.
async function receive(source, signal) {
  const fields = { voice: voices.chosen || null, ...settings() };
  let coming = null;
  for (const part of splitText(source, LONGEST_INPUT)) {
    const offset = coming?.sound.duration ?? 0;
    const hear = {
      rate: (sampleRate) => {
        coming ??= new Take(source, sampleRate);
      },
      audio: (bytes) => {
        if (take !== coming) open(coming);
        coming.sound.append(bytes);
        run();
      },
      word: ({ text: word, start, end }) => coming.add({ text: word, start: start + offset, end: end + offset }, reading),
      tokens: (tokens) => {
        const frames = Math.round(offset * FRAMES);
        for (const token of tokens) coming.tokens.push({ text: token.text, position: token.position + frames });
      },
    };
    await speak({ input: part, ...fields }, hear, signal);
  }
  say(summary(coming));
}

function open(coming) {
  const again = take && take.text === coming.source && take.edits.size > 0;
  const from = again ? take.beforeChanges : 0;
  take = coming;
  reading.open(coming.source);
  timeline.open(coming.sound, coming.source.length / LETTERS_A_SECOND, again);
  $("empty").hidden = true;
  showReading();
  if (!again) chosen = -1;
  player.open(coming.sound, from);
  player.play();
}

// How long the text will be, before it is spoken.
function guess() {
  const time = Math.ceil(readScript(text.value).shown.trim().length / LETTERS_A_SECOND);
  if (!time) return "";
  return time < 90 ? `about ${time} s` : `about ${Math.round(time / 60)} min`;
}

function summary({ words, sound }) {
  return `${words.length} ${words.length === 1 ? "word" : "words"}, ${sound.duration.toFixed(1)} s`;
}

// Run a request; where the server wants a key, ask for it and try once more.
async function withKey(request) {
  try {
    return await request();
  } catch (error) {
    if (error.status !== 401) throw error;
    await askForKey();
    return request();
  }
}

function askForKey() {
  const dialog = $("key-dialog");
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(rememberKey($("api-key").value)), { once: true });
  });
}

// What is heard

function run() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    if (work && take) timeline.fill(take.words, take.marks, take.tokens);
    showTime();
    if (player.state === "playing" || player.state === "waiting") run();
  });
}

function showTime() {
  if (!take) return;
  const time = player.time;
  const now = take.wordAt(time);
  reading.light(now);
  timeline.at(time, now, player.state === "playing");
  $("clock").textContent = clock(time);
  $("total").textContent = ` / ${clock(take.sound.duration)}`;
}

function clock(seconds) {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  const rest = (tenths % 600) / 10;
  return `${Math.floor(tenths / 600)}:${rest < 10 ? "0" : ""}${rest.toFixed(1)}`;
}

function toggle() {
  if (player.state === "playing" || player.state === "waiting") player.pause();
  else if (take) {
    if (text.value === take.text) showReading();
    player.play();
  }
}

function seek(time) {
  player.seek(time);
  showTime();
}

function playFrom(index) {
  choose(index);
  seek(take.words[index].start);
  player.play();
}

// Words and their changes

function choose(index, focus = false) {
  chosen = index;
  reading.choose(index, focus);
  timeline.choose(index);
  showTools();
}

function step(by) {
  if (!take?.words.length) return;
  const at = chosen >= 0 ? chosen + by : Math.max(take.wordAt(player.time), 0);
  choose(Math.min(Math.max(at, 0), take.words.length - 1), !$("reading").hidden);
}

// change: what a word shall be. done: false while it is being dragged.
function edit(index, change, done) {
  if (!take?.sound.complete || work || !take.words[index]) return;
  if (!take.knows(index)) return complain("This word is said in another way than it is written; change it in the text.");
  if (text.value !== take.text) return complain("The text has changed since this was spoken. Speak it first.");
  const edits = take.with(index, change);
  timeline.change(edits);
  if (!done) return;
  if (index !== chosen) choose(index);
  take.commit(edits);
  showChanges();
}

function undo() {
  if (!take?.history.length || work || text.value !== take.text) return;
  take.undo();
  showChanges();
}

function showChanges() {
  setText(take.text);
  timeline.change(take.edits);
  reading.change(take.edits);
  showTools();
  const count = take.edits.size;
  say(count ? `${count} ${count === 1 ? "word" : "words"} changed` : summary(take), count > 0);
  showWork();
}

// What is seen

function say(message, pending = false) {
  $("error").textContent = "";
  $("status").textContent = message;
  $("status").classList.toggle("pending", pending);
}

function complain(message) {
  say("");
  $("error").textContent = message;
}

function setText(value) {
  text.value = value;
  localStorage.setItem(DRAFT, value);
}

function showText() {
  $("reading").hidden = true;
  $("edit").hidden = true;
  text.hidden = false;
  text.focus();
}

function showReading() {
  const moves = [text, $("speak")].includes(document.activeElement); // so that Space then plays and pauses
  text.hidden = true;
  $("reading").hidden = false;
  $("edit").hidden = false;
  if (moves) $("reading").focus({ preventScroll: true });
}

function showWork() {
  const again = take && take.edits.size > 0 && text.value === take.text;
  document.body.classList.toggle("working", Boolean(work));
  $("speak-label").textContent = work ? "Stop" : again ? "Hear it again" : "Speak";
  $("speak-key").textContent = work ? "Esc" : /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘ ↵" : "Ctrl ↵";
  if (work) say("Speaking …");
}

function showTake() {
  const there = Boolean(take?.sound.length);
  $("play").disabled = !there;
  $("wav").disabled = $("srt").disabled = !there;
  $("word-hint").textContent = there
    ? "Click a word to hear it from there; drag its edge below to make it longer."
    : "Length and pauses of words can be changed once they are spoken.";
  if (chosen >= (take?.words.length ?? 0)) chosen = -1;
  if (take) choose(chosen);
  timeline.draw();
  showTime();
}

function showTools() {
  const word = take?.words[chosen];
  if (word) tools.show(word, take.state(chosen), take.edits.get(chosen), take.history.length > 0);
  else tools.show(null, null);
}

function showState(state) {
  const going = state === "playing" || state === "waiting";
  $("play").setAttribute("aria-label", going ? "Pause" : "Play");
  $("play").querySelector("use").setAttribute("href", going ? "#i-pause" : "#i-play");
  $("play").disabled = state === "empty";
  document.body.dataset.player = state;
  run();
}

function fileName(suffix) {
  const words = take.source.replace(/\[[^\]]*\]/g, " ").match(/[\p{L}\p{N}]+/gu) ?? ["speech"];
  return `${words.slice(0, 6).join("-").toLowerCase().slice(0, 60)}.${suffix}`;
}

// Beginning

function setUpText() {
  const draft = localStorage.getItem(DRAFT);
  text.value = draft?.trim() ? draft : EXAMPLE;
  text.addEventListener("input", () => {
    setText(text.value);
    say(guess());
    showWork();
  });
  text.addEventListener("focus", () => text.value === EXAMPLE && text.select());
  if (matchMedia("(hover: hover)").matches) text.focus();
}

function setUpButtons() {
  $("speak").addEventListener("click", speakNow);
  $("play").addEventListener("click", toggle);
  $("edit").addEventListener("click", showText);
  $("wav").addEventListener("click", () => keep(take.sound.wav(), fileName("wav")));
  $("srt").addEventListener("click", () => keep(srtFile(take.words), fileName("srt")));
  $("keys-button").addEventListener("click", () => $("keys-dialog").showModal());
  $("keys-close").addEventListener("click", () => $("keys-dialog").close());
  document.addEventListener("themechange", () => timeline.draw());
}

setUpTheme();
setUpSettings();
setUpText();
setUpButtons();
setUpKeys({
  speak: () => work || speakNow(),
  escape: () => (work ? work.abort() : $("reading").hidden || showText()),
  toggle,
  step,
  playChosen: () => chosen >= 0 && playFrom(chosen),
  longer: () => tools.longer(),
  shorter: () => tools.shorter(),
  pause: (steps) => tools.pause(steps),
  undo,
  help: () => $("keys-dialog").showModal(),
});
showTake();
showWork();
say(guess());
voices.load().catch((error) => complain(error.message));
