// The sound that has arrived so far: 16-bit mono samples, their peaks for the picture, and the files that people keep.

const PEAKS_A_SECOND = 200;
const FIRST_ROOM = 20; // seconds of room to begin with; it doubles when it is full

/** Samples that grow while they are played. Lengths in samples, times in seconds. */
export class Sound {
  constructor(sampleRate) {
    this.sampleRate = sampleRate;
    this.length = 0;
    this.complete = false;
    this.perPeak = Math.round(sampleRate / PEAKS_A_SECOND);
    this.samples = new Int16Array(sampleRate * FIRST_ROOM);
    this.peaks = new Uint8Array(PEAKS_A_SECOND * FIRST_ROOM); // loudest |sample| of each stretch, 0 to 255
    this.loudest = 0; // of all samples, 0 to 1
    this.odd = null; // a byte that still waits for its other half
  }

  get duration() {
    return this.length / this.sampleRate;
  }

  /** Append little-endian 16-bit bytes; they may be cut anywhere. */
  append(bytes) {
    let data = bytes;
    if (this.odd !== null) {
      data = new Uint8Array(bytes.length + 1);
      data[0] = this.odd;
      data.set(bytes, 1);
    }
    const count = data.length >> 1;
    this.odd = data.length % 2 ? data[data.length - 1] : null;
    this.#makeRoom(this.length + count);
    const view = new DataView(data.buffer, data.byteOffset, count * 2);
    for (let i = 0; i < count; i++) {
      const sample = view.getInt16(i * 2, true);
      const at = this.length + i;
      this.samples[at] = sample;
      const slot = Math.floor(at / this.perPeak);
      const level = Math.min(Math.abs(sample) >> 7, 255);
      if (level > this.peaks[slot]) this.peaks[slot] = level;
      if (level > this.loudest * 255) this.loudest = level / 255;
    }
    this.length += count;
  }

  #makeRoom(length) {
    if (length <= this.samples.length) return;
    const room = Math.max(length, this.samples.length * 2);
    const samples = new Int16Array(room);
    samples.set(this.samples);
    const peaks = new Uint8Array(Math.ceil(room / this.perPeak) + 1);
    peaks.set(this.peaks);
    Object.assign(this, { samples, peaks });
  }

  /** Loudest level, 0 to 1, between two times. */
  level(from, to) {
    const slots = this.sampleRate / this.perPeak;
    const first = Math.max(Math.floor(from * slots), 0);
    const last = Math.min(Math.max(Math.ceil(to * slots), first + 1), Math.ceil(this.length / this.perPeak));
    let loudest = 0;
    for (let i = first; i < last; i++) if (this.peaks[i] > loudest) loudest = this.peaks[i];
    return loudest / 255;
  }

  /** Samples [start, end) as floats for Web Audio. */
  floats(start, end) {
    const result = new Float32Array(end - start);
    for (let i = start; i < end; i++) result[i - start] = this.samples[i] / 32768;
    return result;
  }

  wav() {
    return wavFile(this.samples.subarray(0, this.length), this.sampleRate);
  }
}

/** A WAV file, 16-bit mono. */
export function wavFile(samples, sampleRate) {
  const header = new DataView(new ArrayBuffer(44));
  const letters = (at, text) => [...text].forEach((letter, i) => header.setUint8(at + i, letter.charCodeAt(0)));
  const bytes = samples.length * 2;
  letters(0, "RIFF");
  header.setUint32(4, 36 + bytes, true);
  letters(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // channels
  header.setUint32(24, sampleRate, true);
  header.setUint32(28, sampleRate * 2, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  letters(36, "data");
  header.setUint32(40, bytes, true);
  const body = new DataView(new ArrayBuffer(bytes));
  samples.forEach((sample, i) => body.setInt16(i * 2, sample, true));
  return new Blob([header, body], { type: "audio/wav" });
}

/** SubRip, one numbered cue per word, without overlap and at least 1 ms long; readable subtitles come from `unisono say --words x.srt`. */
export function srtFile(words) {
  let earliest = 0;
  const cues = words.map((word, i) => {
    const start = Math.max(Math.round(word.start * 1000), earliest);
    earliest = Math.max(Math.round(word.end * 1000), start + 1);
    return `${i + 1}\n${srtClock(start)} --> ${srtClock(earliest)}\n${word.text}\n`;
  });
  return new Blob([cues.join("\n")], { type: "application/x-subrip" });
}

function srtClock(milliseconds) {
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  const rest = String(milliseconds % 1000).padStart(3, "0");
  return `${two(milliseconds / 3600000)}:${two((milliseconds / 60000) % 60)}:${two((milliseconds / 1000) % 60)},${rest}`;
}

export function bytesOfBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Have the browser keep a file. */
export function keep(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
