"use strict";
// The page of a run. All data stand in the element #data as JSON; columns of numbers are packed as packing.py says.
// Text from outside (names of recordings, phones, errors) reaches the page through textContent alone.

const data = JSON.parse(document.getElementById("data").textContent);
const about = data.about;
const VOICES = ["KCHI", "OCH", "FEM", "MAL"];
const NAMES = { KCHI: "key child", OCH: "other children", FEM: "women", MAL: "men" };
const STRIP_ORDER = ["KCHI", "OCH", "MAL", "FEM"]; // the order in which packed strips hold the voice types
const ADDRESSEES = { name: "addressee", title: "Addressee", texts: ["", "to the key child", "to adults", "to somebody else"] };
// Tasks of a lab's own: what the numbers in a lane mean, and how the measures of each class begin.
const OWN_COLUMNS = (about.columns || []).map((column) => ({ ...column, title: column.name }));
const DAY = 86_400_000;
const main = document.getElementById("main");

// ---------------------------------------------------------------------------------------------------------- elements

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick" || name === "oninput" || name === "onchange") node[name] = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function drawing(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A part of the page that scrolls by itself, also with the keyboard. */
const scrolling = (label, ...content) => element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, ...content);

const colour = (name) => `var(--${name})`;
const legendKey = (voice) => element("span", { class: "key", style: `background:${colour(voice)}` });

// ----------------------------------------------------------------------------------------------------------- numbers

function unpackBytes(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** Zigzag integers, seven bits a byte, lowest first. */
function unpackIntegers(text) {
  const values = [];
  let value = 0;
  let scale = 1;
  for (const byte of unpackBytes(text)) {
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte < 128) {
      values.push(value % 2 ? -(value + 1) / 2 : value / 2);
      value = 0;
      scale = 1;
    }
  }
  return values;
}

/** The class of a segment in a column; nothing where it has none. */
const classOf = (lane, column, i) => (lane.classes.has(column.name) ? column.texts[lane.classes.get(column.name)[i]] : "");

/** Segments of one lane: start and end in ms, and for each the latest end so far (segments may overlap). */
function unpackLane(lane) {
  const steps = unpackIntegers(lane.spans);
  const start = new Float64Array(lane.count);
  const end = new Float64Array(lane.count);
  const reach = new Float64Array(lane.count);
  let place = 0;
  for (let i = 0; i < lane.count; i++) {
    start[i] = place += steps[2 * i];
    end[i] = place += steps[2 * i + 1];
    reach[i] = i ? Math.max(reach[i - 1], end[i]) : end[i];
  }
  return {
    start, end, reach,
    scores: lane.scores === null ? null : unpackBytes(lane.scores),
    addressees: lane.addressees ? unpackBytes(lane.addressees) : null,
    classes: new Map(Object.entries(lane.classes || {}).map(([name, packed]) => [name, unpackBytes(packed)])),
    phonemes: lane.phonemes || null,
  };
}

/** First index whose value exceeds the limit, in an ascending array. */
function firstAbove(values, limit) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] > limit) high = middle;
    else low = middle + 1;
  }
  return low;
}

function format(value, digits = 1) {
  if (value === null || value === undefined) return "–";
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A text without accents and capitals, to compare. */
const folded = (value) => value.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

const padded = (value, width = 2) => String(value).padStart(width, "0");

/** A moment of a recording: clock time where its start is known, else time since its beginning. */
function clock(ms, start, precision = 0) {
  let total = Math.round(ms);
  if (start !== null) total = (((total + start * 1000) % DAY) + DAY) % DAY;
  const seconds = Math.floor(total / 1000);
  const text = `${start === null ? Math.floor(seconds / 3600) : padded(Math.floor(seconds / 3600) % 24)}:${padded(Math.floor(seconds / 60) % 60)}`;
  if (precision === -1) return text;
  return `${text}:${padded(seconds % 60)}${precision > 0 ? "." + padded(total % 1000, 3).slice(0, precision) : ""}`;
}

function duration(ms) {
  const minutes = Math.round(ms / 60_000);
  if (ms < 120_000) return `${format(ms / 1000, 0)} s`;
  if (minutes < 120) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}

/** A round step of at least the given size. */
function roundStep(least, steps) {
  return steps.find((step) => step >= least) ?? steps[steps.length - 1];
}

const TIME_STEPS = [10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 108e5, 216e5];
const BIN_STEPS = [250, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 2e4, 3e4, 6e4, 12e4, 18e4, 24e4, 3e5, 6e5, 9e5, 18e5];

// ------------------------------------------------------------------------------------------------------------ colours

const palette = {};
const repaint = [];

/** Canvases cannot use CSS variables: their current values. */
function readPalette() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "panel", "ink", "faint", "line", "accent", "level", "clipped", ...VOICES]) {
    palette[name] = style.getPropertyValue(`--${name}`).trim();
  }
}

function coloursChanged() {
  readPalette();
  for (const paint of repaint) paint();
}

function remembered(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // storage may be closed to pages that are opened from a disk
  }
}

const theme = () => (["light", "dark"].includes(remembered("babyhubert-theme")) ? remembered("babyhubert-theme") : "system");

function setTheme(theme) {
  const dark = theme === "dark" || (theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  const button = document.getElementById("theme");
  button.textContent = `Colours: ${theme}`;
  button.setAttribute("aria-label", `Colours: ${theme}. Press to change`);
  button.onclick = () => {
    const next = { system: "light", light: "dark", dark: "system" }[theme];
    try {
      localStorage.setItem("babyhubert-theme", next);
    } catch { /* then it lasts as long as the page */ }
    setTheme(next);
  };
  coloursChanged();
}

/** A canvas in device pixels; the context draws in CSS pixels. */
function prepareCanvas(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

// ------------------------------------------------------------------------------------------------- table of recordings

const COLUMNS = [
  ["id", "Recording", 0, "Path below the folder that was given"],
  ["strip", "Its course", 0, "Who speaks over the recording, from its beginning to its end"],
  ["child", "Child", 0, "The child who wears the recorder"],
  ["age", "Age, months", 1, "Age of the child"],
  ["start", "Begins", 0, "Time of day"],
  ["duration_h", "Hours", 1, "Hours recorded"],
  ["usable", "Usable h", 1, "Hours without faults of the recording, by babyhubert quality"],
  ["kchi_vocalisations_per_hour", "Key child vocalisations / h", 0, "Vocalisations of the key child an hour"],
  ["kchi_speech_min_per_hour", "Key child min / h", 1, "Minutes of the key child's voice an hour"],
  ["och_speech_min_per_hour", "Other children min / h", 1, "Minutes of other children's voices an hour"],
  ["fem_speech_min_per_hour", "Women min / h", 1, "Minutes of women's voices an hour"],
  ["mal_speech_min_per_hour", "Men min / h", 1, "Minutes of men's voices an hour"],
  ["turns_lena_per_hour", "Turns / h", 0, "Conversational turns an hour by LENA's rule of 5 seconds"],
  ["above_chance", "Turns ÷ chance", 2, "Turns divided by those that shuffled times give"],
  ["kcds_min_per_hour", "To key child min / h", 1, "Minutes of adult speech to the key child an hour"],
  ["ads_min_per_hour", "To adults min / h", 1, "Minutes of adult speech to adults an hour"],
  ["canonical_proportion", "Canonical", 2, "Share of the key child's utterances with phones that hold a canonical syllable"],
  ["warnings", "Notes", 0, "Notes about the recording"],
];

function cellValue(row, name) {
  if (name === "id") return row.id;
  if (["start", "warnings", "child", "age", "usable"].includes(name)) return row[name];
  if (name === "strip") return row.measures.speech_min;
  if (name === "above_chance") {
    const { turns_lena: turns, turns_lena_chance: chance } = row.measures;
    return chance ? turns / chance : null;
  }
  return row.measures[name];
}

function compareCells(a, b) {
  if (a === null || a === undefined) return 1; // what is unknown goes last either way
  if (b === null || b === undefined) return -1;
  return typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
}

function drawStrip(canvas, packed) {
  const context = prepareCanvas(canvas, 144, 22);
  const parts = packed.length / 4;
  const wide = 144 / parts;
  for (let part = 0; part < parts; part++) {
    let bottom = 22;
    for (const voice of VOICES) {
      const share = packed[STRIP_ORDER.indexOf(voice) * parts + part] / 255;
      const high = Math.min(bottom, share * 22);
      context.fillStyle = palette[voice];
      context.fillRect(part * wide, bottom - high, wide - 0.4, high);
      bottom -= high;
    }
  }
  context.fillStyle = palette.line;
  context.fillRect(0, 21.5, 144, 0.5);
}

function recordingsTable(rows, open) {
  const shown = COLUMNS.filter(([name]) => {
    if (["id", "strip"].includes(name)) return true;
    return rows.some((row) => ![null, undefined, 0].includes(cellValue(row, name)) || name === "duration_h");
  });
  const short = rows.every((row) => row.measures.duration_h < 1);
  const strips = rows.map((row) => unpackBytes(row.strip));
  const lines = rows.map((row, index) => {
    const link = element("a", { href: row.href ?? `#${encodeURIComponent(row.id)}` }, row.id);
    if (!row.href) link.onclick = (event) => { event.preventDefault(); open(row.id, true); };
    const cells = shown.map(([name, , digits]) => {
      if (name === "id") return element("th", { scope: "row", title: row.id }, link);
      if (name === "strip") return element("td", {}, element("canvas", { role: "img", "aria-label": "speech over the recording" }));
      if (name === "start") return element("td", {}, row.start === null ? "–" : clock(0, row.start, -1));
      if (name === "child") return element("td", {}, row.child ?? "–");
      return element("td", {}, format(cellValue(row, name), ["duration_h", "usable"].includes(name) && short ? 2 : digits));
    });
    return { row, strip: strips[index], node: element("tr", { "data-id": row.id }, ...cells) };
  });
  const body = element("tbody");
  const count = element("span", { class: "faint small", role: "status" });
  const filter = element("input", { type: "search", placeholder: "Filter by name or child", "aria-label": "Filter recordings by name or child" });
  let order = { name: "id", down: false };

  const heads = shown.map(([name, label, , title]) => {
    const head = element("th", { scope: "col" }, element("button", { type: "button", title }, label));
    head.firstChild.onclick = () => {
      order = { name, down: order.name === name ? !order.down : !["id", "start"].includes(name) };
      update();
    };
    return [name, head];
  });

  function update() {
    const wanted = folded(filter.value.trim());
    const visible = lines.filter(({ row }) => folded(`${row.id} ${row.child ?? ""}`).includes(wanted));
    visible.sort((one, other) => {
      const [a, b] = [cellValue(one.row, order.name), cellValue(other.row, order.name)];
      const unknown = a === null || a === undefined || b === null || b === undefined;
      return compareCells(a, b) * (order.down && !unknown ? -1 : 1);
    });
    body.replaceChildren(...visible.map(({ node }) => node));
    count.textContent = visible.length === rows.length ? plural(rows.length, "recording") : `${visible.length} of ${plural(rows.length, "recording")}`;
    for (const [name, head] of heads) {
      if (name === order.name) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }
  filter.oninput = update;
  update();

  const paint = () => lines.forEach(({ node, strip }) => drawStrip(node.querySelector("canvas"), strip));
  paint();
  repaint.push(paint);
  return element("section", { id: "recordings" },
    element("h2", {}, "Recordings"),
    element("div", { class: "tools" }, filter, count,
      element("button", { type: "button", onclick: () => saveTable(rows) }, "Save as CSV")),
    scrolling("Table of recordings",
      element("table", {}, element("thead", {}, element("tr", {}, ...heads.map(([, head]) => head))), body)),
    element("p", { class: "faint small" }, ...VOICES.flatMap((voice) => [legendKey(voice), `${NAMES[voice]}  `]),
      element("span", { class: "screen" }, "· press a heading to sort")),
    more(rows.length, 10, "recordings"));
}

function save(name, lines) {
  const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const text = lines.map((line) => line.map((value) => quoted(String(value ?? "NA"))).join(",")).join("\n");
  const link = element("a", { download: name, href: URL.createObjectURL(new Blob([text + "\n"], { type: "text/csv" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function saveTable(rows) {
  const names = Object.keys(rows[0].measures);
  save("recordings.csv", [["recording_id", ...names], ...rows.map((row) => [row.id, ...names.map((name) => row.measures[name])])]);
}

// ---------------------------------------------------------------------------------------------------------- timeline

const LANE = 34;
const LEVELS = 40;
const AXIS = 22;
const MAP = 40;
const LABEL = 104;
const NARROW_LABEL = 46;

class Timeline {
  constructor(recording) {
    this.recording = recording;
    this.all = Object.fromEntries(VOICES.map((voice) => [voice, unpackLane(recording.lanes[voice])]));
    this.lanes = this.all;
    this.selected = null; // start and end in ms, voice
    this.voice = ""; // which segments 'next' and 'previous' mean; empty: of any voice
    this.levels = recording.levels && unpackBytes(recording.levels.level);
    this.clipped = recording.levels ? this.unpackClipped(recording.levels.clipped) : [];
    this.length = Math.max(recording.duration, 1);
    this.shade = false;
    this.from = 0;
    this.span = this.length;
    this.pointers = new Map();
    this.map = element("canvas", { class: "map", "aria-hidden": "true" });
    this.canvas = element("canvas", {
      tabindex: "0", role: "img",
      "aria-label": "Timeline with a lane a voice type. Arrow keys move, plus and minus zoom, Home shows the whole recording. The table of segments in view below says the same.",
    });
    this.readout = element("p", { class: "readout faint", role: "status" });
    this.list = element("details", { class: "screen" }, element("summary", {}, "Segments in view, as a table"), element("div"));
    this.list.ontoggle = () => this.fillList();
    this.node = element("div", {}, this.tools(), this.segmentTools(), element("div", { class: "timeline" }, this.map, this.canvas), this.readout, this.list);
    this.listen();
    this.height = VOICES.length * LANE + (this.levels ? LEVELS : 0) + AXIS;
    this.canvas.style.height = `${this.height}px`;
    this.map.style.height = `${MAP}px`;
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    repaint.push(() => this.node.isConnected && this.resize());
    addEventListener("beforeprint", () => this.node.isConnected && this.paint());
  }

  unpackClipped(text) {
    const steps = unpackIntegers(text);
    const found = [];
    for (let i = 0, second = 0; i < steps.length; i += 2) found.push([(second += steps[i]), steps[i + 1]]);
    return found;
  }

  tools() {
    const button = (label, title, act) => element("button", { type: "button", title, onclick: act }, label);
    const tools = element("div", { class: "tools" },
      button("−", "Zoom out (key −)", () => this.zoom(2)),
      button("+", "Zoom in (key +)", () => this.zoom(0.5)),
      button("◀", "Earlier (key ←)", () => this.move(-0.5)),
      button("▶", "Later (key →)", () => this.move(0.5)),
      ...[["1 min", 6e4], ["10 min", 6e5], ["1 h", 36e5]].filter(([, span]) => span < this.length).map(([label, span]) =>
        button(label, `Show ${label}`, () => this.zoom(span / this.span))),
      button("All", "The whole recording (key Home)", () => this.show(0, this.length)));
    if (VOICES.some((voice) => this.lanes[voice].scores)) {
      const shade = button("Shade by score", "Pale segments are those the model was less sure of", () => {
        this.shade = !this.shade;
        shade.setAttribute("aria-pressed", String(this.shade));
        this.paint();
      });
      shade.setAttribute("aria-pressed", "false");
      tools.append(shade);
    }
    tools.append(element("span", { class: "faint small screen" }, "Drag to move; pinch, Ctrl + wheel, or the wheel after a click to zoom; double-click to go closer."));
    if (this.lanes.FEM.addressees) tools.append(element("span", { class: "faint small" }, "Underlined adults speak to the key child."));
    return tools;
  }

  /** Next and previous segment of a voice, and the least score that is shown. */
  segmentTools() {
    const button = (label, title, act) => element("button", { type: "button", title, onclick: act }, label);
    const voice = element("select", { "aria-label": "Voice of the next segment" },
      element("option", { value: "" }, "any voice"), ...VOICES.map((name) => element("option", { value: name }, NAMES[name])));
    voice.onchange = () => { this.voice = voice.value; };
    const tools = element("div", { class: "tools" },
      button("◀ segment", "Previous segment of the voice (key p)", () => this.step(-1)), voice,
      button("segment ▶", "Next segment of the voice (key n)", () => this.step(1)));
    if (VOICES.some((name) => this.all[name].scores)) {
      const told = element("output", { class: "small faint" });
      const least = element("input", { type: "range", min: 0, max: 100, step: 1, value: 0, "aria-label": "Least score of the segments that are shown" });
      least.oninput = () => { told.textContent = this.setLeast(least.value / 100); };
      tools.append(element("label", { class: "small" }, "Score at least ", least), told);
    }
    return tools;
  }

  /** Show only segments of at least this score; a sentence about what is left. */
  setLeast(least) {
    const keep = (lane) => {
      if (!lane.scores || !least) return lane;
      const rows = [...lane.scores.keys()].filter((i) => lane.scores[i] >= Math.round(255 * least));
      const chosen = (values) => values && values.constructor.from(rows, (i) => values[i]);
      const end = chosen(lane.end);
      const reach = end.slice();
      for (let i = 1; i < reach.length; i++) reach[i] = Math.max(reach[i], reach[i - 1]);
      const classes = new Map([...lane.classes].map(([name, values]) => [name, chosen(values)]));
      return { start: chosen(lane.start), end, reach, scores: chosen(lane.scores), addressees: chosen(lane.addressees), classes, phonemes: chosen(lane.phonemes) };
    };
    this.lanes = Object.fromEntries(VOICES.map((voice) => [voice, keep(this.all[voice])]));
    this.selected = null;
    this.resize();
    this.fillList();
    if (!least) return "";
    const minutes = (lanes) => VOICES.reduce((sum, voice) => lanes[voice].start.reduce((total, start, i) => total + lanes[voice].end[i] - start, sum), 0) / 60_000;
    const count = (lanes) => VOICES.reduce((sum, voice) => sum + lanes[voice].start.length, 0).toLocaleString("en");
    return `${format(least, 2)}: ${count(this.lanes)} of ${count(this.all)} segments, ${format(minutes(this.lanes), 1)} of ${format(minutes(this.all), 1)} min. Hides whole segments on the timeline alone; numbers stay. For other thresholds run 'babyhubert segment --thresholds'.`;
  }

  /** Choose the next (1) or previous (-1) segment of the voice, and show it. */
  step(direction) {
    const from = this.selected ? this.selected.start : this.from - direction * 1e-3;
    let found = null;
    for (const voice of this.voice ? [this.voice] : VOICES) {
      const { start } = this.lanes[voice];
      const place = direction > 0 ? firstAbove(start, from) : firstAbove(start, from - 1e-3) - 1;
      if (start[place] === undefined) continue;
      if (!found || direction * (found.start - start[place]) > 0) found = { voice, i: place, start: start[place] };
    }
    if (!found) {
      this.readout.textContent = `No ${direction > 0 ? "later" : "earlier"} segment of ${this.voice ? NAMES[this.voice] : "any voice"}.`;
      return null;
    }
    return this.select(found.voice, found.i);
  }

  select(voice, i) {
    const lane = this.lanes[voice];
    this.selected = { voice, start: lane.start[i], end: lane.end[i], told: this.describe(voice, i) };
    const { start, end } = this.selected;
    if (this.span > 60_000 || start < this.from || end > this.from + this.span) {
      const span = Math.min(60_000, this.span, Math.max(10_000, 3 * (end - start)));
      this.show((start + end) / 2 - span / 2, span);
    } else this.show(this.from, this.span);
    return this.selected;
  }

  listen() {
    const { canvas, map } = this;
    canvas.addEventListener("wheel", (event) => {
      const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
      if (!sideways && !event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return; // the page scrolls
      event.preventDefault();
      const amount = event.deltaMode ? 30 : 1;
      if (sideways) this.move(((event.deltaX || event.deltaY) * amount) / this.width);
      else this.zoom(Math.exp(Math.max(-200, Math.min(200, event.deltaY * amount)) / 300), this.timeAt(event.offsetX));
    }, { passive: false });
    canvas.addEventListener("dblclick", (event) => this.zoom(0.25, this.timeAt(event.offsetX)));
    canvas.addEventListener("keydown", (event) => {
      const act = {
        ArrowLeft: () => this.move(-0.2), ArrowRight: () => this.move(0.2), PageUp: () => this.move(-1), PageDown: () => this.move(1),
        "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), ArrowUp: () => this.zoom(0.5), ArrowDown: () => this.zoom(2),
        n: () => this.step(1), p: () => this.step(-1), " ": () => this.onplay && this.onplay(),
        Home: () => this.show(0, this.length), 0: () => this.show(0, this.length), End: () => this.show(this.length - this.span, this.span),
      }[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });
    canvas.addEventListener("pointerdown", (event) => {
      this.pointers.set(event.pointerId, event.offsetX);
      this.pressed = [event.offsetX, event.offsetY];
      canvas.setPointerCapture(event.pointerId);
      canvas.classList.add("dragging");
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.pointers.has(event.pointerId)) return this.tell(event.offsetX, event.offsetY);
      const before = [...this.pointers.values()];
      this.pointers.set(event.pointerId, event.offsetX);
      const after = [...this.pointers.values()];
      if (after.length === 1) return this.move(-(after[0] - before[0]) / this.width);
      const spread = (places) => Math.max(8, Math.abs(places[0] - places[1]));
      const middle = (places) => (places[0] + places[1]) / 2;
      this.move(-(middle(after) - middle(before)) / this.width);
      return this.zoom(spread(before) / spread(after), this.timeAt(middle(after)));
    });
    const release = (event) => {
      this.pointers.delete(event.pointerId);
      if (!this.pointers.size) canvas.classList.remove("dragging");
    };
    canvas.addEventListener("pointerup", (event) => {
      release(event);
      const [x, y] = this.pressed ?? [0, 0];
      const hit = Math.hypot(event.offsetX - x, event.offsetY - y) < 4 && this.segmentAt(event.offsetX, event.offsetY);
      if (hit) this.select(hit.voice, hit.i);
      this.tell(event.offsetX, event.offsetY);
    });
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", () => this.pointers.size || this.tell(-1, -1));
    const goto = (event) => {
      if (event.type === "pointermove" && !(event.buttons & 1)) return;
      if (this.span >= this.length) this.span = Math.max(this.length / 16, Math.min(60_000, this.length));
      this.show((event.offsetX - this.label) / this.width * this.length - this.span / 2, this.span);
    };
    map.addEventListener("pointerdown", (event) => { map.setPointerCapture(event.pointerId); goto(event); });
    map.addEventListener("pointermove", goto);
  }

  resize() {
    const wide = this.canvas.clientWidth;
    if (!wide) return;
    this.label = wide < 520 ? NARROW_LABEL : LABEL;
    this.width = wide - this.label;
    this.drawMapBackground(wide);
    this.paint();
  }

  timeAt(x) {
    return this.from + ((x - this.label) / this.width) * this.span;
  }

  move(share) {
    this.show(this.from + share * this.span, this.span);
  }

  zoom(factor, around = this.from + this.span / 2) {
    const span = Math.min(this.length, Math.max(Math.min(1000, this.length), this.span * factor));
    this.show(around - ((around - this.from) / this.span) * span, span);
  }

  show(from, span) {
    this.span = Math.min(this.length, span);
    this.from = Math.max(0, Math.min(this.length - this.span, from));
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
      clearTimeout(this.listing);
      this.listing = setTimeout(() => this.fillList(), 250);
    });
  }

  /** Segments that touch the view: [first, one past the last]. */
  visible(lane) {
    return [firstAbove(lane.reach, this.from), firstAbove(lane.start, this.from + this.span)];
  }

  /** Share of each bin that a lane speaks; bins begin at whole multiples of their size, so that nothing flickers. */
  coverage(lane, origin, size, bins) {
    const shares = new Float64Array(bins);
    for (let i = firstAbove(lane.reach, origin); i < lane.start.length && lane.start[i] < origin + bins * size; i++) {
      const begin = Math.max(0, (lane.start[i] - origin) / size);
      const end = Math.min(bins, (lane.end[i] - origin) / size);
      for (let bin = Math.floor(begin); bin < end; bin++) shares[bin] += Math.min(end, bin + 1) - Math.max(begin, bin);
    }
    return shares;
  }

  drawMapBackground(wide) {
    this.mapPicture = document.createElement("canvas");
    const context = prepareCanvas(this.mapPicture, wide, MAP);
    const bins = Math.max(1, Math.floor(this.width / 3));
    const size = this.length / bins;
    const step = this.width / bins;
    const shares = VOICES.map((voice) => this.coverage(this.lanes[voice], 0, size, bins));
    let most = 0.05;
    for (let bin = 0; bin < bins; bin++) most = Math.max(most, shares.reduce((sum, share) => sum + share[bin], 0));
    context.fillStyle = palette.paper;
    context.fillRect(this.label, 0, this.width, MAP);
    for (let bin = 0; bin < bins; bin++) {
      let bottom = MAP;
      VOICES.forEach((voice, row) => {
        const high = (shares[row][bin] / most) * (MAP - 2);
        context.fillStyle = palette[voice];
        context.fillRect(this.label + bin * step, bottom - high, step - 0.5, high);
        bottom -= high;
      });
    }
    context.fillStyle = palette.faint;
    context.font = "11px system-ui, sans-serif";
    context.fillText(this.label > 60 ? "whole recording" : "all", 0, MAP / 2 + 4);
  }

  paint() {
    if (!this.width) return;
    const begun = performance.now();
    const wide = this.width + this.label;
    const context = prepareCanvas(this.canvas, wide, this.height);
    context.fillStyle = palette.paper;
    context.fillRect(this.label, 0, this.width, this.height - AXIS);
    this.paintAxis(context);
    const counts = VOICES.map((voice) => { const [low, high] = this.visible(this.lanes[voice]); return high - low; });
    const aggregated = Math.max(...counts) > this.width / 4;
    this.size = roundStep((3 * this.span) / this.width, BIN_STEPS);
    VOICES.forEach((voice, row) => {
      context.save();
      context.beginPath();
      context.rect(this.label, row * LANE, this.width, LANE);
      context.clip();
      if (aggregated) this.paintBins(context, voice, row * LANE);
      else this.paintSegments(context, voice, row * LANE);
      context.restore();
    });
    this.paintLabels(context);
    if (this.levels) this.paintLevels(context, VOICES.length * LANE);
    this.paintMap(wide);
    this.aggregated = aggregated;
    this.paintSelected(context);
    this.tell(-1, -1);
    if (this.onview) this.onview();
    this.paintTime = performance.now() - begun;
  }

  x(ms) {
    return this.label + ((ms - this.from) / this.span) * this.width;
  }

  paintAxis(context) {
    const { start } = this.recording;
    const shift = start === null ? 0 : (start * 1000) % DAY;
    const step = roundStep((78 * this.span) / this.width, TIME_STEPS);
    const precision = step >= 60_000 ? -1 : step >= 1000 ? 0 : step >= 100 ? 1 : 2;
    const top = this.height - AXIS;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    for (let tick = Math.ceil((this.from + shift) / step) * step - shift; tick <= this.from + this.span; tick += step) {
      const x = Math.round(this.x(tick)) + 0.5;
      context.fillStyle = palette.line;
      context.fillRect(x - 0.5, 0, 1, top + 4);
      const text = clock(tick, start, precision);
      const half = context.measureText(text).width / 2;
      context.fillStyle = palette.faint;
      context.fillText(text, Math.min(this.label + this.width - half, Math.max(this.label + half, x)), top + 17);
    }
    context.textAlign = "left";
  }

  paintLabels(context) {
    VOICES.forEach((voice, row) => {
      const y = row * LANE;
      context.fillStyle = palette.line;
      context.fillRect(0, y + LANE - 0.5, this.width + this.label, 0.5);
      context.fillStyle = palette[voice];
      context.fillRect(0, y + 8, 4, LANE - 16);
      context.fillStyle = palette.ink;
      context.font = "600 12px system-ui, sans-serif";
      context.fillText(voice, 9, y + (this.label > 60 ? LANE / 2 - 1 : LANE / 2 + 4));
      if (this.label > 60) {
        context.font = "11px system-ui, sans-serif";
        context.fillStyle = palette.faint;
        context.fillText(NAMES[voice], 9, y + LANE / 2 + 12);
      }
    });
  }

  /** From afar: how much of each bin is spoken. The square root keeps rare speech visible. */
  paintBins(context, voice, top) {
    const origin = Math.floor(this.from / this.size) * this.size;
    const bins = Math.ceil((this.from + this.span - origin) / this.size) + 1;
    const shares = this.coverage(this.lanes[voice], origin, this.size, bins);
    const wide = (this.size / this.span) * this.width;
    context.fillStyle = palette[voice];
    for (let bin = 0; bin < bins; bin++) {
      if (!shares[bin]) continue;
      const high = Math.max(1.5, Math.sqrt(Math.min(1, shares[bin])) * (LANE - 6));
      context.fillRect(this.x(origin + bin * this.size), top + LANE - 2 - high, Math.max(1, wide - 0.6), high);
    }
  }

  paintSegments(context, voice, top) {
    const lane = this.lanes[voice];
    const [low, high] = this.visible(lane);
    context.font = "12px system-ui, sans-serif";
    for (let i = low; i < high; i++) {
      const left = this.x(lane.start[i]);
      const wide = Math.max(1.2, this.x(lane.end[i]) - left);
      context.globalAlpha = this.shade && lane.scores ? Math.max(0.15, (lane.scores[i] - 76) / 179) : 1;
      context.fillStyle = palette[voice];
      context.fillRect(left, top + 5, wide, LANE - 10);
      if (lane.addressees && lane.addressees[i] === 1) context.fillRect(left, top + LANE - 4, wide, 2.5);
      context.globalAlpha = 1;
      const label = [...OWN_COLUMNS.map((column) => classOf(lane, column, i)), lane.phonemes && lane.phonemes[i]].filter(Boolean).join(" ");
      if (label && wide > 26) this.paintText(context, label, left, top, wide);
    }
  }

  paintSelected(context) {
    const { selected } = this;
    if (!selected || selected.end < this.from || selected.start > this.from + this.span) return;
    const [left, right] = [Math.max(this.label, this.x(selected.start)), Math.min(this.label + this.width, this.x(selected.end))];
    context.strokeStyle = palette.ink;
    context.lineWidth = 2;
    context.strokeRect(left - 1, VOICES.indexOf(selected.voice) * LANE + 3, Math.max(3, right - left) + 2, LANE - 6);
  }

  paintText(context, text, left, top, wide) {
    context.save();
    context.beginPath();
    context.rect(left, top, wide, LANE);
    context.clip();
    context.fillStyle = palette.paper;
    context.fillText(text, Math.max(left, this.label) + 4, top + LANE / 2 + 4);
    context.restore();
  }

  /** Loudest second of each pixel as a bar; a mark above where samples reached full scale. */
  paintLevels(context, top) {
    const { levels } = this;
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = palette.faint;
    context.fillText(this.label > 60 ? "level, dBFS" : "dBFS", 0, top + LEVELS / 2 + 4);
    const range = (value) => Math.max(0, Math.min(1, (value / 2 - 20) / 80)); // -80 to 0 dBFS
    const step = Math.max(1, (this.width * 1000) / this.span);
    context.save();
    context.beginPath();
    context.rect(this.label, top, this.width, LEVELS);
    context.clip();
    context.fillStyle = palette.level;
    const perBar = Math.max(1, Math.ceil((2 * this.span) / 1000 / this.width));
    const first = Math.floor(this.from / 1000 / perBar) * perBar;
    for (let second = first; second * 1000 < this.from + this.span && second < levels.length; second += perBar) {
      let loudest = 0;
      for (let i = second; i < Math.min(second + perBar, levels.length); i++) loudest = Math.max(loudest, levels[i]);
      const high = range(loudest) * (LEVELS - 10);
      context.fillRect(this.x(second * 1000), top + LEVELS - high, step * perBar + 0.3, high);
    }
    context.fillStyle = palette.clipped;
    for (const [second] of this.clipped) {
      const x = this.x(second * 1000);
      if (x > this.label - step && x < this.label + this.width) context.fillRect(x, top + 2, Math.max(2, step), 5);
    }
    context.restore();
  }

  paintMap(wide) {
    const context = prepareCanvas(this.map, wide, MAP);
    context.drawImage(this.mapPicture, 0, 0, wide, MAP);
    if (this.span >= this.length) return;
    const left = this.label + (this.from / this.length) * this.width;
    const box = Math.max(3, (this.span / this.length) * this.width);
    context.globalAlpha = 0.6;
    context.fillStyle = palette.panel;
    context.fillRect(this.label, 0, left - this.label, MAP);
    context.fillRect(left + box, 0, this.label + this.width - left - box, MAP);
    context.globalAlpha = 1;
    context.strokeStyle = palette.accent;
    context.lineWidth = 1.5;
    context.strokeRect(left, 0.75, box, MAP - 1.5);
  }

  /** The segment at a place of the canvas; nothing from afar. */
  segmentAt(x, y) {
    const voice = VOICES[Math.floor(y / LANE)];
    if (!voice || this.aggregated || x < this.label) return null;
    const lane = this.lanes[voice];
    const [at, slack] = [this.timeAt(x), (2 * this.span) / this.width];
    for (let i = firstAbove(lane.reach, at - slack); i < lane.start.length && lane.start[i] <= at + slack; i++) {
      if (lane.end[i] >= at - slack) return { voice, i };
    }
    return null;
  }

  /** Describe the item under the pointer; without one, the chosen segment. */
  tell(x, y) {
    const { start } = this.recording;
    const precision = this.span < 60_000 ? 1 : 0;
    const view = `${clock(this.from, start, precision)} to ${clock(this.from + this.span, start, precision)}, ${duration(this.span)}`;
    let text = this.selected ? `Chosen: ${this.selected.told}` : this.aggregated ? `${view}: each bar is ${duration(this.size)}, its height the share spoken (square root)` : view;
    const voice = VOICES[Math.floor(y / LANE)];
    if (x >= this.label && y >= 0) {
      const at = this.timeAt(x);
      text = clock(at, start, precision);
      if (voice && this.aggregated) {
        const bin = Math.floor(at / this.size) * this.size;
        text += `: ${NAMES[voice]} speak${voice === "KCHI" ? "s" : ""} ${format(100 * this.coverage(this.lanes[voice], bin, this.size, 1)[0], 0)}% of these ${duration(this.size)}`;
      } else if (voice) {
        const hit = this.segmentAt(x, y);
        if (hit) text = this.describe(hit.voice, hit.i);
      } else if (this.levels && y < VOICES.length * LANE + LEVELS) {
        const level = this.levels[Math.floor(at / 1000)];
        if (level !== undefined) text += level ? `: ${format(level / 2 - 100, 1)} dBFS` : ": digital silence";
      }
    }
    this.readout.textContent = text;
  }

  describe(voice, i) {
    const lane = this.lanes[voice];
    const parts = [`${NAMES[voice]}, ${clock(lane.start[i], this.recording.start, 2)}, ${format((lane.end[i] - lane.start[i]) / 1000, 2)} s`];
    if (lane.addressees && lane.addressees[i]) parts.push(ADDRESSEES.texts[lane.addressees[i]]);
    for (const column of OWN_COLUMNS) if (classOf(lane, column, i)) parts.push(`${column.name}: ${classOf(lane, column, i)}`);
    if (lane.phonemes && lane.phonemes[i]) parts.push(`/${lane.phonemes[i]}/`);
    if (lane.scores) parts.push(`score ${format(lane.scores[i] / 255, 2)}`);
    return parts.join(", ");
  }

  fillList() {
    if (!this.list.open) return;
    const found = [];
    for (const voice of VOICES) {
      const [low, high] = this.visible(this.lanes[voice]);
      for (let i = low; i < high; i++) if (this.lanes[voice].end[i] > this.from) found.push([this.lanes[voice].start[i], voice, i]);
    }
    found.sort((a, b) => a[0] - b[0]);
    const most = 300;
    const rows = found.slice(0, most).map(([at, voice, i]) => {
      const lane = this.lanes[voice];
      return element("tr", {},
        element("td", {}, clock(at, this.recording.start, 2)),
        element("td", {}, format((lane.end[i] - at) / 1000, 2)),
        element("td", { class: "left" }, legendKey(voice), NAMES[voice]),
        element("td", {}, lane.scores ? format(lane.scores[i] / 255, 2) : "–"),
        element("td", { class: "left" }, [lane.addressees && ADDRESSEES.texts[lane.addressees[i]], ...OWN_COLUMNS.map((column) => classOf(lane, column, i)), lane.phonemes && lane.phonemes[i]].filter(Boolean).join(" ")));
    });
    this.list.lastChild.replaceChildren(
      element("p", { class: "small faint" }, found.length > most ? `The first ${most} of ${found.length}: zoom in to see the others.` : `${found.length} segments.`),
      scrolling("Segments in view", element("table", {},
        element("thead", {}, element("tr", {}, ...["Begins", "Seconds", "Voice", "Score", [ADDRESSEES.title, ...OWN_COLUMNS.map(({ title }) => title), "phones"].join(", ")].map((name) => element("th", { scope: "col" }, name)))),
        element("tbody", {}, ...rows))));
  }
}

// ------------------------------------------------------------------------------------------------------------- charts

const WIDE = main.clientWidth < 640 ? Math.max(240, main.clientWidth - 26) : 560; // so that text keeps its size
const HIGH = 190;
const MARGIN = { left: 38, right: 8, top: 8, bottom: 34 };

/** Axes for a chart of the given range; gives the drawing and functions from values to its coordinates. */
function plot(label, most, { least = 0, high = HIGH, wide = WIDE, xTitle = "", yTitle = "" } = {}) {
  const picture = drawing("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": label });
  const inner = high - MARGIN.top - MARGIN.bottom;
  const y = (value) => MARGIN.top + inner * (1 - (value - least) / (most - least || 1));
  const step = niceStep((most - least) / 4);
  for (let value = Math.ceil(least / step) * step; value <= most + 1e-9; value += step) {
    picture.append(drawing("line", { x1: MARGIN.left, x2: wide - MARGIN.right, y1: y(value), y2: y(value), stroke: colour("line"), "stroke-width": 1 }),
      text(MARGIN.left - 5, y(value) + 4, Math.abs(value).toLocaleString("en"), "end"));
  }
  if (xTitle) picture.append(text((MARGIN.left + wide - MARGIN.right) / 2, high - 2, xTitle));
  if (yTitle) picture.append(drawing("title", {}, yTitle));
  const x = (share) => MARGIN.left + share * (wide - MARGIN.left - MARGIN.right);
  return { picture, x, y, bottom: high - MARGIN.bottom };
}

function text(x, y, content, anchor = "middle") {
  return drawing("text", { x, y, "text-anchor": anchor }, content);
}

function niceStep(least) {
  if (!(least > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= least - 1e-12);
}

function niceTop(value) {
  const step = niceStep(value / 4);
  return Math.max(step, Math.ceil(value / step - 1e-9) * step);
}

const bar = (x, y, width, height, fill, title) =>
  drawing("rect", { x, y, width: Math.max(0.5, width), height: Math.max(0, height), fill }, drawing("title", {}, title));

function figure(title, caption, ...content) {
  return element("figure", {}, element("h3", {}, title), ...content, element("figcaption", {}, caption));
}

const voiceLegend = () => element("div", { class: "legend" }, ...VOICES.map((voice) => element("span", {}, legendKey(voice), NAMES[voice])));

function hourLabels(chart, recording, count) {
  const names = recording.hours.names;
  const every = Math.max(1, Math.ceil(count / (WIDE / 42)));
  return names.slice(0, count).flatMap((name, hour) => (hour % every ? [] : [text(chart.x((hour + 0.5) / count), chart.bottom + 14, name.slice(0, 2).replace(":", ""))]));
}

const hourTitle = (recording) => (recording.start === null ? "hours from the beginning" : "hour of the day");

function minutesChart(recording) {
  const { hours, measures } = recording.hours;
  const count = Math.max(6, hours.length); // a short recording's bar is not a wall
  const minutes = (voice, hour) => measures[`${voice.toLowerCase()}_speech_min`][hour];
  const most = niceTop(Math.max(1, ...hours.map((_, hour) => VOICES.reduce((sum, voice) => sum + minutes(voice, hour), 0))));
  const chart = plot("Minutes of speech in each hour, by voice type", most, { xTitle: hourTitle(recording) });
  hours.forEach((recorded, hour) => {
    let base = 0;
    for (const voice of VOICES) {
      const value = minutes(voice, hour);
      chart.picture.append(bar(chart.x((hour + 0.1) / count), chart.y(base + value), (chart.x(0.8 / count) - chart.x(0)), chart.y(base) - chart.y(base + value),
        colour(voice), `${recording.hours.names[hour]}: ${NAMES[voice]} ${format(value, 1)} min of ${format(60 * recorded, 0)} recorded`));
      base += value;
    }
  });
  chart.picture.append(...hourLabels(chart, recording, count));
  return figure("Minutes of speech an hour", "Bars are stacked; when two voices speak at once both count. The first and the last hour may be short.", voiceLegend(), chart.picture);
}

const RULES = [
  ["lena", "LENA", "A key child's and an adult's segment less than 5 s apart without another speaker between; counted in pairs (LENA)."],
  ["simple_ctc", "simple_CTC", "Every change between the key child and anybody else within 1 s (ChildProject)."],
  ["floor", "Floor transfer", `Every change between the key child and an adult with at most ${about.measures.turn_gap_ms / 1000} s of gap or ${about.measures.turn_overlap_ms / 1000} s of overlap.`],
];

function turnsChart(recording) {
  const holder = element("div");
  const caption = element("p", { class: "small faint" });
  const buttons = RULES.map(([rule, name]) => element("button", { type: "button", onclick: () => choose(rule) }, name));
  function choose(rule) {
    const { hours, measures } = recording.hours;
    const [turns, chance] = [measures[`turns_${rule}`], measures[`turns_${rule}_chance`]];
    const count = Math.max(6, hours.length);
    const most = niceTop(Math.max(1, ...turns, ...chance.map((value) => value ?? 0)));
    const chart = plot("Conversational turns in each hour, and by chance", most, { xTitle: hourTitle(recording) });
    hours.forEach((_, hour) => {
      const [left, width] = [chart.x((hour + 0.15) / count), chart.x(0.7 / count) - chart.x(0)];
      const expected = chance[hour] === null ? "" : `, by chance ${format(chance[hour], 1)}`;
      chart.picture.append(bar(left, chart.y(turns[hour]), width, chart.y(0) - chart.y(turns[hour]), colour("accent"), `${recording.hours.names[hour]}: ${turns[hour]} turns${expected}`));
      if (chance[hour] !== null) {
        chart.picture.append(drawing("line", { x1: left - 3, x2: left + width + 3, y1: chart.y(chance[hour]), y2: chart.y(chance[hour]), stroke: colour("paper"), "stroke-width": 4.5 }),
          drawing("line", { x1: left - 3, x2: left + width + 3, y1: chart.y(chance[hour]), y2: chart.y(chance[hour]), stroke: colour("chance"), "stroke-width": 2 }));
      }
    });
    chart.picture.append(...hourLabels(chart, recording, count));
    holder.replaceChildren(chart.picture);
    const whole = recording.measures;
    caption.textContent = RULES.find(([name]) => name === rule)[2];
    const sum = plural(whole[`turns_${rule}`], "turn");
    caption.textContent += whole[`turns_${rule}_chance`] === null ? ` ${sum} in all.`
      : ` ${sum} in all; ${format(whole[`turns_${rule}_chance`], 0)} ± ${format(whole[`turns_${rule}_chance_sd`], 0)} by chance (line): the key child's segments moved along a circle within each hour.`;
    buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(RULES[index][0] === rule)));
  }
  choose("lena");
  return element("figure", {}, element("h3", {}, "Conversational turns an hour"), element("div", { class: "tools" }, ...buttons), holder, caption);
}

function lengthsChart(recording) {
  const shares = VOICES.map((voice) => {
    const counts = recording.lengths[voice];
    const total = counts.reduce((sum, value) => sum + value, 0);
    return counts.map((value) => (total ? (100 * value) / total : 0));
  });
  return smallMultiples("Lengths of segments", "Share of each voice type's segments, by length in steps of 0.25 s; the last bar holds all from 5 s on.",
    recording, shares, (place) => `${format(place * 0.25, 2)} s${place === 20 ? " or more" : ` to ${format((place + 1) * 0.25, 2)} s`}`, ["0", "2.5", "5 s"], (voice) => `mean ${format(recording.measures[`${voice.toLowerCase()}_segment_mean_s`], 2)} s`);
}

function scoresChart(recording) {
  if (VOICES.every((voice) => !recording.lanes[voice].histogram)) return null;
  const thresholds = (about.settings && about.settings.thresholds) || {};
  const shares = VOICES.map((voice) => {
    const counts = recording.lanes[voice].histogram;
    const total = counts.reduce((sum, value) => sum + value, 0);
    return counts.map((value) => (total ? (100 * value) / total : 0));
  });
  const doubtful = recording.doubtful || {};
  const chart = smallMultiples("Confidence of the model", "Share of each voice type's segments by their score; the line is the threshold of a frame. Doubtful: frames of the whole recording whose score is within 0.1 of it. A score orders segments by how clear they were; it is no probability of being right.",
    recording, shares, (place) => `score ${format(place / 20, 2)} to ${format((place + 1) / 20, 2)}`, ["0", "0.5", "1"],
    (voice) => (doubtful[voice] === undefined ? "" : `doubtful ${format(100 * doubtful[voice], 1)}%`), (voice) => thresholds[voice]);
  chart.classList.add("wide");
  return chart;
}

function smallMultiples(title, caption, recording, shares, name, ticks, note, line = () => undefined) {
  const wide = Math.min(270, (WIDE - 12) / 2);
  const high = 118;
  const grid = element("div", { class: "four" });
  const most = niceTop(Math.max(1, ...shares.flat()));
  VOICES.forEach((voice, row) => {
    const chart = plot(`${title}: ${NAMES[voice]}`, most, { wide, high });
    const bins = shares[row].length;
    shares[row].forEach((share, place) => chart.picture.append(bar(chart.x(place / bins) + 0.5, chart.y(share), chart.x(1 / bins) - chart.x(0) - 1, chart.y(0) - chart.y(share), colour(voice), `${NAMES[voice]}, ${name(place)}: ${format(share, 1)}%`)));
    ticks.forEach((tick, place) => chart.picture.append(text(chart.x(place / (ticks.length - 1)), chart.bottom + 14, tick)));
    const threshold = line(voice);
    if (threshold !== undefined) chart.picture.append(drawing("line", { x1: chart.x(threshold), x2: chart.x(threshold), y1: MARGIN.top, y2: chart.bottom, stroke: colour("ink"), "stroke-width": 1.5, "stroke-dasharray": "4 3" }));
    grid.append(element("div", {}, element("div", { class: "small" }, legendKey(voice), `${NAMES[voice]} `, element("span", { class: "faint" }, `${recording.lanes[voice].count.toLocaleString("en")}${note(voice) ? `, ${note(voice)}` : ""}`)), chart.picture));
  });
  return figure(title, caption, grid);
}

function offsetsChart(recording) {
  const { child, adult, limits } = recording.offsets;
  const top = niceTop(Math.max(1, ...adult, ...child));
  const chart = plot("When the key child and adults answer each other", top, { least: -top, xTitle: "seconds from the end of one to the beginning of the other" });
  const bins = child.length;
  const width = chart.x(1 / bins) - chart.x(0) - 1;
  for (let place = 0; place < bins; place++) {
    const span = `${format(-1 + place * 0.2, 1)} to ${format(-0.8 + place * 0.2, 1)} s`;
    chart.picture.append(
      bar(chart.x(place / bins) + 0.5, chart.y(child[place]), width, chart.y(0) - chart.y(child[place]), colour("KCHI"), `key child sets in ${span} after an adult: ${child[place]}`),
      bar(chart.x(place / bins) + 0.5, chart.y(0), width, chart.y(0) - chart.y(adult[place]), colour("FEM"), `adult sets in ${span} after the key child: ${adult[place]}`));
  }
  for (let second = -1; second <= 5; second++) chart.picture.append(text(chart.x((second + 1) / 6), chart.bottom + 14, String(second).replace("-", "−")));
  for (const limit of limits) {
    const place = (limit / 1000 + 1) / 6;
    if (place >= 0 && place <= 1) chart.picture.append(drawing("line", { x1: chart.x(place), x2: chart.x(place), y1: MARGIN.top, y2: chart.bottom, stroke: colour("ink"), "stroke-width": 1.2, "stroke-dasharray": "4 3" }));
  }
  return figure("Answers: gaps and overlaps", "Changes of speaker between key child and adults; left of 0 the second began before the first had ended. Between the dashed lines they are floor transfers.",
    element("div", { class: "legend" }, element("span", {}, legendKey("KCHI"), "up: the key child answers"), element("span", {}, legendKey("FEM"), "down: an adult answers")), chart.picture);
}

function hoursTable(recording) {
  const { names, hours, measures } = recording.hours;
  const columns = [["Hours", () => hours, 2], ...VOICES.map((voice) => [`${NAMES[voice]}, min`, () => measures[`${voice.toLowerCase()}_speech_min`], 1]),
    ["Key child vocalisations", () => measures.kchi_vocalisations, 0], ["Turns (LENA)", () => measures.turns_lena, 0], ["by chance", () => measures.turns_lena_chance, 1],
    ["To key child, min", () => measures.kcds_min, 1], ["To adults, min", () => measures.ads_min, 1], ["Phones", () => measures.phonemes, 0],
    ...OWN_COLUMNS.flatMap((column) => Object.entries(column.measures).map(([name, base]) => [`${column.name} ${name}, min`, () => measures[`${base}_min`], 1]))]
    .filter(([, values]) => values().some((value) => value !== null));
  return element("details", { class: "print hours" }, element("summary", {}, "Numbers by hour"),
    scrolling("Numbers by hour", element("table", {},
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Hour"), ...columns.map(([name]) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...names.map((name, hour) => element("tr", {}, element("th", { scope: "row" }, name), ...columns.map(([, values, digits]) => element("td", {}, format(values()[hour], digits)))))))));
}

/** How often and how long each class of a task of a lab's own occurs; nothing where the task was not run. */
function classesTable(recording, column) {
  const { measures } = recording;
  const rows = Object.entries(column.measures).filter(([, base]) => measures[`${base}_count`] !== null);
  if (!rows.length) return null;
  const cells = [["Segments", "count", 0], ["Minutes", "min", 2], ["Minutes an hour", "min_per_hour", 2], ["Share of minutes", "share", 2]];
  return element("section", {}, element("h3", {}, column.name),
    scrolling("Classes", element("table", {},
      element("thead", {}, element("tr", {}, ...["Class", ...cells.map(([title]) => title)].map((title) => element("th", { scope: "col" }, title)))),
      element("tbody", {}, ...rows.map(([name, base]) => element("tr", {}, element("th", { scope: "row" }, name), ...cells.map(([, measure, digits]) => element("td", {}, format(measures[`${base}_${measure}`], digits)))))))));
}

// --------------------------------------------------------------------------------------------------------- recording

function tiles(recording) {
  const { measures, levels } = recording;
  const list = [
    [duration(recording.duration), recording.start === null ? "recorded" : `recorded, from ${clock(0, recording.start, -1)}`],
    [format(measures.kchi_vocalisations_per_hour, 0), "key-child vocalisations an hour", "KCHI"],
    [format(measures.kchi_speech_min_per_hour, 1), "minutes of the key child an hour", "KCHI"],
    [format(measures.adult_speech_s_per_min, 1), "seconds of adult speech a minute", "FEM"],
    [format(measures.turns_lena_per_hour, 0), measures.turns_lena_chance === null ? "turns an hour (LENA's rule)"
      : `turns an hour (LENA's rule); chance gives ${format(measures.turns_lena_chance / (measures.duration_h || 1), 0)}`],
  ];
  if (measures.kcds_min !== null) list.push([format(measures.kcds_min_per_hour, 1), "minutes of adult speech to the key child an hour"], [format(measures.ads_min_per_hour, 1), "minutes of adult speech to adults an hour"]);
  if (measures.phonemes !== null) list.push([format(measures.linguistic_per_hour, 0), "key-child utterances with phones an hour"], [format(measures.canonical_proportion, 2), "of these are canonical"]);
  if (levels) list.push([`${levels.clipped_seconds.toLocaleString("en")} s`, "with samples at full scale (clipping)"], [duration(levels.silent_seconds * 1000), "of digital silence"]);
  return element("ul", { class: "tiles" }, ...list.map(([value, label, voice]) => element("li", {}, element("b", {}, value), element("span", {}, voice ? legendKey(voice) : null, label))));
}

function clipsSection(recording) {
  if (!recording.clips.length) return null;
  const verdicts = new Map();
  const items = recording.clips.map((clip, index) => {
    const choice = (word) => element("label", { class: "small" }, element("input", { type: "radio", name: `clip-${index}`, onchange: () => verdicts.set(index, word) }), ` ${word} `);
    return element("li", {}, element("div", { class: "small" }, legendKey(clip.label), `${NAMES[clip.label] ?? clip.label}, ${clock(clip.at, recording.start, 1)}, ${format((clip.until - clip.at) / 1000, 2)} s`),
      element("audio", { controls: true, preload: "none", src: `data:audio/mpeg;base64,${clip.mp3}` }), choice("right"), choice("wrong"), choice("cannot tell"));
  });
  return element("section", {}, element("h3", {}, "Listen"),
    element("p", { class: "notice small" }, "These sounds are in this file: everyone who gets the page can play them. Each is a segment drawn at random, with half a second around it."),
    element("ul", { class: "clips" }, ...items),
    element("button", { type: "button", onclick: () => save("verdicts.csv", [["recording_id", "segment_onset_ms", "segment_offset_ms", "label", "verdict"],
      ...recording.clips.map((clip, index) => [recording.id, clip.at, clip.until, clip.label, verdicts.get(index) ?? ""])]) }, "Save verdicts as CSV"));
}

function recordingSection(recording) {
  const timeline = new Timeline(recording);
  const sound = new LocalSound(recording, timeline);
  const facts = [recording.file, recording.channel ? `channel ${recording.channel}` : "", recording.speed ? `${format(recording.speed, 1)} × real time` : ""].filter(Boolean).join(" · ");
  const section = element("section", { "aria-label": recording.id },
    element("h2", {}, recording.id),
    element("p", { class: "faint small" }, facts),
    ...recording.notes.map((note) => element("p", { class: "notice small" }, note)),
    tiles(recording),
    qualitySection(recording),
    timeline.node,
    sound.node,
    element("div", { class: "charts" }, ...[minutesChart(recording), turnsChart(recording), lengthsChart(recording), offsetsChart(recording), scoresChart(recording)].filter(Boolean)),
    ...OWN_COLUMNS.map((column) => classesTable(recording, column)).filter(Boolean),
    hoursTable(recording),
    clipsSection(recording));
  Object.assign(section, { timeline, sound });
  return section;
}

// ------------------------------------------------------------------------------------------------------------ the rest

function failuresSection() {
  if (!about.failures.length) return null;
  return element("section", { id: "failures" }, element("h2", {}, `What failed: ${about.failures.length}`),
    scrolling("What failed", element("table", {},
      element("thead", {}, element("tr", {}, element("th", { scope: "col", class: "left" }, "File"), element("th", { scope: "col", class: "left" }, "Why"))),
      element("tbody", {}, ...about.failures.map(({ path, error }) => element("tr", {}, element("td", { class: "left" }, path), element("td", { class: "left" }, error)))))));
}

/** Names and values as a list; those of inner objects follow the name of the object. */
function definitions(content) {
  const flat = (name, value) => {
    if (value === null || value === undefined || value === "") return [];
    if (typeof value === "object" && !Array.isArray(value)) {
      return Object.entries(value).flatMap(([inner, each]) => flat(name ? `${name}: ${inner}` : inner, each));
    }
    const simple = !Array.isArray(value) || value.every((item) => typeof item !== "object");
    return [[name, simple ? (Array.isArray(value) ? value.join(", ") : String(value)) : JSON.stringify(value)]];
  };
  return element("dl", {}, ...flat("", content).flatMap(([name, value]) =>
    [element("dt", {}, name.replaceAll("_", " ")), element("dd", {}, value)]));
}

function modelSection() {
  const model = about.model || {};
  const card = model.card || {};
  return element("section", {}, element("h2", {}, "Model and settings"),
    element("p", {}, "Recognised speech is not true speech: every number here carries the errors of the model. Measure them on your own recordings with 'babyhubert evaluate' and report them beside the numbers. Other children (OCH) are usually the hardest to tell."),
    definitions({ model: model.source, "weights (SHA-256)": model.sha256, classes: model.classes, device: about.device, "run began": about.began, "run ended": about.ended, "page made": about.made, "page made from": about.made_from, babyhubert: about.babyhubert }),
    element("p", { class: "faint small" }, "Results may change after this page was made: 'babyhubert status' with the output folder says so."),
    element("details", { class: "screen" }, element("summary", {}, "Model card"), Object.keys(card).length ? definitions(card) : element("p", {}, "The model carries no card.")),
    ...Object.entries(about.also || {}).map(([command, run]) =>
      element("details", { class: "screen" }, element("summary", {}, `Also run here: ${command}`), definitions(run))),
    element("details", { class: "screen" }, element("summary", {}, "Settings and versions"), definitions({ settings: about.settings, versions: about.versions, measures: about.measures })));
}

function summary() {
  const { rows } = data;
  const hours = rows.reduce((sum, row) => sum + (row.measures.duration_h || 0), 0);
  const model = about.model || {};
  const parts = [];
  if (rows.length) parts.push(`${rows.length} recording${rows.length > 1 ? "s" : ""}, ${format(hours, 1)} hours`);
  if (about.failures.length) parts.push(`${about.failures.length} failed`);
  if (model.source) parts.push(`model ${model.source}`);
  if (about.ended) parts.push(about.ended.slice(0, 16).replace("T", " ") + " UTC");
  return element("p", { class: "faint" }, parts.join(" · "));
}

function show() {
  readPalette();
  const place = element("div", { id: "recording" });
  const byId = new Map(data.recordings.map((recording) => [recording.id, recording]));
  const built = new Map();
  const open = (id, scroll) => {
    if (!byId.has(id)) return;
    if (!built.has(id)) built.set(id, recordingSection(byId.get(id)));
    place.replaceChildren(built.get(id));
    for (const line of document.querySelectorAll("#recordings tr[data-id]")) line.classList.toggle("open", line.dataset.id === id);
    if (!scroll) return;
    try {
      history.replaceState(null, "", `#${encodeURIComponent(id)}`);
    } catch { /* some browsers forbid it for files */ }
    place.scrollIntoView({ block: "start" });
  };
  main.append(summary(), ...notices());
  if (about.index) main.append(element("p", {}, element("a", { href: about.index }, "← all recordings")));
  if (!data.rows.length && !data.recordings.length) main.append(element("p", { class: "notice" }, "No recording was processed."));
  if (data.rows.length > 1 || (data.rows.length && !data.recordings.length)) main.append(recordingsTable(data.rows, open));
  main.append(place, ...[overviewSection(data.rows)].filter(Boolean));
  const asked = data.recordings.map(({ id }) => id).find((id) => location.hash === `#${encodeURIComponent(id)}`);
  const failures = failuresSection();
  if (failures) main.append(failures);
  main.append(...[modelSection(), paperSection(), glossarySection()].filter(Boolean));
  setTheme(theme());
  if (data.recordings.length) open(asked ?? data.recordings[0].id, asked !== undefined);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(theme()));
  // Paper is light: canvases are painted again in the colours that page.css sets for print.
  matchMedia("print").addEventListener("change", coloursChanged);
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details.print:not([open])")];
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => opened.forEach((details) => { details.open = false; }));
}
