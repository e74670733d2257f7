/* The review page: opens a clip, draws it, turns keys and clicks into changes, and stores each at once. */

import { explain, get, path } from "./api.js";
import { ClipDocument } from "./document.js";
import { listenToKeys, listKeys } from "./keys.js";
import { ColumnButtons, describe, seconds, SegmentList, TextFields } from "./list.js";
import { Saver } from "./saving.js";
import { alertLine, clearAlerts, say } from "./tell.js";
import { theme } from "./theme.js";
import { colourOf, Wave } from "./wave.js";

const $ = (id) => document.getElementById(id);
const LOOK_AGAIN_MS = 4000;
const COLUMN_KEYS = ["A", "B", "C"];
const STATES = { untouched: "", started: "begun", done: "done ✓", damaged: "cannot be read" };

let clips = [];
let states = new Map();
let columns = [];
let place = 0;
let clip = null; // ClipDocument
let saver = null;
let voice = "KCHI"; // of what is drawn next
let begun = null; // where a new segment begins, while N was pressed once
let readOnly = "";

const wave = new Wave($("wave"), $("lanes"), document.querySelector("meta[name=nonce]").content, {
  time: showTime,
  playing: (on) => ($("play").firstChild.textContent = on ? "Pause " : "Play "),
  error: () => alertLine("The sound of this clip cannot be played."),
  voice: () => voice,
  drawn: (start, end, label) => edit(() => clip.add(start, end, label), (one) => `New: ${spoken(one)}`),
  resized: (id, start, end) => edit(() => { clip.selected = id; return clip.update(id, { start, end }); }, () => spoken(clip.current)),
  picked: (id) => choose(id),
  wanted: (id) => { choose(id); playSegment(); },
});
const list = new SegmentList($("segments"), $("empty"), colourOf, (id) => choose(id, true));
const texts = new TextFields($("texts"), (column, text) => {
  if (column) value(column, text);
  else if (clip.current) edit(() => clip.update(clip.selected, { text }), () => spoken(clip.current));
});
let buttons = null;

// ---- what is said and shown

function spoken(one) {
  return [`${one.label}, ${seconds(one.start)} to ${seconds(one.end)} seconds`, describe(one)].filter(Boolean).join(", ");
}

function showTime(ms) {
  $("clock").textContent = `${seconds(ms)} s of ${seconds(clip?.record.length ?? 0)} s`;
}

function draw() {
  wave.draw();
  list.draw(clip);
  const one = clip.current;
  $("detail").hidden = one === null;
  $("none").hidden = one !== null;
  if (one) drawDetail(one);
  for (const button of $("voices").children) button.setAttribute("aria-pressed", String(button.value === (one?.label ?? voice)));
  for (const id of ["split", "delete"]) $(id).disabled = !one || Boolean(readOnly);
  $("new").disabled = Boolean(readOnly);
  $("play-segment").disabled = !one;
  $("undo").disabled = !clip.can.undo;
  $("redo").disabled = !clip.can.redo;
  $("reopen").hidden = !clip.now.done;
  if (document.activeElement !== $("clip-note")) $("clip-note").value = clip.now.note;
  $("clip-note").readOnly = Boolean(readOnly);
}

function drawDetail(one) {
  for (const side of ["start", "end"]) if (document.activeElement !== $(side)) $(side).value = seconds(one[side]);
  if (document.activeElement !== $("segment-note")) $("segment-note").value = one.values.note ?? "";
  $("unsure").setAttribute("aria-pressed", String(Boolean(one.values.unsure)));
  buttons.draw(one);
  texts.draw(one);
}

function drawStates() {
  const names = { recordings: new Set(), done: 0 };
  for (const [number, option] of [...$("clips").options].entries()) {
    const state = states.get(clips[number]);
    names.done += state === "done";
    option.textContent = `${number + 1}. ${clips[number].replace(/\.[^.]+$/, "")}${STATES[state] ? `  (${STATES[state]})` : ""}`;
  }
  $("progress").textContent = `${names.done} of ${clips.length} clips done.`;
}

function told(kind, text) {
  const words = { storing: "Storing …", stored: "Stored.", failed: "Not stored yet!", changed: "Not stored!", refused: "Not stored!" };
  $("stored").textContent = words[kind];
  if (kind === "stored") {
    clearAlerts();
    states.set(clips[place], clip.now.done ? "done" : "started");
    drawStates();
  } else if (kind === "changed") alertLine(text, "Load what is there now", () => open(place));
  else if (text) alertLine(text);
}

// ---- changes

function edit(change, says) {
  if (!clip || readOnly) return false;
  const result = change();
  draw();
  if (!result) return false;
  saver.store((version) => clip.content(version));
  const text = says?.(result);
  if (text) say(text);
  return true;
}

function choose(id, seek = false) {
  clip.selected = id;
  const one = clip.current;
  if (one && seek) wave.time = one.start;
  draw();
  if (one) say(spoken(one));
}

function step(by) {
  const one = clip.step(by, wave.time);
  if (one) choose(one.id, true);
}

function setVoice(label) {
  voice = label;
  if (clip.current) edit(() => clip.update(clip.selected, { label }), () => spoken(clip.current));
  draw();
}

function mark() {
  if (begun === null) {
    begun = wave.time;
    $("new").setAttribute("aria-pressed", "true");
    say(`New ${voice} begins at ${seconds(begun)}. Press N where it ends, Escape to leave it.`);
    return;
  }
  const [start, end] = [begun, wave.time];
  leaveMark();
  edit(() => clip.add(start, end, voice), (one) => `New: ${spoken(one)}`);
}

function leaveMark() {
  begun = null;
  $("new").removeAttribute("aria-pressed");
}

function remove() {
  const one = clip.current;
  edit(() => one && clip.remove(one.id), () => `Deleted: ${spoken(one)}`);
}

function split() {
  const [one, time] = [clip.current, wave.time];
  if (one && !edit(() => clip.split(one.id, time), () => `Split at ${seconds(time)} seconds.`)) {
    say("The cursor is not within the selected segment.");
  }
}

function value(column, text) {
  if (clip.current) edit(() => clip.setValue(clip.selected, column, text), () => spoken(clip.current));
}

function cycle(number) {
  const [column, one] = [columns[number], clip.current];
  if (!column || !one) return;
  if (!column.voices.includes(one.label)) {
    say(`${column.name} is for ${column.voices.join(" and ")}.`);
    return;
  }
  const values = ["", ...column.classes];
  value(column.name, values[(values.indexOf(one.values[column.name] ?? "") + 1) % values.length]);
}

function setSide(side, ms) {
  if (clip.current && Number.isFinite(ms)) edit(() => clip.update(clip.selected, { [side]: ms }), () => spoken(clip.current));
}

function travel(way, word) {
  edit(() => clip[way](), () => (clip.current ? `${word}: ${spoken(clip.current)}` : word));
}

// ---- playing

function playSegment(around = 0) {
  const one = clip.current;
  if (one) wave.play(Math.max(0, one.start - around), one.end + around);
}

function playStretch(around = false) {
  const [first, last] = clip.record.stretch;
  if (wave.isPlaying) wave.pause();
  else if (around) wave.play(0, clip.record.length);
  else wave.play(first, last);
}

function toggle() {
  if (wave.isPlaying) wave.pause();
  else wave.play();
}

// ---- clips

async function leave() {
  document.activeElement?.blur?.(); // a note that is being written counts
  if (!saver || (await saver.settled())) return true;
  return confirm("The last change of this clip is not stored. Leave it nevertheless?");
}

async function open(number, known = null) {
  place = number;
  wave.pause();
  leaveMark();
  clearAlerts();
  $("clips").selectedIndex = number;
  try {
    const name = clips[number];
    const record = known ?? (await get(`/api/clip/${path(name)}`));
    if (place !== number) return;
    clip = new ClipDocument(record);
    saver = new Saver(name, record.version, told);
    showRecord(record);
    await wave.open(clip, path(name), record.voices);
    if (place !== number) return;
    wave.speed = Number($("speed").value);
    draw();
    document.body.dataset.opened = name;
  } catch (error) {
    alertLine(explain(error));
  }
}

function showRecord(record) {
  readOnly = record.readOnly && `This clip can only be corrected in the program that wrote it: ${record.readOnly}.`;
  if (readOnly || record.notice) alertLine(readOnly || record.notice);
  const hours = new Date(record.onset).toISOString().slice(11, 19);
  $("where").textContent = `${record.recording}, from ${hours} of the recording`;
  $("context-note").hidden = record.stretch[0] === 0 && record.stretch[1] >= record.length;
  $("stored").textContent = "";
  if (!record.voices.includes(voice)) voice = record.voices[0];
  $("voices").replaceChildren(...record.voices.map(voiceButton));
  list.clear();
  texts.open(record.segments, ["unsure", "note", ...columns.map((column) => column.name)]);
  draw();
  say(`Clip ${place + 1} of ${clips.length}, ${record.segments.length} segments${record.done ? ", done" : ""}.`);
}

function voiceButton(label, number) {
  const button = Object.assign(document.createElement("button"), { type: "button", value: label });
  const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
  swatch.style.background = colourOf(label);
  button.append(swatch, `${label} `, Object.assign(document.createElement("kbd"), { textContent: String(number + 1) }));
  button.addEventListener("click", () => setVoice(label));
  return button;
}

async function go(number) {
  if (number < 0 || number >= clips.length || !(await leave())) return;
  await open(number);
}

async function done() {
  if (!clip || readOnly) return;
  edit(() => clip.setDone(true), () => "Done.");
  if (place + 1 < clips.length) await go(place + 1);
  else say("Done. This was the last clip.");
}

/** A clip that another program changed is loaded again, unless something of ours is not stored. */
async function lookAgain() {
  if (!clip || !saver || saver.isPending || saver.isStopped || document.hidden) return;
  const [watched, name] = [saver, clips[place]];
  try {
    const { version } = await get(`/api/version/${path(name)}`);
    if (watched !== saver || saver.isPending || version === saver.version) return;
    await open(place);
    alertLine("Another program changed this clip; what is there now was loaded.");
  } catch {
    // the next change says so
  }
}

// ---- wiring

const KEYS = [
  ["Space", "play from the cursor, or pause", toggle],
  ["Enter", "play the selected segment", () => playSegment()],
  ["Shift+Enter", "the same with a second before and after", () => playSegment(1000)],
  ["P", "play the stretch to annotate", () => playStretch()],
  ["Shift+P", "play all, with the context", () => playStretch(true)],
  ["ArrowLeft ArrowRight", "move the cursor by 0.1 s (with Shift by 1 s)", null],
  ["ArrowUp ArrowDown K J", "previous or next segment", null],
  ["Home End", "cursor to the beginning or end of the stretch", null],
  ["1 2 3 4", "voice: KCHI, OCH, MAL, FEM, in the order of the lanes", null],
  ["N", "new segment: once where it begins, again where it ends", mark],
  ["[ ]", "the selected segment begins or ends at the cursor", null],
  ["S", "split the selected segment at the cursor", split],
  ["Delete Backspace", "delete the selected segment", remove],
  ["U", "unsure of the selected segment", () => value("unsure", clip.current?.values.unsure ? "" : "unsure")],
  ["A B C", "next class of the first, second, third column (addressee ...)", null],
  ["M", "write a note on the selected segment, or on the clip", () => (clip.current ? $("segment-note") : $("clip-note")).focus()],
  ["Ctrl+Z Z", "undo", () => travel("undo", "Undone")],
  ["Ctrl+Y Ctrl+Shift+Z Y", "redo", () => travel("redo", "Redone")],
  ["+ -", "zoom", null],
  ["D", "done, and to the next clip", done],
  ["PageUp PageDown", "previous or next clip", null],
  ["Escape", "select nothing; leave a field", () => { leaveMark(); choose(null); }],
  ["?", "these keys", () => $("keys").showModal()],
];

const SINGLE = {
  ArrowLeft: () => (wave.time -= 100),
  ArrowRight: () => (wave.time += 100),
  "Shift+ArrowLeft": () => (wave.time -= 1000),
  "Shift+ArrowRight": () => (wave.time += 1000),
  ArrowUp: () => step(-1),
  K: () => step(-1),
  ArrowDown: () => step(1),
  J: () => step(1),
  Home: () => (wave.time = clip.record.stretch[0]),
  End: () => (wave.time = clip.record.stretch[1]),
  "[": () => setSide("start", wave.time),
  "]": () => setSide("end", wave.time),
  "+": () => wave.zoom(1.5),
  "=": () => wave.zoom(1.5),
  "-": () => wave.zoom(1 / 1.5),
  PageUp: () => go(place - 1),
  PageDown: () => go(place + 1),
};

function wire() {
  listKeys($("key-list"), KEYS);
  const digits = Array.from({ length: 9 }, (_, number) => [String(number + 1), "", () => digit(number)]);
  const columnKeys = COLUMN_KEYS.map((key, number) => [key, "", () => cycle(number)]);
  const single = Object.entries(SINGLE).map(([key, act]) => [key, "", act]);
  const actions = [...KEYS.filter(([, , act]) => act), ...digits, ...columnKeys, ...single];
  listenToKeys(actions.map(([keys, says, act]) => [keys, says, () => clip && act()]), () => $("single-keys").checked);
  const clicks = {
    play: toggle, "play-segment": () => playSegment(), "play-stretch": () => playStretch(), in: () => wave.zoom(1.5),
    out: () => wave.zoom(1 / 1.5), new: mark, split, delete: remove, undo: () => travel("undo", "Undone"),
    redo: () => travel("redo", "Redone"), done, previous: () => go(place - 1), next: () => go(place + 1),
    "start-here": () => setSide("start", wave.time), "end-here": () => setSide("end", wave.time),
    unsure: () => value("unsure", clip.current?.values.unsure ? "" : "unsure"),
    reopen: () => edit(() => clip.setDone(false), () => "Not done."), help: () => $("keys").showModal(),
  };
  for (const [id, act] of Object.entries(clicks)) $(id).addEventListener("click", () => (id === "help" || clip) && act());
  for (const side of ["start", "end"]) {
    $(side).addEventListener("change", () => $(side).value && setSide(side, 1000 * Number($(side).value)));
    $(side).addEventListener("blur", () => clip && draw());
  }
  $("segment-note").addEventListener("change", () => value("note", $("segment-note").value.trim()));
  $("clip-note").addEventListener("change", () => edit(() => clip.setNote($("clip-note").value.trim()), () => "Note."));
  $("clips").addEventListener("change", () => go($("clips").selectedIndex));
  $("speed").addEventListener("change", () => (wave.speed = Number($("speed").value)));
  // after a click, keys belong to the sound again, not to the button
  document.addEventListener("click", (event) => event.detail && event.target.closest("main button") && wave.focus());
  window.addEventListener("beforeunload", (event) => saver?.isPending && event.preventDefault());
  window.addEventListener("focus", lookAgain);
  setInterval(lookAgain, LOOK_AGAIN_MS);
  theme($("theme"), () => clip && redrawAll());
}

function digit(number) {
  const label = clip.record.voices[number];
  if (label) setVoice(label);
}

async function redrawAll() {
  const time = wave.time;
  $("voices").replaceChildren(...clip.record.voices.map(voiceButton));
  await wave.open(clip, path(clips[place]), clip.record.voices);
  wave.time = time;
  draw();
}

async function begin() {
  wire();
  try {
    const about = await get("/api/clips");
    clips = about.clips;
    columns = about.columns;
    buttons = new ColumnButtons($("columns"), columns, COLUMN_KEYS, (column, text) => value(column.name, text));
    $("title").textContent = `Review of ${about.folder}${about.annotator ? ` by ${about.annotator}` : ""}`;
    document.title = $("title").textContent;
    $("clips").replaceChildren(...clips.map((name) => new Option(name)));
    drawStates();
    await open(Math.max(0, clips.indexOf(about.first)), about.opened);
    states = new Map(Object.entries(await get("/api/states")).concat([...states]));
    drawStates();
  } catch (error) {
    alertLine(explain(error));
  }
}

begin();
