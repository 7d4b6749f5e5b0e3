// The picture of the sound: waveform, a mark for every token, and below them the words as boxes whose right edge can be
// dragged. Only what is in view is drawn. Times are seconds; "shown" times are those after the changes (timemap.js).

import { FASTEST, LONGEST_PAUSE, SLOWEST } from "./script.js";
import { TimeMap } from "./timemap.js";

const CLOSEST = 260; // pixels a second
const WIDEST = 165;
const BAR = 3; // pixels from one bar of the waveform to the next
const MARGIN = 12; // pixels left and right of the sound
const FRAME = 1 / 50; // seconds; token positions count these from 1
const LEAVE_ALONE = 2500; // ms after the reader scrolled
const QUIET = 0.3; // a sound whose loudest sample is below this is not drawn any taller
const NUDGE = 3; // pixels that the text of a token may stand to the right of its mark
const PAUSE_ROOM = 42; // pixels below which a pause does not say its length
const AFTER = 1e-6; // seconds; where a word starts that a pause stands before

export class Timeline {
  /** actions: seek(time), choose(index), edit(index, {rate, pause}, done). */
  constructor(root, actions) {
    this.root = root;
    this.actions = actions;
    for (const name of ["strip", "wave", "lane", "head"]) this[name] = root.querySelector(`#${name}`);
    this.pen = this.wave.getContext("2d");
    this.bits = new Map(); // key -> element in view
    this.scrolled = 0;
    this.wanted = 0;
    this.open(null, "");
    root.addEventListener("scroll", () => this.#ask(), { passive: true });
    for (const kind of ["wheel", "touchmove"])
      root.addEventListener(kind, () => (this.scrolled = Date.now()), { passive: true });
    new ResizeObserver(() => {
      this.draw();
      this.#follow(this.#x(this.time));
    }).observe(root);
    this.wave.addEventListener("click", (event) => this.#clickWave(event));
    this.lane.addEventListener("click", (event) => this.#clickBit(event));
    this.lane.addEventListener("pointerdown", (event) => this.#grab(event));
  }

  /** Begin with a new sound (or null). expected: about how many seconds it will have; keepPlace: stay where one looks. */
  open(sound, expected, keepPlace = false) {
    this.sound = sound;
    this.words = [];
    this.marks = [];
    this.tokens = [];
    this.edits = new Map();
    this.now = this.chosen = -1;
    this.time = 0;
    const room = (this.root.clientWidth || 800) - 2 * MARGIN;
    if (!keepPlace) {
      this.scale = Math.min(Math.max(room / (expected * 1.15 || 1), WIDEST), CLOSEST);
      this.root.scrollLeft = 0;
    }
    this.#clearLane();
    this.head.hidden = !sound;
    this.draw();
  }

  /** Words [{text, start, end}] and their marks [{rate, pause}] so far, tokens [{text, position}] so far. */
  fill(words, marks, tokens) {
    Object.assign(this, { words, marks, tokens });
    this.draw();
  }

  change(edits) {
    this.edits = edits;
    this.draw();
  }

  choose(index) {
    this.chosen = index;
    this.draw();
    const word = this.words[index];
    if (word) this.#reveal(this.#x(word.start), this.#x(word.end));
  }

  /** What is heard now: media time, index of the word or -1. */
  at(time, now, follow) {
    this.time = time;
    const x = this.#x(time);
    this.head.style.transform = `translateX(${x}px)`;
    if (follow && Date.now() - this.scrolled > LEAVE_ALONE && !this.drag) this.#follow(x);
    this.now = now;
    this.#ask();
  }

  #x(time) {
    return MARGIN + this.map.toShown(time) * this.scale;
  }

  #follow(x) {
    const { scrollLeft, clientWidth } = this.root;
    if (x < scrollLeft || x > scrollLeft + clientWidth * 0.85) this.root.scrollLeft = x - clientWidth * 0.15;
  }

  #reveal(left, right) {
    const { scrollLeft, clientWidth } = this.root;
    if (left < scrollLeft + MARGIN || right > scrollLeft + clientWidth - MARGIN)
      this.root.scrollLeft = left - clientWidth * 0.3;
  }

  /** Draw, with the next picture of the screen, the sound as long as it is now. */
  draw() {
    this.map = new TimeMap(this.words, this.marks, this.edits, this.sound?.duration ?? 0);
    this.#ask();
  }

  #ask() {
    this.wanted ||= requestAnimationFrame(() => {
      this.wanted = 0;
      this.#draw();
    });
  }

  #draw() {
    const width = this.root.clientWidth;
    this.strip.style.width = `${Math.max(Math.ceil(this.map.duration * this.scale + 2 * MARGIN), width)}px`;
    this.#drawWave(width);
    this.#drawLane(width);
    this.head.style.transform = `translateX(${this.#x(this.time)}px)`;
  }

  #drawWave(width) {
    const { wave, pen } = this;
    const height = wave.clientHeight;
    const sharp = window.devicePixelRatio || 1;
    if (wave.width !== Math.round(width * sharp) || wave.height !== Math.round(height * sharp)) {
      wave.width = Math.round(width * sharp);
      wave.height = Math.round(height * sharp);
      wave.style.width = `${width}px`;
    }
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    pen.clearRect(0, 0, width, height);
    const colours = getComputedStyle(this.root);
    const colour = (name) => colours.getPropertyValue(name);
    const foot = height - 22; // the tokens' texts stand below
    const middle = foot / 2 + 4;
    const left = this.root.scrollLeft - MARGIN;
    if (!this.sound) return;
    this.#drawTokens(left, width, foot, colour);
    const played = this.map.toShown(this.time);
    const loudest = Math.max(this.sound.loudest, QUIET);
    const step = BAR / this.scale;
    const first = Math.max(Math.floor(left / BAR), 0);
    for (let bar = first; bar * BAR < left + width; bar++) {
      const from = bar * step;
      if (from >= this.map.duration) break;
      const start = this.map.toSource(from);
      const end = this.map.toSource(from + step);
      const level = end > start ? this.sound.level(start, end) : 0;
      const tall = Math.max(1, (level / loudest) ** 0.75 * (foot - 18));
      pen.fillStyle = from < played ? colour("--accent") : colour("--wave");
      pen.fillRect(bar * BAR - left, middle - tall / 2, 2, tall);
    }
  }

  #drawTokens(left, width, foot, colour) {
    const { pen } = this;
    pen.font = `10.5px ${colour("--sans")}`;
    pen.textAlign = "left";
    const at = (token) => this.map.toShown((token.position - 0.5) * FRAME) * this.scale - left;
    let index = lowest(this.tokens, (token) => at(token) >= -20);
    let free = -Infinity;
    for (; index < this.tokens.length; index++) {
      const x = at(this.tokens[index]);
      if (x > width + 20) break;
      pen.fillStyle = colour("--line");
      pen.fillRect(Math.round(x), 8, 1, foot - 8);
      const text = this.tokens[index].text.trim();
      const wide = pen.measureText(text).width;
      const from = Math.max(x - wide / 2, free);
      if (!text || from > x + NUDGE) continue;
      pen.fillStyle = colour("--mark");
      pen.fillText(text, from, foot + 13);
      free = from + wide;
    }
  }

  #drawLane(width) {
    const left = this.root.scrollLeft;
    const wanted = new Map();
    let index = lowest(this.words, (word) => this.#x(word.end) >= left - 400);
    for (; index < this.words.length; index++) {
      const word = this.words[index];
      const from = this.#x(word.start + AFTER);
      if (from > left + width + 50) break;
      const edit = this.edits.get(index) ?? {};
      const stretch = edit.rate === undefined ? 1 : this.marks[index].rate / edit.rate;
      const until = from + (word.end - word.start) * stretch * this.scale;
      wanted.set(`w${index}`, { index, from, until, text: word.text, wait: false, changed: edit.rate !== undefined });
      const pause = edit.pause ?? this.marks[index]?.pause ?? 0;
      if (pause <= 0) continue;
      const text = `${Number(pause.toFixed(2))} s`;
      const next = this.words[index + 1];
      const limit = next ? this.#x(next.start + AFTER) : Infinity;
      const room = { from: until, until: Math.min(until + pause * this.scale, limit) };
      wanted.set(`p${index}`, { index, ...room, text, wait: true, changed: edit.pause !== undefined });
    }
    for (const [key, bit] of this.bits)
      if (!wanted.has(key) && this.drag?.key !== key) {
        bit.remove();
        this.bits.delete(key);
      }
    for (const [key, what] of wanted) this.#place(key, what);
  }

  #place(key, { index, from, until, text, wait, changed }) {
    let bit = this.bits.get(key);
    if (!bit) {
      bit = document.createElement("div");
      bit.dataset.word = index;
      bit.dataset.part = wait ? "pause" : "word";
      bit.append("", document.createElement("i"));
      bit.lastChild.className = "grip";
      this.bits.set(key, bit);
      this.lane.append(bit);
    }
    const said = wait && until - from < PAUSE_ROOM ? "" : text;
    if (bit.firstChild.data !== said) bit.firstChild.data = said;
    bit.title = said; // a short word may show no more than its beginning
    bit.className = "bit";
    bit.classList.toggle("wait", wait);
    bit.classList.toggle("changed", changed);
    bit.classList.toggle("now", !wait && index === this.now);
    bit.classList.toggle("chosen", !wait && index === this.chosen);
    bit.style.left = `${from}px`;
    bit.style.width = `${Math.max(until - from - 1, 6)}px`;
  }

  #clearLane() {
    for (const bit of this.bits.values()) bit.remove();
    this.bits.clear();
  }

  #clickWave(event) {
    if (!this.sound) return;
    const x = event.clientX - this.wave.getBoundingClientRect().left + this.root.scrollLeft - MARGIN;
    this.actions.seek(this.map.toSource(Math.max(x, 0) / this.scale));
  }

  #clickBit(event) {
    const bit = event.target.closest(".bit");
    if (bit && !event.target.classList.contains("grip")) this.actions.choose(Number(bit.dataset.word));
  }

  // Drag the right edge of a word (its rate) or of a pause (its length).
  #grab(event) {
    if (!event.target.classList.contains("grip") || !this.sound?.complete) return;
    const bit = event.target.parentElement;
    const index = Number(bit.dataset.word);
    const word = this.words[index];
    const mark = this.marks[index];
    const before = this.edits.get(index) ?? {};
    const pause = bit.dataset.part === "pause";
    const length = pause ? (before.pause ?? mark.pause) : ((word.end - word.start) * mark.rate) / (before.rate ?? mark.rate);
    const key = (pause ? "p" : "w") + index;
    this.drag = { key };
    const edit = (x) => {
      const wanted = length + (x - event.clientX) / this.scale;
      if (pause) return { ...before, pause: limit(wanted, 0, LONGEST_PAUSE) };
      const rate = ((word.end - word.start) * mark.rate) / Math.max(wanted, FRAME);
      return { ...before, rate: limit(rate, SLOWEST, FASTEST) };
    };
    const grip = event.target;
    const move = (moved) => this.actions.edit(index, edit(moved.clientX), false);
    const end = (ended) => {
      grip.removeEventListener("pointermove", move);
      this.drag = null;
      this.actions.edit(index, ended.type === "pointerup" ? edit(ended.clientX) : before, true);
    };
    grip.setPointerCapture(event.pointerId);
    grip.addEventListener("pointermove", move);
    grip.addEventListener("pointerup", end, { once: true });
    grip.addEventListener("pointercancel", end, { once: true });
    event.preventDefault();
  }
}

const limit = (value, low, high) => Number(Math.min(Math.max(value, low), high).toFixed(3));

// Index of the first item for which a condition, false and then true, is true.
function lowest(items, condition) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (condition(items[middle])) high = middle;
    else low = middle + 1;
  }
  return low;
}
