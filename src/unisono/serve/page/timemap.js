// The times of a sound as it will be once its words are longer or shorter and pauses have been put in: a map, linear in
// pieces, between the sound that is there (source) and the one that is meant (shown). Both in seconds.

export class TimeMap {
  /**
   * words: [{start, end}] in order; marks: [{rate, pause}] of the sound that is there; duration: its length.
   * edits: Map from a word's index to {rate, pause}, undefined where nothing changes.
   */
  constructor(words, marks, edits, duration) {
    this.source = [0];
    this.shown = [0];
    this.plain = edits.size === 0;
    if (this.plain) {
      this.#reach(duration, 1);
      return;
    }
    for (let i = 0; i < words.length; i++) {
      const { start, end } = words[i];
      const edit = edits.get(i) ?? {};
      this.#reach(start, 1);
      this.#reach(end, edit.rate === undefined ? 1 : marks[i].rate / edit.rate);
      const more = edit.pause === undefined ? 0 : edit.pause - marks[i].pause;
      if (more > 0) this.#add(end, this.shown.at(-1) + more);
      const next = i + 1 < words.length ? words[i + 1].start : duration;
      if (more < 0 && next > end) this.#reach(next, Math.max(next - end + more, 0.02) / (next - end));
    }
    this.#reach(duration, 1);
  }

  #reach(time, stretch) {
    const from = this.source.at(-1);
    if (time > from) this.#add(time, this.shown.at(-1) + (time - from) * stretch);
  }

  #add(source, shown) {
    this.source.push(source);
    this.shown.push(shown);
  }

  /** Length of the sound that is meant. */
  get duration() {
    return this.shown.at(-1);
  }

  /** Where a time of the sound that is there will be; before a pause that begins there. */
  toShown(time) {
    return between(time, this.source, this.shown);
  }

  /** Where a time of the sound that is meant comes from. */
  toSource(time) {
    return between(time, this.shown, this.source);
  }
}

// Linear interpolation; `from` is in order, of equal entries the first one counts.
function between(value, from, to) {
  let low = 0;
  let high = from.length - 1;
  if (value >= from[high] && from[high] > 0) return value > from[high] ? to[high] + value - from[high] : firstAt(high, from, to);
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (from[middle] < value) low = middle;
    else high = middle;
  }
  const length = from[high] - from[low];
  if (!(length > 0)) return to[low];
  return to[low] + ((value - from[low]) / length) * (to[high] - to[low]);
}

function firstAt(index, from, to) {
  let first = index;
  while (first > 0 && from[first - 1] === from[index]) first--;
  return to[first];
}
