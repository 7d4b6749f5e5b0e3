// Talks to the server that this page came from, and to no other.

import { bytesOfBase64 } from "./sound.js";

const KEY = "unisono-api-key"; // in the tab's storage

/** What the server (or the way to it) says went wrong, as a sentence; `status` is 0 when no answer came. */
export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export function rememberKey(key) {
  sessionStorage.setItem(KEY, key);
}

function headers(more = {}) {
  const key = sessionStorage.getItem(KEY);
  return key ? { ...more, Authorization: `Bearer ${key}` } : more;
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: headers(options.headers) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer. Is it still running?", 0);
  }
  if (!answer.ok) throw new ServerError(await sentence(answer), answer.status);
  return answer;
}

// The message of an error in OpenAI's shape, or words for the status.
async function sentence(answer) {
  let message = "";
  try {
    const body = await answer.json();
    message = body.error?.message ?? "";
  } catch {
    // no JSON: the status has to say it
  }
  if (!message) message = `The server answered ${answer.status} ${answer.statusText}.`.replace(" .", ".");
  const wait = Number(answer.headers.get("Retry-After"));
  return spelled(message) + (wait ? ` Try again in ${wait} s.` : "");
}

// A message as a sentence.
function spelled(message) {
  return message[0].toUpperCase() + message.slice(1) + (/[.!?]$/.test(message) ? "" : ".");
}

const json = (body) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** The voices: [{id, name, origin: "model" | "added", default}]. */
export async function listVoices() {
  const { voices } = await (await ask("v1/audio/voices")).json();
  return voices;
}

/** Learn a voice. fields: {name, text, consent, sample: Blob, filename}. Returns it with `warnings`, sentences. */
export async function addVoice(fields) {
  const form = new FormData();
  for (const name of ["name", "text", "consent"]) form.append(name, fields[name]);
  form.append("sample", fields.sample, fields.filename);
  return (await ask("v1/audio/voices", { method: "POST", body: form })).json();
}

export async function removeVoice(id) {
  await ask(`v1/audio/voices/${encodeURIComponent(id)}`, { method: "DELETE" });
}

/**
 * Speak, and hand on what comes as it comes. All times and frames count from the start of this answer.
 * request: the fields of /v1/audio/speech. signal: stops it.
 * hear: {rate(sampleRate), audio(bytes), word({text, start, end}), tokens([{text, position}])}.
 */
export async function speak(request, hear, signal) {
  const body = { ...request, response_format: "pcm", stream_format: "sse" };
  const answer = await ask("v1/audio/speech", { ...json(body), signal });
  hear.rate(Number(answer.headers.get("x-sample-rate")));
  let done = false;
  for await (const event of events(answer.body)) {
    if (event.type === "speech.audio.error") throw new ServerError(spelled(event.error.message), answer.status);
    if (event.type === "speech.audio.delta") hear.audio(bytesOfBase64(event.audio));
    if (event.type === "speech.audio.word") hear.word(event);
    if (event.type === "speech.audio.tokens") hear.tokens(event.tokens);
    if (event.type === "speech.audio.done") done = true;
  }
  if (!done) throw new ServerError("The server broke off before the end.", answer.status);
}

function lost(error) {
  if (error.name === "AbortError") throw error;
  throw new ServerError("The connection to the server was lost.", 0);
}

// The events of a stream of server-sent events whose data is JSON.
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch(lost);
    const blocks = (rest + (value ?? "")).split(/\r?\n\r?\n/);
    rest = done ? "" : blocks.pop();
    for (const block of blocks) {
      const lines = block.split(/\r?\n/).filter((line) => line.startsWith("data:"));
      const data = lines.map((line) => line.slice(5).trim()).join("\n");
      if (data && data !== "[DONE]") yield JSON.parse(data);
    }
    if (done) return;
  }
}
