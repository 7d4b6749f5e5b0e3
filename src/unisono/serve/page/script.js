// Control tags in a text: [pause:0.8s], [rate:1.3]…[/rate], [say:SPOKEN|SHOWN] (docs/text.md); where the words that the
// server names stand in it, and how a longer word or a pause is written back into it. Offsets are UTF-16, as in the text field.

export const SLOWEST = 0.25;
export const FASTEST = 4;
export const LONGEST_PAUSE = 10; // seconds
const TAG = /(\\?)\[(\/?)(pause|rate|say)(?=\s{0,4}[:\]]|\s{1,4}[-+.0-9])([^[\]]*)(\]?)/gi;
const NEARLY_ONE = 0.02; // a rate this close to 1 is not written
const LETTER = /[\p{L}\p{N}]/u;
const FAR = 200; // characters that may stand between one word and the next where the text was read in another way

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// Seconds of "0.8s" or "800ms"; NaN for anything else.
function seconds(value) {
  const match = /^\s*([0-9]*\.?[0-9]+|[0-9]+\.)\s*(m?)s\s*$/i.exec(value);
  return match ? Number(match[1]) / (match[2] ? 1000 : 1) : NaN;
}

function makeTag(match) {
  const [whole, , close, name, body] = match;
  const kind = close + name.toLowerCase();
  const value = body.replace(/^\s*:?/, "");
  const tag = { kind, start: match.index, end: match.index + whole.length, value: NaN };
  if (kind === "pause") tag.value = seconds(value);
  if (kind === "rate") tag.value = Number(value);
  if (kind === "say") {
    const bar = value.indexOf("|");
    const shown = bar < 0 ? "" : value.slice(bar + 1);
    tag.shownStart = tag.end - 1 - shown.trimStart().length;
    tag.shownEnd = tag.shownStart + shown.trim().length;
    tag.value = shown.trim() ? 1 : NaN;
  }
  return kind === "/rate" || !Number.isNaN(tag.value) ? tag : null;
}

/** Read a text: `tags` in order; `shown`, the text without them; `origins[i]`, where shown[i] stands in the source. */
export function readScript(source) {
  const tags = [];
  const pieces = [];
  let shown = "";
  const origins = [];
  const show = (start, end) => {
    if (start >= end) return;
    pieces.push({ start: shown.length, end: shown.length + end - start, tag: null });
    shown += source.slice(start, end);
    for (let i = start; i < end; i++) origins.push(i);
  };
  let at = 0;
  for (const match of source.matchAll(TAG)) {
    const tag = match[1] || !match[5] ? null : makeTag(match);
    if (!tag) continue;
    show(at, tag.start);
    tags.push(tag);
    pieces.push({ start: shown.length, end: shown.length, tag });
    if (tag.kind === "say") show(tag.shownStart, tag.shownEnd);
    at = tag.end;
  }
  show(at, source.length);
  origins.push(source.length);
  return { source, shown, origins, tags, pieces };
}

/** Finds the words that a server names, in order, in the shown text. */
export class WordFinder {
  constructor(script) {
    this.script = script;
    this.at = 0;
  }

  /** The place [start, end) of the next word in `script.shown`, or null if it does not stand there. */
  next(text) {
    const { shown } = this.script;
    const start = text ? shown.indexOf(text, this.at) : -1;
    if (start < 0 || start - this.at > FAR) return null;
    const skipped = shown.slice(this.at, start);
    const before = start > 0 ? shown[start - 1] : " ";
    const joined = LETTER.test(before) && LETTER.test(text[0]) && start !== this.at;
    if (joined || (LETTER.test(skipped) && text.length < 3)) return null;
    this.at = start + text.length;
    return { start, end: this.at };
  }
}

/** The span in the source of a place in the shown text, with the whole of a [say] tag around it. */
export function sourceSpan(script, place) {
  let start = script.origins[place.start];
  let end = script.origins[place.end - 1] + 1;
  for (const tag of script.tags) {
    if (tag.kind !== "say" || tag.end <= start || tag.start >= end) continue;
    start = Math.min(start, tag.start);
    end = Math.max(end, tag.end);
  }
  return { start, end };
}

/**
 * What the tags say of each word.
 * spans: source spans of the words, in order, null for words that were not found.
 * Returns for each word {rate, pause, own, pauses}: the rate in force, seconds of pause after it, the pair of rate tags
 * that holds this word only (or null), and the pause tags before the next word.
 */
export function wordMarks(script, spans) {
  const { tags } = script;
  const known = spans.filter(Boolean);
  const marks = new Map();
  const open = [];
  let next = 0;
  for (let i = 0; i < known.length; i++) {
    const span = known[i];
    while (next < tags.length && tags[next].start < span.start) {
      if (tags[next].kind === "rate") open.push(tags[next]);
      if (tags[next].kind === "/rate") open.pop();
      next++;
    }
    const until = i + 1 < known.length ? known[i + 1].start : script.source.length;
    let after = next;
    while (after < tags.length && tags[after].start < span.end) after++;
    const pauses = [];
    for (let k = after; k < tags.length && tags[k].start < until; k++) if (tags[k].kind === "pause") pauses.push(tags[k]);
    marks.set(span, {
      rate: open.reduce((product, tag) => product * tag.value, 1),
      pause: pauses.reduce((sum, tag) => sum + tag.value, 0),
      own: ownRate(script, span, open.at(-1), tags[after]),
      pauses,
    });
  }
  return spans.map((span) => (span ? marks.get(span) : { rate: 1, pause: 0, own: null, pauses: [] }));
}

// The rate tags right before and right after a word, if they hold nothing else.
function ownRate(script, span, before, after) {
  if (!before || !after || after.kind !== "/rate") return null;
  const between = script.source.slice(before.end, span.start) + script.source.slice(span.end, after.start);
  return between.trim() ? null : { before, after };
}

const tidy = (value) => String(Number(value.toFixed(2)));

/**
 * The text with other rates and pauses.
 * edits: Map from a word's index to {rate, pause}; each is what shall hold in the end, undefined leaves it as it is.
 */
export function applyEdits(script, spans, edits) {
  const marks = wordMarks(script, spans);
  const changes = []; // {start, end, text}, applied from the last to the first
  for (const [index, edit] of edits) {
    const span = spans[index];
    if (!span) continue;
    const mark = marks[index];
    let from = span.end;
    if (mark.own) from = mark.own.after.end;
    if (edit.rate !== undefined) changes.push(...rateChanges(span, mark, edit.rate));
    if (edit.pause === undefined) continue;
    const pause = clamp(edit.pause, 0, LONGEST_PAUSE);
    for (const tag of mark.pauses) changes.push({ ...withSpace(script.source, tag), text: "" });
    if (pause > 0) changes.push({ start: from, end: from, text: ` [pause:${tidy(pause)}s]`, last: true });
  }
  changes.sort((a, b) => b.start - a.start || b.end - a.end || Number(b.last ?? 0) - Number(a.last ?? 0));
  return changes.reduce((text, { start, end, text: put }) => text.slice(0, start) + put + text.slice(end), script.source);
}

function rateChanges(span, mark, wanted) {
  const outer = mark.own ? mark.rate / mark.own.before.value : mark.rate;
  const own = clamp(clamp(wanted, SLOWEST, FASTEST) / outer, SLOWEST, FASTEST);
  const plain = Math.abs(own - 1) < NEARLY_ONE;
  const open = plain ? "" : `[rate:${tidy(own)}]`;
  const close = plain ? "" : "[/rate]";
  if (mark.own) {
    const { before, after } = mark.own;
    return [
      { start: before.start, end: before.end, text: open },
      { start: after.start, end: after.end, text: close },
    ];
  }
  if (plain) return [];
  return [
    { start: span.start, end: span.start, text: open },
    { start: span.end, end: span.end, text: close },
  ];
}

// A tag to be cut out, with the space before it where one stands on both sides.
function withSpace(source, tag) {
  const left = source[tag.start - 1];
  const right = source[tag.end];
  const start = left === " " && (right === undefined || /\s/.test(right)) ? tag.start - 1 : tag.start;
  return { start, end: tag.end };
}

const ENDS = [/\n\s*\n/g, /[.!?…。！？][^\s\p{L}\p{N}]*\s+/gu, /\s+/g]; // of paragraphs, of sentences, of words

/** A long text in parts of at most `limit` characters, none of which cuts a tag, or a [rate] and its [/rate], in two. */
export function splitText(source, limit) {
  const parts = [];
  let rest = source;
  while (rest.length > limit) {
    const cut = lastCut(rest, limit);
    parts.push(rest.slice(0, cut));
    rest = rest.slice(cut);
  }
  return [...parts, rest].filter((part) => LETTER.test(readScript(part).shown));
}

// Where to cut: behind the last paragraph before `limit`, else the last sentence, else the last word, else right there.
function lastCut(text, limit) {
  const head = text.slice(0, limit);
  const { tags } = readScript(text);
  for (const end of ENDS) {
    const cuts = [...head.matchAll(end)].map((match) => match.index + match[0].length);
    const cut = cuts.reverse().find((at) => at > limit / 4 && !inside(tags, at));
    if (cut) return cut;
  }
  return limit;
}

function inside(tags, at) {
  let open = 0;
  for (const tag of tags) {
    if (tag.start < at && at < tag.end) return true;
    if (tag.start >= at) break;
    open += { rate: 1, "/rate": -1 }[tag.kind] ?? 0;
  }
  return open > 0;
}
