// One speech as it arrives: its sound, words and tokens, where the words stand in the text, and the changes made to them.

import { Sound } from "./sound.js";
import { FASTEST, LONGEST_PAUSE, SLOWEST, applyEdits, wordMarks } from "./script.js";

const SAME = 0.005; // rates and seconds nearer than this are the same

export class Take {
  /** source: the text that was sent. */
  constructor(source, sampleRate) {
    this.source = source;
    this.sound = new Sound(sampleRate);
    this.words = [];
    this.tokens = [];
    this.script = null;
    this.spans = []; // of the words in the source, null for those that do not stand there
    this.known = []; // marks of the first so many words
    this.edits = new Map(); // index of a word -> {rate, pause}, as they shall be
    this.history = [];
    this.text = source; // with the changes
  }

  /** A word has been spoken; reading: the `Reading` that finds it in the text. */
  add(word, reading) {
    reading.add(word.text);
    this.words.push(word);
    this.script = reading.script;
    this.spans = reading.spans;
  }

  /** What the tags say of each word: [{rate, pause, …}], see `wordMarks`. */
  get marks() {
    if (this.known.length !== this.spans.length) this.known = wordMarks(this.script, this.spans);
    return this.known;
  }

  /** Index of the word that is heard at a time, -1 between words. */
  wordAt(time) {
    let low = 0;
    let high = this.words.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.words[middle].start <= time) low = middle + 1;
      else high = middle;
    }
    return low && time < this.words[low - 1].end ? low - 1 : -1;
  }

  /** Rate and pause of a word with the changes made to it. */
  state(index) {
    const mark = this.marks[index];
    const edit = this.edits.get(index) ?? {};
    const rate = edit.rate ?? mark.rate;
    const word = this.words[index];
    return { rate, pause: edit.pause ?? mark.pause, length: ((word.end - word.start) * mark.rate) / rate };
  }

  /** Changes with one more: {rate, pause} of a word, undefined where it stays. */
  with(index, change) {
    const mark = this.marks[index];
    const edits = new Map(this.edits);
    const { rate, pause } = { ...edits.get(index), ...change };
    const kept = {};
    if (rate !== undefined && Math.abs(rate - mark.rate) > SAME) kept.rate = within(rate, SLOWEST, FASTEST);
    if (pause !== undefined && Math.abs(pause - mark.pause) > SAME) kept.pause = within(pause, 0, LONGEST_PAUSE);
    if (Object.keys(kept).length) edits.set(index, kept);
    else edits.delete(index);
    return edits;
  }

  commit(edits) {
    this.history.push(this.edits);
    this.#use(edits);
  }

  undo() {
    if (this.history.length) this.#use(this.history.pop());
  }

  #use(edits) {
    this.edits = edits;
    this.text = applyEdits(this.script, this.spans, edits);
  }

  /** Can this word be changed? Not one that does not stand in the text as it is said. */
  knows(index) {
    return Boolean(this.spans[index]);
  }

  /** A little before the first change, in seconds. */
  get beforeChanges() {
    if (!this.edits.size) return 0;
    const first = Math.min(...this.edits.keys());
    return this.words[Math.max(first - 2, 0)].start;
  }
}

const within = (value, low, high) => Math.min(Math.max(value, low), high);
