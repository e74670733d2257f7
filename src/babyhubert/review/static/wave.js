/* The picture of a clip: waveform, spectrogram and a lane for each voice, drawn by wavesurfer.js and its plugins. */

import WaveSurfer from "./vendor/wavesurfer.esm.js";
import RegionsPlugin from "./vendor/regions.esm.js";
import SpectrogramPlugin from "./vendor/spectrogram.esm.js";
import { peaks, samples } from "./sound.js";
import { SHORTEST } from "./document.js";

const WAVE = 70;
const SPECTROGRAM = 110;
const LANE = 26;
const FULL_SPECTROGRAM_S = 120;
const SHOWN_S = 30;
const MOST_PIXELS_PER_S = 1000;

/** Value of a colour of the page's style. */
const colour = (name) => getComputedStyle(window.document.documentElement).getPropertyValue(name).trim();

export const colourOf = (voice) => colour(`--${voice}`) || colour("--level");

const LABEL = "Sound with a lane for each voice. Arrow keys move the cursor; the same segments are in the list below.";

export class Wave {
  #surfer = null;
  #regions = null;
  #marks = new Map();
  #overlay = [];
  #lane = null;
  #drawing = false;
  #pulled = [0, 0];
  #time = 0;

  constructor(container, lanes, nonce, events) {
    this.container = container;
    this.lanes = lanes;
    this.nonce = nonce;
    this.events = events;
    this.perSecond = 0;
  }

  /** Show a clip. Resolves once its waveform is drawn, to false if another clip was opened meanwhile. */
  async open(document, name, voices) {
    this.close();
    this.document = document;
    this.voices = voices;
    const opening = (this.opening = Symbol(name));
    const heights = await peaks(`/peaks/${name}`);
    if (opening !== this.opening) return false;
    const duration = document.record.length / 1000;
    this.duration = duration;
    this.perSecond = duration > 1.5 * SHOWN_S ? this.container.clientWidth / SHOWN_S : 0;
    this.#surfer = WaveSurfer.create({
      container: this.container,
      height: WAVE,
      waveColor: colour("--level"),
      progressColor: colour("--level"),
      cursorColor: colour("--ink"),
      cursorWidth: 2,
      normalize: true,
      minPxPerSec: this.perSecond,
      peaks: [heights],
      duration,
      url: `/sound/${name}`,
      cspNonce: this.nonce,
    });
    const surfer = this.#surfer;
    this.#time = 0;
    const follow = (time) => {
      this.#time = time * 1000;
      this.events.time(this.#time);
    };
    // a player at rest gives its time late, and rounded to a frame
    surfer.on("timeupdate", (time) => surfer.isPlaying() && follow(time));
    surfer.on("interaction", follow);
    surfer.on("pause", () => follow(surfer.getCurrentTime()));
    surfer.on("play", () => this.events.playing(true));
    surfer.on("pause", () => this.events.playing(false));
    surfer.on("error", (error) => this.events.error(error));
    await new Promise((resolve) => surfer.once("ready", resolve));
    if (opening !== this.opening) return false;
    this.#prepare();
    this.draw();
    this.time = document.record.stretch[0];
    // the waveform is on the screen before the spectrogram is computed
    requestAnimationFrame(() => setTimeout(() => this.#loadSpectrogram(opening, name), 0));
    return true;
  }

  async #loadSpectrogram(opening, name) {
    try {
      const sound = await samples(`/sound/${name}`, this.duration);
      if (opening !== this.opening) return;
      this.#surfer.getDecodedData = () => sound; // the waveform has been drawn from peaks alone
      this.#addSpectrogram();
    } catch {
      if (opening === this.opening) this.events.error();
    }
  }

  close() {
    this.opening = null;
    this.#surfer?.destroy();
    this.#surfer = this.#regions = null;
    this.#marks.clear();
    this.#overlay = [];
    this.lanes.replaceChildren();
  }

  #prepare() {
    const wrapper = this.#surfer.getWrapper();
    this.scroll = wrapper.parentElement;
    Object.assign(this.scroll, { tabIndex: 0, role: "group", ariaLabel: LABEL });
    const room = window.document.createElement("div");
    room.style.height = `${LANE * this.voices.length}px`;
    room.style.position = "relative";
    this.voices.forEach((voice, place) => {
      const line = window.document.createElement("div");
      Object.assign(line.style, { position: "absolute", left: 0, right: 0, top: `${place * LANE}px`, height: `${LANE}px`, borderTop: `1px solid ${colour("--line")}` });
      room.append(line);
    });
    this.room = room;
    this.spectrum = window.document.createElement("div");
    this.spectrum.style.height = `${SPECTROGRAM}px`;
    this.spectrum.style.position = "relative";
    this.spectrum.style.zIndex = "3";
    wrapper.append(this.spectrum, room);
    this.#shadeContext(wrapper);
    this.#nameLanes();
    this.#regions = this.#surfer.registerPlugin(RegionsPlugin.create());
    this.#followPointer(wrapper);
    const voice = () => this.voices[this.#lane] ?? this.events.voice();
    this.#regions.enableDragSelection({ color: "#8886", minLength: SHORTEST / 1000 });
    this.#regions.on("region-initialized", (region) => {
      if (!this.#drawing) this.#place(region, voice(), 0, 1);
    });
    this.#regions.on("region-created", (region) => {
      if (this.#drawing) return;
      region.remove();
      this.events.drawn(...this.#pulled, voice());
    });
    this.#regions.on("region-updated", (region) => this.events.resized(region.id, region.start * 1000, region.end * 1000));
    this.#regions.on("region-clicked", (region) => this.events.picked(region.id));
    this.#regions.on("region-double-clicked", (region) => this.events.wanted(region.id));
  }

  /** Note lane and times that the pointer is drawn over; a region that is drawn ends some pixels beside it. */
  #followPointer(wrapper) {
    const time = (event) => {
      const { left, width } = wrapper.getBoundingClientRect();
      return ((event.clientX - left) / width) * this.document.record.length;
    };
    wrapper.addEventListener("pointerdown", (event) => {
      this.#lane = this.#laneAt(event.clientY);
      this.#pulled = [time(event), time(event)];
      const move = (moved) => (this.#pulled[1] = time(moved));
      const end = () => {
        window.removeEventListener("pointermove", move, true);
        window.removeEventListener("pointerup", end, true);
      };
      window.addEventListener("pointermove", move, true);
      window.addEventListener("pointerup", end, true);
    }, true);
  }

  #laneAt(y) {
    const place = Math.floor((y - this.room.getBoundingClientRect().top) / LANE);
    return place >= 0 && place < this.voices.length ? place : null;
  }

  #shadeContext(wrapper) {
    const [first, last] = this.document.record.stretch.map((ms) => (100 * ms) / this.document.record.length);
    for (const [left, width] of [[0, first], [last, 100 - last]]) {
      if (width <= 0) continue;
      const shade = window.document.createElement("div");
      Object.assign(shade.style, {
        position: "absolute", top: 0, bottom: 0, left: `${left}%`, width: `${width}%`, zIndex: 4, pointerEvents: "none",
        background: `repeating-linear-gradient(45deg, transparent 0 7px, ${colour("--faint")}55 7px 9px)`,
      });
      wrapper.append(shade);
    }
  }

  #nameLanes() {
    this.lanes.style.height = `${LANE * this.voices.length}px`;
    for (const voice of this.voices) {
      const name = window.document.createElement("span");
      name.append(Object.assign(window.document.createElement("b"), { textContent: voice }));
      name.style.height = `${LANE}px`;
      this.lanes.append(name);
    }
  }

  #addSpectrogram() {
    const dark = window.document.documentElement.dataset.theme === "dark";
    const short = this.duration <= FULL_SPECTROGRAM_S;
    this.#surfer.registerPlugin(
      SpectrogramPlugin.create({
        container: this.spectrum,
        height: SPECTROGRAM,
        rendering: short ? "full" : "windowed",
        autoGain: short,
        gainDB: 40,
        rangeDB: 60,
        preEmphasis: 6,
        fftSamples: 512,
        frequencyMax: 8000,
        scale: "mel",
        colorMap: dark ? "igray" : "gray",
      }),
    );
  }

  #place(region, voice, row, rows) {
    const place = Math.max(0, this.voices.indexOf(voice));
    const height = (LANE - 4) / rows;
    const bottom = LANE * (this.voices.length - place) - 2 - row * height - height;
    Object.assign(region.element.style, { top: "auto", bottom: `${bottom}px`, height: `${height}px`, borderRadius: "3px" });
    for (const handle of region.element.children) {
      if (handle.part.contains("region-handle")) Object.assign(handle.style, { borderColor: "transparent", width: "9px" });
    }
  }

  /** Draw the segments as they are now. */
  draw() {
    if (!this.#regions) return;
    this.#drawing = true;
    const layers = new Map(this.voices.map((voice) => [voice, this.document.rows(voice)]));
    const colours = new Map(this.voices.map((voice) => [voice, colourOf(voice)]));
    const kept = new Set();
    for (const one of this.document.segments) {
      const { row, count } = layers.get(one.label);
      kept.add(one.id);
      const chosen = one.id === this.document.selected;
      const look = [one.start, one.end, one.label, row.get(one.id), count, chosen, one.values.unsure].join();
      const mark = this.#marks.get(one.id);
      // a region that was dragged has moved already, perhaps to where it may not be
      if (mark?.look === look && mark.region.start === one.start / 1000 && mark.region.end === one.end / 1000) continue;
      const options = { start: one.start / 1000, end: one.end / 1000, color: colours.get(one.label) };
      let region = mark?.region;
      if (region) region.setOptions(options);
      else region = this.#regions.addRegion({ id: one.id, drag: false, minLength: SHORTEST / 1000, ...options });
      this.#marks.set(one.id, { region, look });
      this.#place(region, one.label, row.get(one.id), count);
      this.#decorate(region, one, chosen);
    }
    for (const [id, { region }] of this.#marks) {
      if (kept.has(id)) continue;
      region.remove();
      this.#marks.delete(id);
    }
    this.#drawing = false;
  }

  #decorate(region, one, chosen) {
    Object.assign(region.element.style, {
      opacity: this.document.isOutside(one) ? 0.35 : chosen ? 1 : 0.75,
      outline: chosen ? `2px solid ${colour("--ink")}` : one.values.unsure ? `2px dashed ${colour("--ink")}` : "none",
      outlineOffset: chosen ? "1px" : "-2px",
      zIndex: chosen ? 7 : 5,
    });
  }

  /** Cut the view to the time: the whole clip scrolls under it. */
  show(ms) {
    const surfer = this.#surfer;
    if (!surfer) return;
    const width = surfer.getWrapper().clientWidth;
    const [at, from, room] = [((ms / 1000) * width) / this.duration, surfer.getScroll(), surfer.getWidth()];
    if (at < from + 10 || at > from + room - 10) surfer.setScroll(Math.max(0, at - room * 0.2));
  }

  zoom(factor) {
    if (!this.#surfer) return;
    const whole = this.container.clientWidth / this.duration;
    const now = Math.max(this.perSecond, whole);
    this.perSecond = Math.min(MOST_PIXELS_PER_S, Math.max(whole, now * factor));
    this.#surfer.zoom(this.perSecond);
    this.show(this.time);
  }

  focus() {
    this.scroll?.focus({ preventScroll: true });
  }

  get time() {
    return this.#time;
  }

  set time(ms) {
    const time = Math.max(0, Math.min(ms, this.document.record.length));
    this.#time = time;
    this.#surfer?.setTime(time / 1000);
    this.show(time);
    this.events.time(time);
  }

  set speed(rate) {
    this.#surfer?.setPlaybackRate(rate, true);
  }

  get isPlaying() {
    return this.#surfer?.isPlaying() ?? false;
  }

  play(start, end) {
    if (start !== undefined) this.show(start);
    this.#surfer?.play(start === undefined ? undefined : start / 1000, end === undefined ? undefined : end / 1000)?.catch?.(() => {});
  }

  pause() {
    this.#surfer?.pause();
  }

}
