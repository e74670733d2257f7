/* The quick page: one segment after the other; each answer is stored at once and leads to the next. */

import { explain, get, send } from "./api.js";
import { listenToKeys, listKeys } from "./keys.js";
import { clipSound } from "./sound.js";
import { alertLine, clearAlerts, say } from "./tell.js";
import { theme } from "./theme.js";

const $ = (id) => document.getElementById(id);
const PEOPLE = { KCHI: "the key child", OCH: "another child", MAL: "a man", FEM: "a woman" };
const TELL = { right: "Right", wrong: "Wrong", none: "No voice", unsure: "Unsure" };

let about = null;
let place = 0;
let sound = null;
const player = new Audio();
let stopAt = Infinity;

const person = (label) => `${PEOPLE[label] ?? label} (${label})`;

function clock(ms) {
  const seconds = ms / 1000;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return `${hours}:${String(minutes).padStart(2, "0")}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
}

async function show(number, ask = true) {
  place = Math.max(0, Math.min(number, about.segments.length - 1));
  const [one, shown] = [about.segments[place], place];
  player.pause();
  $("question").textContent = `Is this ${person(one.label)}?`;
  $("where").textContent = `${one.recording}, ${clock(one.start)} to ${clock(one.end)}`;
  drawAnswers(one);
  drawProgress();
  $("back").disabled = place === 0;
  $("skip").disabled = place + 1 === about.segments.length;
  if (ask) $("question").focus({ preventScroll: true });
  sound = null;
  drawPicture();
  try {
    const found = await clipSound(`/sound/${place}`);
    if (shown !== place) return;
    sound = found;
    player.src = URL.createObjectURL(new Blob([found.bytes], { type: "audio/wav" }));
    drawPicture();
    document.body.dataset.shown = String(place);
    if ($("at-once").checked && navigator.userActivation?.hasBeenActive !== false) play();
  } catch (error) {
    alertLine(explain(error));
  }
}

function drawAnswers(one) {
  const others = about.voices.filter((voice) => voice !== one.label);
  const choices = [
    ["right", `Right: ${PEOPLE[one.label]}`, "Y"],
    ["wrong", "Wrong, I cannot say whose", "N"],
    ...others.map((voice) => [voice, `Wrong: ${PEOPLE[voice]}`, String(1 + about.voices.indexOf(voice))]),
    ["none", "Wrong: no voice", "0"],
    ["unsure", "Unsure", "U"],
  ];
  $("answers").replaceChildren(
    ...choices.map(([answer, text, key]) => {
      const button = Object.assign(document.createElement("button"), { type: "button", value: answer });
      button.append(`${text} `, Object.assign(document.createElement("kbd"), { textContent: key }));
      button.setAttribute("aria-pressed", String(one.answer === answer));
      button.addEventListener("click", () => give(answer));
      return button;
    }),
  );
}

function drawProgress() {
  const done = about.segments.filter((one) => one.answer).length;
  $("progress").textContent = `Segment ${place + 1} of ${about.segments.length}; ${done} answered${about.annotator ? ` by ${about.annotator}` : ""}.`;
  Object.assign($("bar"), { max: about.segments.length, value: done });
}

async function give(answer) {
  const [one, number] = [about.segments[place], place];
  if (answer === one.label) answer = "right";
  $("stored").textContent = "Storing …";
  try {
    await send("PUT", `/api/answer/${number}`, { answer });
  } catch (error) {
    $("stored").textContent = "Not stored!";
    alertLine(explain(error));
    return;
  }
  one.answer = answer;
  clearAlerts();
  $("stored").textContent = "Stored.";
  const said = TELL[answer] ?? person(answer);
  const open = about.segments.findIndex((other, at) => at > number && !other.answer);
  const next = open >= 0 ? open : about.segments.findIndex((other) => !other.answer);
  if (next < 0) {
    drawProgress();
    drawAnswers(one);
    say(`${said}. That was the last one: all are answered.`);
    alertLine("All segments are answered. You can close this page.");
  } else await show(next);
}

function play(alone = false) {
  if (!sound) return;
  const one = about.segments[place];
  player.currentTime = alone ? sound.before / 1000 : 0;
  stopAt = alone ? (sound.before + one.end - one.start) / 1000 : Infinity;
  player.play().catch(() => {});
  requestAnimationFrame(follow);
}

function follow() {
  if (player.currentTime >= stopAt) player.pause();
  drawPicture();
  if (!player.paused) requestAnimationFrame(follow);
}

function drawPicture() {
  const canvas = $("picture");
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  if (!sound) return;
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const one = about.segments[place];
  const total = (1000 * sound.samples.length) / sound.rate;
  const [first, last] = [sound.before, sound.before + one.end - one.start].map((ms) => (ms / total) * width);
  const loudest = sound.loudest || 1;
  for (let x = 0; x < width; x++) {
    const [from, to] = [x, x + 1].map((edge) => Math.floor((edge / width) * sound.samples.length));
    let peak = 0;
    for (let at = from; at < Math.max(to, from + 1); at++) peak = Math.max(peak, Math.abs(sound.samples[at] ?? 0));
    const tall = Math.max(scale, (peak / loudest) * height * 0.92);
    context.fillStyle = x >= first && x < last ? colour(`--${one.label}`) || colour("--accent") : colour("--level");
    context.fillRect(x, (height - tall) / 2, 1, tall);
  }
  context.fillStyle = colour("--ink");
  context.fillRect((player.currentTime * 1000 * width) / total, 0, 2 * scale, height);
}

const KEYS = [
  ["Space", "play, or pause", () => (player.paused ? play() : player.pause())],
  ["Enter", "play without the context", () => play(true)],
  ["Y", "right", () => give("right")],
  ["N", "wrong, without saying whose voice it is", () => give("wrong")],
  ["1 2 3 4", "it is KCHI, OCH, MAL, FEM", null],
  ["0", "no voice at all", () => give("none")],
  ["U", "unsure", () => give("unsure")],
  ["B ArrowLeft", "back to the one before", () => show(place - 1)],
  ["ArrowRight", "to the next without an answer", () => show(place + 1)],
  ["?", "these keys", () => $("keys").showModal()],
];

async function begin() {
  listKeys($("key-list"), KEYS);
  const digits = [1, 2, 3, 4].map((digit) => [String(digit), "", () => give(about.voices[digit - 1])]);
  const actions = [...KEYS.filter(([, , act]) => act), ...digits].map(([keys, says, act]) => [keys, says, () => about && act()]);
  listenToKeys(actions, () => $("single-keys").checked);
  $("play").addEventListener("click", () => (player.paused ? play() : player.pause()));
  $("alone").addEventListener("click", () => play(true));
  $("back").addEventListener("click", () => show(place - 1));
  $("skip").addEventListener("click", () => show(place + 1));
  $("help").addEventListener("click", () => $("keys").showModal());
  player.addEventListener("play", () => ($("play").firstChild.textContent = "Pause "));
  player.addEventListener("pause", () => ($("play").firstChild.textContent = "Play "));
  window.addEventListener("resize", () => about && drawPicture());
  theme($("theme"), () => about && drawPicture());
  try {
    about = await get("/api/segments");
    const open = about.segments.findIndex((one) => !one.answer);
    await show(Math.max(0, open), false);
  } catch (error) {
    alertLine(explain(error));
  }
}

begin();
