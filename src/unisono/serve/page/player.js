// Plays a Sound while it still grows: stretches of it are laid end to end on the clock of Web Audio. The audio context has
// the sound's own sample rate, so that nothing is resampled and no seam can be heard.

const STRETCH = 0.5; // seconds a buffer
const AHEAD = 2.5; // seconds laid out in advance; timers of hidden pages come once a second
const ENOUGH = 0.3; // seconds that must be there before playing begins
const TICK = 100; // ms
const LEAD = 0.02; // seconds until the first sample is heard
const FADE = 0.02; // seconds in which a sound that is cut off dies away, so that it does not click

/**
 * States: "empty", "waiting" (wants to play, lacks sound), "playing", "paused", "ended".
 * Tells `onchange(state)` of each change.
 */
export class Player {
  constructor(onchange) {
    this.onchange = onchange;
    this.state = "empty";
    this.sound = null;
    this.context = null;
    this.nodes = new Set();
    this.out = null; // a gain that fades what is cut off
    this.laid = []; // {when, from, length}: media seconds [from, from + length) are heard from context time `when`
    this.rest = 0; // media time while nothing is laid out
    this.timer = 0;
  }

  /** Call this from a click or key, or the browser stays silent. */
  wake(sampleRate) {
    if (this.context?.sampleRate !== sampleRate) {
      this.close();
      this.context?.close();
      this.context = new AudioContext({ sampleRate, latencyHint: "interactive" });
    }
    this.context.resume();
  }

  /** Be ready to play a new sound from a time on, which may be yet to come. */
  open(sound, from = 0) {
    this.close();
    this.wake(sound.sampleRate);
    this.sound = sound;
    this.rest = from;
    this.#become("paused");
  }

  close() {
    this.#silence();
    clearInterval(this.timer);
    this.sound = null;
    this.rest = 0;
    this.#become("empty");
  }

  /** Media time in seconds of what is heard now. */
  get time() {
    if (!this.laid.length) return this.rest;
    const now = this.context.currentTime - (this.context.outputLatency || 0);
    while (this.laid.length > 1 && this.laid[1].when <= now) this.laid.shift();
    const { when, from, length } = this.laid[0];
    return from + Math.min(Math.max(now - when, 0), length);
  }

  play() {
    if (!this.sound || this.state === "playing" || this.state === "waiting") return;
    if (this.state === "ended") this.rest = 0;
    this.context.resume();
    this.#become("waiting");
    clearInterval(this.timer);
    this.timer = setInterval(() => this.#tick(), TICK);
    this.#tick();
  }

  pause() {
    if (this.state !== "playing" && this.state !== "waiting") return;
    this.rest = this.time;
    this.#silence();
    clearInterval(this.timer);
    this.#become("paused");
  }

  seek(time) {
    if (!this.sound) return;
    const going = this.state === "playing" || this.state === "waiting";
    this.#silence();
    this.rest = Math.min(Math.max(time, 0), this.sound.duration);
    if (this.state === "ended") this.#become("paused");
    if (going) {
      this.#become("waiting");
      this.#tick();
    }
  }

  #tick() {
    const { sound, context } = this;
    const now = context.currentTime;
    let end = this.laid.length ? this.#laidEnd() : null;
    if (end && end.when < now + LEAD / 2) {
      // all that was laid out has been heard
      this.rest = end.from;
      this.#silence();
      end = null;
      if (sound.complete && this.rest >= sound.duration - 1 / sound.sampleRate) {
        clearInterval(this.timer);
        this.rest = sound.duration;
        this.#become("ended");
        return;
      }
      this.#become("waiting");
    }
    if (!end) {
      const there = sound.duration - this.rest;
      if (there < ENOUGH && !sound.complete) return;
      end = { when: now + LEAD, from: this.rest };
      if (there <= 0) this.laid.push({ ...end, length: 0 });
    }
    this.#layOut(end, now + AHEAD);
    this.#become("playing");
  }

  #laidEnd() {
    const { when, from, length } = this.laid.at(-1);
    return { when: when + length, from: from + length };
  }

  // Lay stretches end to end from `end` on, until context time `until` or as far as there is sound.
  #layOut(end, until) {
    const { sound, context } = this;
    let { when, from } = end;
    if (!this.out) {
      this.out = new GainNode(context);
      this.out.connect(context.destination);
    }
    while (when < until) {
      const first = Math.round(from * sound.sampleRate);
      const last = Math.min(first + Math.round(STRETCH * sound.sampleRate), sound.length);
      if (last <= first) break;
      const buffer = context.createBuffer(1, last - first, sound.sampleRate);
      buffer.copyToChannel(sound.floats(first, last), 0);
      const node = new AudioBufferSourceNode(context, { buffer });
      node.connect(this.out);
      node.start(when);
      node.onended = () => {
        node.disconnect();
        this.nodes.delete(node);
      };
      this.nodes.add(node);
      const length = (last - first) / sound.sampleRate;
      this.laid.push({ when, from, length });
      when += length;
      from += length;
    }
  }

  #silence() {
    const now = this.context?.currentTime;
    this.out?.gain.setTargetAtTime(0, now, FADE / 4);
    for (const node of this.nodes) node.stop(now + FADE);
    this.out = null;
    this.nodes.clear();
    this.laid = [];
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.onchange(state);
  }
}
