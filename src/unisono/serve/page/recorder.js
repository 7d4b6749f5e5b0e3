// Records the microphone into a WAV file.

import { wavFile } from "./sound.js";

export const LONGEST = 30; // seconds

/** Why this page may not record, as a sentence; "" if it may. */
export function whyNot() {
  if (!window.isSecureContext) return "Browsers record only on localhost or over https: choose a file instead.";
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode)
    return "This browser cannot record: choose a file instead.";
  return "";
}

export class Recorder {
  /** onlevel(level 0 to 1, seconds): while it records. onfull(): the longest recording has been made. */
  constructor(onlevel, onfull) {
    this.onlevel = onlevel;
    this.onfull = onfull;
  }

  /** Begin. Throws an Error with a sentence when there is no microphone, or when it is not allowed. */
  async start() {
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true },
      });
    } catch (error) {
      const denied = error.name === "NotAllowedError";
      throw new Error(denied ? "The browser did not allow the microphone." : "No microphone was found.", { cause: error });
    }
    this.context = new AudioContext();
    this.blocks = [];
    this.length = 0;
    await this.context.audioWorklet.addModule(new URL("recorder-worklet.js", import.meta.url));
    const source = this.context.createMediaStreamSource(this.stream);
    const node = new AudioWorkletNode(this.context, "recorder", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => this.#take(data);
    source.connect(node);
  }

  #take(block) {
    if (!this.blocks) return;
    this.blocks.push(block);
    this.length += block.length;
    const seconds = this.length / this.context.sampleRate;
    this.onlevel(block.reduce((loudest, sample) => Math.max(loudest, Math.abs(sample)), 0), seconds);
    if (seconds >= LONGEST) this.onfull();
  }

  /** End; {blob, seconds}. */
  stop() {
    const { blocks, length } = this;
    const rate = this.context.sampleRate;
    this.blocks = null;
    for (const track of this.stream.getTracks()) track.stop();
    this.context.close();
    const samples = new Int16Array(length);
    let at = 0;
    for (const block of blocks)
      for (const sample of block) samples[at++] = Math.max(-1, Math.min(sample, 1)) * 32767;
    return { blob: wavFile(samples, rate), seconds: length / rate };
  }
}
