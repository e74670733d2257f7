/* Peaks and samples of a clip. 16-bit mono WAV, which `babyhubert sample` writes, is taken as it is; others the browser decodes. */

import { bytes, bytesAndContext } from "./api.js";

export async function peaks(url) {
  return Float32Array.from(new Uint8Array(await bytes(url)), (value) => value / 127);
}

/** As an AudioBuffer has them, for drawing. */
export async function samples(url, duration) {
  const buffer = await bytes(url);
  const found = pcm(buffer) ?? (await decoded(buffer));
  return {
    duration,
    length: found.length,
    sampleRate: Math.round(found.length / duration),
    numberOfChannels: 1,
    getChannelData: () => found,
  };
}

function pcm(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 44 || view.getUint32(0) !== 0x52494646) return null; // RIFF
  let format = null;
  for (let at = 12; at + 8 <= buffer.byteLength; ) {
    const [name, size] = [view.getUint32(at), view.getUint32(at + 4, true)];
    if (name === 0x666d7420) format = [0, 2, 14].map((place) => view.getUint16(at + 8 + place, true)); // "fmt "
    if (name === 0x64617461) { // "data"
      if (!format || String(format) !== "1,1,16") return null;
      const count = Math.floor(Math.min(size, buffer.byteLength - at - 8) / 2);
      const whole = at % 2 === 0 ? new Int16Array(buffer, at + 8, count) : null;
      if (!whole) return null;
      const found = new Float32Array(count);
      for (let place = 0; place < count; place++) found[place] = whole[place] / 32768;
      return found;
    }
    at += 8 + size + (size % 2);
  }
  return null;
}

async function decoded(buffer) {
  const context = new OfflineAudioContext(1, 1, 16000);
  return (await context.decodeAudioData(buffer)).getChannelData(0);
}

/** A short sound whole: bytes to play, samples to draw, and the milliseconds before what it is about. */
export async function clipSound(url) {
  const { buffer, before } = await bytesAndContext(url);
  const samples = pcm(buffer) ?? (await decoded(buffer.slice(0)));
  let loudest = 0;
  for (const value of samples) loudest = Math.max(loudest, Math.abs(value));
  return { bytes: buffer, samples, loudest, rate: 16000, before };
}
