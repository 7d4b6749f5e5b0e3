// The text as it is spoken: every word that has a sound can be clicked, the word that is heard is lit, tags are small chips.

import { WordFinder, readScript, sourceSpan } from "./script.js";

const LEAVE_ALONE = 2500; // ms after the reader scrolled in which the text stays where it is

export class Reading {
  /** element: holds the text; onpick(index): a word was clicked. */
  constructor(element, onpick) {
    this.element = element;
    this.scrolled = 0;
    element.addEventListener("click", (event) => {
      const word = event.target.closest(".word");
      if (word) onpick(Number(word.dataset.word));
    });
    for (const kind of ["wheel", "touchmove"])
      element.addEventListener(kind, () => (this.scrolled = Date.now()), { passive: true });
    this.open("");
  }

  /** Show a text none of whose words has been spoken yet. */
  open(source) {
    this.script = readScript(source);
    this.finder = new WordFinder(this.script);
    this.spans = []; // source span of each word, null where it does not stand in the text
    this.nodes = []; // elements of each word; tags inside a word make several
    this.now = this.chosen = -1;
    this.tails = []; // {node, end}: text that no word has been found in yet, and where it ends in the shown text
    const parts = this.script.pieces.map((piece) => this.#piece(piece));
    this.element.replaceChildren(...parts);
    this.element.scrollTop = 0;
  }

  #piece({ start, end, tag }) {
    if (!tag) {
      const node = document.createTextNode(this.script.shown.slice(start, end));
      this.tails.push({ node, start, end });
      return node;
    }
    if (tag.kind !== "pause" && tag.kind !== "rate") return document.createTextNode("");
    const chip = document.createElement("span");
    chip.className = "chip";
    chip.textContent = tag.kind === "pause" ? `${tag.value} s` : `${tag.value}×`;
    chip.title = tag.kind === "pause" ? `a pause of ${tag.value} s` : `spoken ${tag.value} times as fast`;
    return chip;
  }

  /** The next word has been spoken. */
  add(text) {
    const place = this.finder.next(text);
    const index = this.spans.length;
    this.spans.push(place && sourceSpan(this.script, place));
    this.nodes.push(place ? this.#wrap(place, index) : []);
  }

  #wrap(place, index) {
    const made = [];
    while (this.tails.length && this.tails[0].start < place.end) {
      const tail = this.tails[0];
      if (tail.end <= place.start) {
        this.tails.shift();
        continue;
      }
      const from = Math.max(place.start, tail.start);
      const until = Math.min(place.end, tail.end);
      const middle = from > tail.start ? tail.node.splitText(from - tail.start) : tail.node;
      const rest = until < tail.end ? middle.splitText(until - from) : null;
      const word = document.createElement("span");
      word.className = "word";
      word.dataset.word = index;
      word.setAttribute("role", "button");
      word.tabIndex = index === 0 && !made.length ? 0 : -1;
      middle.replaceWith(word);
      word.append(middle);
      made.push(word);
      if (rest) this.tails[0] = { node: rest, start: until, end: tail.end };
      else this.tails.shift();
    }
    return made;
  }

  /** Light the word that is heard; -1 for none. */
  light(index) {
    if (index === this.now) return;
    this.#mark(this.now, "now", false);
    this.#mark(index, "now", true);
    this.now = index;
    if (Date.now() - this.scrolled > LEAVE_ALONE) this.#show(this.nodes[index]?.[0]);
  }

  /** Mark the chosen word; -1 for none. focus: give it the keyboard too. */
  choose(index, focus = false) {
    this.#mark(this.chosen, "chosen", false);
    this.#mark(index, "chosen", true);
    if (this.nodes[index]?.[0]) {
      for (const node of this.element.querySelectorAll('[tabindex="0"]')) node.tabIndex = -1;
      this.nodes[index][0].tabIndex = 0;
    }
    this.chosen = index;
    if (!focus) return;
    this.nodes[index]?.[0]?.focus({ preventScroll: true });
    this.#show(this.nodes[index]?.[0]);
  }

  /** Mark the words whose length or pause was changed. */
  change(edits) {
    this.nodes.forEach((nodes, index) => {
      for (const node of nodes) node.classList.toggle("changed", edits.has(index));
    });
  }

  #mark(index, name, on) {
    for (const node of this.nodes[index] ?? []) node.classList.toggle(name, on);
  }

  #show(node) {
    if (!node) return;
    const box = this.element.getBoundingClientRect();
    const word = node.getBoundingClientRect();
    if (word.top >= box.top + 24 && word.bottom <= box.bottom - 32) return;
    this.element.scrollTop += word.top - box.top - box.height / 3;
  }
}
