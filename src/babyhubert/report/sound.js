// The sound of a recording from a file on the person's own machine. The file is read in this browser and sent nowhere:
// the page has no address to send to, and its security policy forbids connections.

const LONGEST_PICTURE = 120_000; // ms of waveform and spectrogram at once
const MOST_DECODED_BYTES = 64 * 2 ** 20; // compressed files up to this size are decoded as a whole for the pictures
const MOST_DECODED_SECONDS = 2400;
const DECODED_RATE = 16_000;
const WAVE_HIGH = 56;
const SPECTRUM_HIGH = 112;
const TOP_FREQUENCY = 8000; // Hz
const RANGE = 65; // dB below the loudest point of the view

/** Format and place of the samples in a WAV, RF64 or BW64 file; null for any other file. */
async function readWaveHeader(file) {
  const view = async (at, bytes) => new DataView(await file.slice(at, at + bytes).arrayBuffer());
  const name = (block, at) => String.fromCharCode(...[0, 1, 2, 3].map((i) => block.getUint8(at + i)));
  if (file.size < 44) return null;
  const head = await view(0, 12);
  if (!["RIFF", "RF64", "BW64"].includes(name(head, 0)) || name(head, 8) !== "WAVE") return null;
  let format = null;
  let longSize = null;
  for (let at = 12; at + 8 <= file.size;) {
    const chunk = await view(at, 8);
    let size = chunk.getUint32(4, true);
    if (name(chunk, 0) === "data") {
      if (!format) return null;
      if (size === 0xffffffff && longSize !== null) size = longSize;
      const rest = file.size - at - 8;
      const bytes = size === 0 || size > rest ? rest : size; // a recorder that stopped leaves no size
      return { ...format, at: at + 8, frames: Math.floor(bytes / format.block) };
    }
    if (name(chunk, 0) === "ds64" && size >= 24) {
      const sizes = await view(at + 8, 24);
      longSize = Number(sizes.getBigUint64(8, true));
    }
    if (name(chunk, 0) === "fmt ") format = waveFormat(await view(at + 8, Math.min(size, 40)));
    at += 8 + size + (size % 2);
  }
  return null;
}

/** Coding of samples; null where it is none that is read here. */
function waveFormat(block) {
  let code = block.getUint16(0, true);
  const [channels, rate, bits] = [block.getUint16(2, true), block.getUint32(4, true), block.getUint16(14, true)];
  if (code === 0xfffe && block.byteLength >= 26) code = block.getUint16(24, true);
  const known = (code === 1 && [8, 16, 24, 32].includes(bits)) || (code === 3 && [32, 64].includes(bits));
  return known && channels && rate ? { float: code === 3, channels, rate, bits, block: (channels * bits) / 8 } : null;
}

/** Mean of the channels of some frames, -1 to 1. */
function waveSamples(buffer, format) {
  const bytes = new DataView(buffer);
  const wide = format.bits / 8;
  const read = format.float
    ? (format.bits === 32 ? (at) => bytes.getFloat32(at, true) : (at) => bytes.getFloat64(at, true))
    : {
      8: (at) => (bytes.getUint8(at) - 128) / 128,
      16: (at) => bytes.getInt16(at, true) / 32768,
      24: (at) => (bytes.getUint8(at) + bytes.getUint8(at + 1) * 256 + bytes.getInt8(at + 2) * 65536) / 8388608,
      32: (at) => bytes.getInt32(at, true) / 2147483648,
    }[format.bits];
  const samples = new Float32Array(Math.floor(buffer.byteLength / format.block));
  for (let frame = 0, at = 0; frame < samples.length; frame++) {
    let sum = 0;
    for (let channel = 0; channel < format.channels; channel++, at += wide) sum += read(at);
    samples[frame] = sum / format.channels;
  }
  return samples;
}

/** Power of each frequency from 0 to the Nyquist frequency, of real samples; the size is a power of two. */
function makeSpectrum(size) {
  const half = size / 2;
  const hann = Float64Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
  const cosine = Float64Array.from({ length: half }, (_, i) => Math.cos((2 * Math.PI * i) / size));
  const sine = Float64Array.from({ length: half }, (_, i) => Math.sin((2 * Math.PI * i) / size));
  const reversed = new Uint32Array(size);
  for (let i = 1; i < size; i++) reversed[i] = (reversed[i >> 1] >> 1) | (i & 1 ? half : 0);
  const [real, imaginary, power] = [new Float64Array(size), new Float64Array(size), new Float64Array(half + 1)];
  return (samples, first) => {
    for (let i = 0; i < size; i++) {
      real[reversed[i]] = (samples[first + i] ?? 0) * hann[i];
      imaginary[i] = 0;
    }
    for (let width = 1; width < size; width *= 2) {
      const step = half / width;
      for (let start = 0; start < size; start += 2 * width) {
        for (let k = 0, turn = 0; k < width; k++, turn += step) {
          const [low, high] = [start + k, start + k + width];
          const re = real[high] * cosine[turn] + imaginary[high] * sine[turn];
          const im = imaginary[high] * cosine[turn] - real[high] * sine[turn];
          [real[high], imaginary[high]] = [real[low] - re, imaginary[low] - im];
          real[low] += re;
          imaginary[low] += im;
        }
      }
    }
    for (let i = 0; i <= half; i++) power[i] = real[i] ** 2 + imaginary[i] ** 2;
    return power;
  };
}

/** The two ends of a colour scale as bytes. */
function colourBytes(name) {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  probe.fillStyle = palette[name];
  probe.fillRect(0, 0, 1, 1);
  return probe.getImageData(0, 0, 1, 1).data;
}

class LocalSound {
  constructor(recording, timeline) {
    this.recording = recording;
    this.timeline = timeline;
    this.audio = new Audio();
    this.audio.preload = "metadata";
    this.status = element("p", { class: "small faint", role: "status" },
      `Choose ${recording.file} on your machine to hear segments and see the sound. The file stays in this browser: nothing is sent anywhere.`);
    this.input = element("input", { type: "file", accept: "audio/*,video/*,.wav,.flac,.mp3,.m4a,.ogg,.opus,.3gp" });
    this.input.onchange = () => this.input.files[0] && this.open(this.input.files[0]);
    const button = (label, title, act) => element("button", { type: "button", title, onclick: act, disabled: true }, label);
    this.buttons = [
      button("Play segment", "The chosen segment (space on the timeline)", () => this.playSegment()),
      button("Play view", "What the timeline shows", () => this.play(timeline.from, timeline.from + timeline.span)),
      button("Stop", "Stop playing", () => this.stop()),
    ];
    this.wave = element("canvas", { role: "img", "aria-label": "Waveform of the view" });
    this.spectrum = element("canvas", { role: "img", "aria-label": "Spectrogram of the view, 0 to 8 kHz" });
    this.pictures = element("div", { class: "timeline sound", hidden: true }, this.wave, this.spectrum);
    this.wave.style.height = `${WAVE_HIGH}px`;
    this.spectrum.style.height = `${SPECTRUM_HIGH}px`;
    this.node = element("section", { class: "screen", "aria-label": "Sound from your machine" },
      element("div", { class: "tools" }, element("label", {}, "Sound of this recording: ", this.input), ...this.buttons), this.status, this.pictures);
    timeline.onview = () => this.later();
    timeline.onplay = () => this.playSegment();
    repaint.push(() => this.node.isConnected && this.later());
  }

  get ready() {
    return this.file !== undefined;
  }

  async open(file) {
    this.stop();
    const turn = (this.turn = (this.turn ?? 0) + 1);
    [this.wav, this.decoded, this.why] = [null, null, ""];
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(file);
    this.file = file;
    this.playable = await this.metadata();
    this.wav = await readWaveHeader(file);
    const seconds = this.wav ? this.wav.frames / this.wav.rate : this.playable ? this.audio.duration : NaN;
    if (!this.wav) await this.decode(seconds);
    if (turn !== this.turn) return;
    for (const button of this.buttons) button.disabled = !this.playable && !this.wav && !this.decoded;
    this.pictures.hidden = false;
    this.status.textContent = [this.about(seconds), this.why].filter(Boolean).join(" ");
    this.status.classList.toggle("notice", this.suspicious);
    this.opened = turn;
    this.later();
  }

  /** True if the browser can play the file. */
  metadata() {
    return new Promise((done) => {
      this.audio.onloadedmetadata = () => done(true);
      this.audio.onerror = () => done(false);
      this.audio.src = this.url;
    });
  }

  async decode(seconds) {
    if (this.file.size > MOST_DECODED_BYTES || seconds > MOST_DECODED_SECONDS) {
      this.why = `No waveform: a compressed file is shown up to ${MOST_DECODED_BYTES / 2 ** 20} MB and ${MOST_DECODED_SECONDS / 60} minutes, a WAV file of any length.`;
      return;
    }
    try {
      const context = new OfflineAudioContext(1, 1, DECODED_RATE);
      const sound = await context.decodeAudioData(await this.file.arrayBuffer());
      const channels = Array.from({ length: sound.numberOfChannels }, (_, i) => sound.getChannelData(i));
      this.decoded = channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
    } catch {
      this.why = this.playable ? "This browser plays the file, but cannot show it." : "This browser cannot read the file: convert it to WAV to hear it here.";
    }
  }

  about(seconds) {
    const { file, duration: expected } = this.recording;
    const other = this.file.name !== file ? `The file is called ${this.file.name}, the recording ${file}: is it the same? ` : "";
    const length = Number.isFinite(seconds) && Math.abs(seconds * 1000 - expected) > 1000
      ? `It lasts ${duration(seconds * 1000)}, the recording ${duration(expected)}: times may not fit. ` : "";
    this.suspicious = Boolean(other || length);
    return `${other}${length}${this.file.name}: in this browser only, nothing is sent anywhere.`;
  }

  /** Samples between two times in ms, one channel, and their rate. */
  async samples(from, to) {
    if (this.wav) {
      const { rate, block, at, frames } = this.wav;
      const [first, last] = [from, to].map((ms) => Math.max(0, Math.min(frames, Math.round((ms * rate) / 1000))));
      return { rate, samples: waveSamples(await this.file.slice(at + first * block, at + last * block).arrayBuffer(), this.wav) };
    }
    const [first, last] = [from, to].map((ms) => Math.round((ms * DECODED_RATE) / 1000));
    return { rate: DECODED_RATE, samples: this.decoded.subarray(first, last) };
  }

  playSegment() {
    const chosen = this.timeline.selected ?? this.timeline.step(1);
    if (chosen && this.ready) this.play(chosen.start, chosen.end);
  }

  async play(from, to) {
    this.stop();
    if (!this.playable) return this.playSamples(from, to);
    const turn = (this.playing = {});
    this.audio.currentTime = from / 1000;
    try {
      await this.audio.play();
    } catch {
      return undefined; // stopped before it began
    }
    const follow = () => {
      if (this.playing !== turn) return;
      const now = this.audio.currentTime * 1000;
      if (now >= to || this.audio.ended) return this.stop();
      this.cursor(now);
      setTimeout(follow, 15);
    };
    follow();
    return undefined;
  }

  /** For WAV files that the browser's player does not take: at most two minutes. */
  async playSamples(from, to) {
    const { rate, samples } = await this.samples(from, Math.min(to, from + LONGEST_PICTURE));
    if (!samples.length) return;
    this.context ??= new AudioContext();
    const sound = this.context.createBuffer(1, samples.length, rate);
    sound.copyToChannel(samples, 0);
    this.source = this.context.createBufferSource();
    this.source.buffer = sound;
    this.source.connect(this.context.destination);
    this.source.start();
  }

  stop() {
    this.playing = undefined;
    this.audio.pause();
    if (this.source) this.source.stop();
    this.source = undefined;
    this.cursor(null);
  }

  later() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.draw(), 150);
  }

  async draw() {
    if (!this.ready || !this.timeline.width || (!this.wav && !this.decoded)) return;
    const { from, span, width, label } = this.timeline;
    const turn = (this.drawing = {});
    if (span > LONGEST_PICTURE) return this.say(`Zoom in to ${LONGEST_PICTURE / 60_000} minutes or less to see the sound.`);
    const { rate, samples } = await this.samples(from, from + span);
    if (turn !== this.drawing) return undefined;
    this.shown = { from, span };
    const perPixel = (span * rate) / 1000 / width;
    this.drawWave(samples, perPixel, width, label);
    this.drawSpectrum(samples, rate, perPixel, width, label);
    this.pictured = { from, span, samples: samples.length };
    return undefined;
  }

  say(message) {
    for (const [canvas, high] of [[this.wave, WAVE_HIGH], [this.spectrum, SPECTRUM_HIGH]]) {
      const context = prepareCanvas(canvas, this.timeline.width + this.timeline.label, high);
      context.fillStyle = palette.faint;
      context.font = "12px system-ui, sans-serif";
      if (canvas === this.wave) context.fillText(message, this.timeline.label, high / 2);
    }
    this.picture = null;
  }

  drawWave(samples, perPixel, width, label) {
    const context = prepareCanvas(this.wave, width + label, WAVE_HIGH);
    this.name(context, label > 60 ? "waveform" : "wave", WAVE_HIGH);
    context.fillStyle = palette.paper;
    context.fillRect(label, 0, width, WAVE_HIGH);
    context.fillStyle = palette.level;
    let most = 0.02;
    for (const value of samples) most = Math.max(most, Math.abs(value));
    for (let x = 0; x < width; x++) {
      const [first, last] = [Math.floor(x * perPixel), Math.max(Math.floor(x * perPixel) + 1, Math.floor((x + 1) * perPixel))];
      if (first >= samples.length) break;
      let [low, high] = [Infinity, -Infinity];
      for (let i = first; i < last && i < samples.length; i++) [low, high] = [Math.min(low, samples[i]), Math.max(high, samples[i])];
      const top = WAVE_HIGH / 2 - (high / most) * (WAVE_HIGH / 2 - 2);
      context.fillRect(label + x, top, 1, Math.max(1, ((high - low) / most) * (WAVE_HIGH / 2 - 2)));
    }
    this.picture = document.createElement("canvas"); // what the cursor is drawn over
    [this.picture.width, this.picture.height] = [this.wave.width, this.wave.height];
    this.picture.getContext("2d").drawImage(this.wave, 0, 0);
  }

  drawSpectrum(samples, rate, perPixel, width, label) {
    const context = prepareCanvas(this.spectrum, width + label, SPECTRUM_HIGH);
    this.name(context, label > 60 ? "0–8 kHz" : "8 kHz", SPECTRUM_HIGH);
    const size = 2 ** Math.round(Math.log2(rate * 0.03));
    const power = makeSpectrum(size);
    const columns = Math.floor(width);
    const bin = (row) => Math.round((Math.min(TOP_FREQUENCY, rate / 2) * (row / (SPECTRUM_HIGH - 1)) * size) / rate);
    const decibels = new Float32Array(columns * SPECTRUM_HIGH).fill(-Infinity);
    let most = -Infinity;
    for (let x = 0; x < columns; x++) {
      const middle = Math.floor((x + 0.5) * perPixel);
      if (middle >= samples.length) break;
      const found = power(samples, middle - size / 2);
      for (let row = 0; row < SPECTRUM_HIGH; row++) {
        const value = 10 * Math.log10(found[bin(row)] + 1e-12);
        decibels[x * SPECTRUM_HIGH + row] = value;
        most = Math.max(most, value);
      }
    }
    this.loudest = { rate, size, bin: loudestBin(decibels, columns, bin) };
    const picture = document.createElement("canvas");
    [picture.width, picture.height] = [columns, SPECTRUM_HIGH];
    const pixels = picture.getContext("2d");
    const image = pixels.createImageData(columns, SPECTRUM_HIGH);
    const [pale, dark] = [colourBytes("paper"), colourBytes("ink")];
    for (let x = 0; x < columns; x++) {
      for (let row = 0; row < SPECTRUM_HIGH; row++) {
        const share = Math.max(0, Math.min(1, 1 + (decibels[x * SPECTRUM_HIGH + row] - most) / RANGE)) || 0;
        const at = 4 * ((SPECTRUM_HIGH - 1 - row) * columns + x);
        for (let i = 0; i < 3; i++) image.data[at + i] = pale[i] + (dark[i] - pale[i]) * share;
        image.data[at + 3] = 255;
      }
    }
    pixels.putImageData(image, 0, 0);
    context.drawImage(picture, label, 0, width, SPECTRUM_HIGH);
  }

  name(context, text, high) {
    context.fillStyle = palette.faint;
    context.font = "11px system-ui, sans-serif";
    context.fillText(text, 0, high / 2 + 4);
  }

  /** Show where playing is; null: nowhere. */
  cursor(now) {
    this.now = now;
    if (!this.picture || !this.shown) return;
    const context = prepareCanvas(this.wave, this.timeline.width + this.timeline.label, WAVE_HIGH);
    context.drawImage(this.picture, 0, 0, this.timeline.width + this.timeline.label, WAVE_HIGH);
    if (now === null || this.shown.from !== this.timeline.from) return;
    context.fillStyle = palette.accent;
    context.fillRect(this.timeline.x(now) - 1, 0, 2, WAVE_HIGH);
  }
}

/** Index of the frequency with most power in a picture. */
function loudestBin(decibels, columns, bin) {
  let [best, place] = [-Infinity, 0];
  for (let i = 0; i < columns * SPECTRUM_HIGH; i++) if (decibels[i] > best) [best, place] = [decibels[i], i % SPECTRUM_HIGH];
  return bin(place);
}
