// The page of `babyhubert app`. It shows what the server says and sends what is pressed; it keeps no state of its own
// but what is being typed.
const $ = (selector, within = document) => within.querySelector(selector);
const NAMES = { KCHI: "key child", OCH: "other children", MAL: "men", FEM: "women" };
const STATES = {
  running: "running", done: "done", failed: "done, some recordings failed", stopped: "stopped", broken: "ended with an error",
  new: "not started",
};
const SPEEDS = {
  balanced: "Balanced: nearly as accurate, several times as fast", fast: "Fast: a first look",
  exact: "Exact: as published, slow",
};
let chosen = { audio: [], hours: 0 };
let formats = [];

async function ask(path, body, method) {
  const given = body === undefined ? {} : { method: method ?? "POST", body: method ? body : JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, given);
  } catch {
    throw new Error("The program was closed. Start it again (babyhubert app); analyses that run go on.");
  }
  const told = await answer.json().catch(() => ({ error: "Open the address that the command printed." }));
  if (!answer.ok) throw new Error(told.error ?? "That did not work.");
  return told;
}

function tell(text, isError = false) {
  const line = $("#message");
  line.textContent = text;
  line.hidden = !text;
  line.setAttribute("role", isError ? "alert" : "status");
  if (text) line.scrollIntoView({ block: "nearest" });
}

const tried = (act) => async (...given) => {
  try {
    await act(...given);
  } catch (error) {
    tell(error.message, true);
  }
};

const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
function lasting(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
const hours = (number) => (number < 1 ? `${(number * 60).toFixed(number < 0.1 ? 1 : 0)} min` : `${number.toFixed(1)} h`);

// ---- recordings

async function take(audio, name) {
  $("#chosen").textContent = "Looking at the recordings ...";
  $("#start").disabled = true;
  const found = await ask("/api/inspect", { audio }).catch((error) => {
    $("#chosen").textContent = error.message;
    throw error;
  });
  chosen = { audio, hours: found.hours };
  $("#chosen").textContent = `${audio.length === 1 ? audio[0] : counted(audio.length, "file")}: ` +
    `${counted(found.recordings, "recording")}, ${hours(found.hours)}`;
  if (!$("#name").value) $("#name").value = name;
  const lines = [
    ...found.unreadable.map((line) => `cannot be read: ${line}`), ...found.warnings,
    ...found.left_out.map((file) => `left out, not known as a recording by its name: ${file}`),
  ];
  $("#found").hidden = !lines.length;
  $("#found summary").textContent = `${counted(found.unreadable_count, "recording")} cannot be read, ` +
    `${counted(found.left_out_count, "file")} left out, ${counted(found.warnings.length, "warning")}`;
  $("#found ul").replaceChildren(...lines.map(item));
  $("#start").disabled = !found.recordings;
  await showTimes();
}

function item(text) {
  const line = document.createElement("li");
  line.textContent = text;
  return line;
}

async function drop(files) {
  if (!files.length) return;
  const batch = `${new Date().toISOString().slice(0, 19).replaceAll(":", "-")} ${Math.floor(performance.now())}`;
  const bar = $("#copying");
  bar.hidden = false;
  let folder = "";
  const refused = [];
  try {
    for (const [index, file] of [...files].entries()) {
      bar.value = index / files.length;
      $("#chosen").textContent = `Copying ${file.name} into the folder of analyses ...`;
      try {
        folder = (await ask(`/api/dropped/${encodeURIComponent(batch)}/${encodeURIComponent(file.name)}`, file, "PUT")).folder;
      } catch (error) {
        refused.push(error.message);
      }
    }
  } finally {
    bar.hidden = true;
  }
  if (refused.length) tell(refused.join("; "), true);
  else tell("");
  if (folder) await take([folder], files[0].name.replace(/\.[^.]*$/, ""));
  else $("#chosen").textContent = "Nothing chosen yet.";
}

async function browse(path) {
  const found = await ask(`/api/folder?path=${encodeURIComponent(path)}`);
  $("#path").value = found.path;
  $("#inside").textContent = `${counted(found.recordings.length, "recording")} directly inside; sub-folders are searched too` +
    (found.more ? `; ${found.more} more entries` : "");
  const rows = found.folders.map((name) => folderButton(name, `${found.path.replace(/[\\/]$/, "")}/${name}`));
  if (found.parent) rows.unshift(folderButton("↑ one folder up", found.parent));
  $("#folders").replaceChildren(...rows);
}

function folderButton(text, path) {
  const row = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", tried(() => browse(path)));
  row.append(button);
  return row;
}

// ---- model and speed

function model() {
  return $("#model").value === "other" ? $("#other-model").value.trim() : $("#model").value;
}

async function showTimes() {
  const of = model();
  const audio = chosen;
  if (!chosen.hours) {
    for (const output of document.querySelectorAll("#speeds .time")) output.textContent = "";
    return;
  }
  for (const output of document.querySelectorAll("#speeds .time")) output.textContent = "measuring ...";
  const speeds = await ask(`/api/speeds?model=${encodeURIComponent(of)}`);
  if (of !== model() || audio !== chosen) return;
  for (const [name, speed] of Object.entries(speeds)) {
    const known = speed ? `about ${Math.round(speed)} h of sound an hour` : "time unknown before the model is downloaded";
    const needed = speed ? `: ${lasting((chosen.hours * 3600) / speed)} for these` : "";
    $(`#speeds [data-speed="${name}"]`).textContent = known + needed;
  }
}

// ---- analyses

function colour(element, label) {
  if (label in NAMES) element.style.setProperty("--own", `var(--${label})`);
}

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", tried(async () => {
    made.disabled = true;
    try {
      await act();
    } finally {
      made.disabled = false;
    }
  }));
  return made;
}

function makeCard(name) {
  const card = $("#card").content.firstElementChild.cloneNode(true);
  const at = `/api/analyses/${encodeURIComponent(name)}`;
  card.dataset.name = name;
  $("h3", card).textContent = name;
  $("progress", card).setAttribute("aria-label", `Progress of ${name}`);
  $(".thresholds", card).addEventListener("toggle", tried(() => openSliders(card, at)));
  $(".apply", card).addEventListener("click", tried(async () => {
    const values = [...card.querySelectorAll(".sliders input")].map((each) => [each.dataset.label, Number(each.value)]);
    await ask(`${at}/thresholds`, { thresholds: Object.fromEntries(values) });
    await refresh();
    tell(`${name}: thresholds changed; the report and the measures are made anew.`);
  }));
  $(".draw", card).addEventListener("click", tried(async () => {
    tell(`${name}: cutting clips ...`);
    const made = await ask(`${at}/clips`, { number: Number($(".number", card).value), length_s: Number($(".length", card).value) });
    tell(made.said);
    await refresh();
  }));
  $(".review", card).addEventListener("click", tried(async () => {
    const opened = await ask(`${at}/review`, { annotator: $(".annotator", card).value });
    window.open(opened.address, "_blank", "noopener");
    tell("The page for listening opened in a new tab.");
  }));
  $(".estimate", card).addEventListener("click", tried(async () => {
    tell(`${name}: reading the corrected clips ...`);
    const made = await ask(`${at}/estimate`, { annotator: $(".annotator", card).value });
    tell(`${name}: the corrected totals are below its results. ${made.said}`);
    await refresh();
  }));
  $(".formats", card).replaceChildren(...formats.map(({ name: form, program }) => button(program ? `${program} (${form})` : form, async () => {
    const made = await ask(`${at}/export`, { format: form });
    tell(`${made.said} (${made.command})`);
  })));
  $(".copy", card).addEventListener("click", tried(async () => {
    await navigator.clipboard.writeText($(".command code", card).textContent);
    tell("Copied.");
  }));
  return card;
}

async function openSliders(card, at) {
  if (!$(".thresholds", card).open) return;
  const found = await ask(`${at}/preview`);
  const present = JSON.parse(card.dataset.minutes || "{}");
  $(".sliders", card).replaceChildren(...found.labels.map((label) => {
    const row = document.createElement("div");
    const words = document.createElement("label");
    const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: 1, step: 0.01 });
    const output = document.createElement("output");
    slider.id = `${card.dataset.name}-${label}`;
    words.htmlFor = slider.id;
    words.textContent = label in NAMES ? NAMES[label] : label;
    slider.dataset.label = label;
    slider.value = nearest(found.minutes[label], present[label] ?? 0);
    const show = () => {
      const minutes = found.minutes[label][Math.round(slider.value * 100)];
      output.textContent = `${Number(slider.value).toFixed(2)}: about ${minutes.toFixed(1)} min (now ${(present[label] ?? 0).toFixed(1)})`;
    };
    slider.addEventListener("input", show);
    show();
    row.append(words, slider, output);
    return row;
  }));
}

function nearest(minutes, wanted) {
  let best = 0;
  minutes.forEach((each, index) => { if (Math.abs(each - wanted) < Math.abs(minutes[best] - wanted)) best = index; });
  return best / 100;
}

function show(card, record) {
  const running = record.state === "running";
  const progress = record.progress;
  const at = `/api/analyses/${encodeURIComponent(record.name)}`;
  const state = $(".state", card);
  state.textContent = STATES[record.state];
  state.dataset.state = record.state;
  $(".what", card).textContent = `${record.audio.join(", ")} · ${record.options.model || "model of the package"} · ` +
    `${record.options.speed} · ${record.created.slice(0, 16).replace("T", " ")}`;
  const bar = $("progress", card);
  bar.hidden = !running && record.state !== "stopped";
  if (running && !progress) bar.removeAttribute("value");
  else bar.value = progress?.share ?? 0;
  $(".how", card).textContent = howFar(record);
  card.dataset.minutes = JSON.stringify(record.minutes);
  $(".minutes", card).replaceChildren(...Object.entries(record.minutes).map(([label, minutes]) => {
    const pair = document.createElement("div");
    const term = document.createElement("dt");
    const value = document.createElement("dd");
    term.textContent = label in NAMES ? NAMES[label] : label;
    value.textContent = `${minutes.toFixed(1)} min`;
    colour(term, label);
    pair.append(term, value);
    return pair;
  }));
  const problems = [...(progress?.failures ?? []).map((line) => `failed: ${line}`), ...(progress?.warnings ?? [])];
  $(".problems", card).hidden = !problems.length;
  $(".problems summary", card).textContent = `${counted(progress?.failed ?? 0, "recording")} failed, ` +
    `${counted(progress?.warnings.length ?? 0, "warning")}`;
  keep($(".problems ul", card), JSON.stringify(problems), () => problems.map(item));
  const finished = Object.keys(record.files).length > 0;
  keep($(".files", card), JSON.stringify(record.files), () => Object.entries(record.files).map(([file, text]) => {
    const link = document.createElement("a");
    link.className = "button";
    link.href = `/results/${encodeURIComponent(record.name)}/${file}`;
    link.textContent = text;
    if (file.endsWith(".html")) link.target = "_blank";
    link.rel = "noopener";
    return link;
  }));
  keep($(".acts", card), record.state, () => acts(record, at, running));
  for (const panel of card.querySelectorAll(".thresholds, .check, .elsewhere")) panel.hidden = running || !finished;
  for (const each of card.querySelectorAll(".review, .estimate")) each.disabled = !record.clips;
  $(".command code", card).textContent = record.command;
  $(".output", card).textContent = record.output;
  $(".said", card).textContent = record.said.join("\n");
  if (record.state === "broken") $(".command", card).open = true;
}

function acts(record, at, running) {
  if (running) return [button("Stop", async () => { await ask(`${at}/stop`, {}); await refresh(); })];
  const again = { stopped: "Continue", failed: "Try the failed ones again", broken: "Try again", new: "Start" }[record.state];
  const made = [];
  if (again) made.push(button(again, async () => { await ask(`${at}/continue`, {}); await refresh(); }));
  made.push(button("Take off this list", async () => {
    if (!window.confirm(`Take "${record.name}" off the list? Its results stay in ${record.output}.`)) return;
    await ask(`${at}/forget`, {});
    await refresh();
  }));
  return made;
}

// Rows are only replaced when they change, so that the focus stays where it is.
function keep(element, version, rows) {
  if (element.dataset.version === version) return;
  element.dataset.version = version;
  element.replaceChildren(...rows());
}

function howFar({ state, progress }) {
  if (!progress) return state === "running" ? "Loading the model, looking at the recordings ..." : "";
  const done = `${counted(progress.done, "recording")} done, ${progress.failed} failed, ${progress.left} left`;
  const all = `${hours(progress.hours_done)} of ${hours(progress.hours_done + progress.hours_left)}`;
  const speed = progress.times_real_time ? `, ${progress.times_real_time} × real time` : "";
  const left = progress.seconds_left ? `, ${lasting(progress.seconds_left)} left` : "";
  return `${done}: ${all}${speed}${left}`;
}

let timer = 0;
let announced = {};
async function refresh() {
  clearTimeout(timer);
  let running = false;
  try {
    const state = await ask("/api/state");
    formats = state.formats;
    $("#about").textContent = `BabyHuBERT ${state.version} · analyses in ${state.workspace}`;
    if (!$("#model").options.length) {
      $("#model").append(...state.models.map(({ name, text }) => new Option(text, name)), new Option("Another model ...", "other"));
    }
    const list = $("#list");
    const names = new Set(state.analyses.map((record) => record.name));
    for (const card of [...list.children]) if (!names.has(card.dataset.name)) card.remove();
    state.analyses.forEach((record, index) => {
      let card = [...list.children].find((each) => each.dataset.name === record.name);
      card ??= makeCard(record.name);
      if (list.children[index] !== card) list.insertBefore(card, list.children[index] ?? null);
      show(card, record);
      running ||= record.state === "running";
      if (announced[record.name] === "running" && record.state !== "running") tell(`${record.name}: ${STATES[record.state]}.`);
      announced[record.name] = record.state;
    });
    $("#none").hidden = state.analyses.length > 0;
  } catch (error) {
    tell(error.message, true);
  }
  timer = setTimeout(refresh, running ? 1500 : 6000);
}

// ---- colours

const themes = ["system", "light", "dark"];
function paint(theme) {
  const dark = theme === "dark" || (theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  $("#theme").textContent = `Colours: ${theme}`;
}
let theme = localStorage.getItem("babyhubert-colours") ?? "system";
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paint(theme));
$("#theme").addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length];
  localStorage.setItem("babyhubert-colours", theme);
  paint(theme);
});
paint(theme);

// ---- listeners

for (const [name, text] of Object.entries(SPEEDS)) {
  const label = document.createElement("label");
  const radio = Object.assign(document.createElement("input"), { type: "radio", name: "speed", value: name, checked: name === "balanced" });
  const words = document.createElement("span");
  const time = document.createElement("span");
  words.textContent = text;
  time.className = "time small";
  time.dataset.speed = name;
  words.append(document.createElement("br"), time);
  label.append(radio, words);
  $("#speeds").append(label);
}
$("#choose").addEventListener("click", tried(async () => {
  await browse($("#path").value);
  $("#browser").showModal();
}));
$("#browse").addEventListener("submit", tried(async (event) => {
  event.preventDefault();
  await browse($("#path").value);
}));
$("#take").addEventListener("click", tried(async () => {
  const path = $("#path").value;
  $("#browser").close();
  tell("");
  await take([path], path.split(/[\\/]/).filter(Boolean).pop() ?? "recordings");
}));
$("#leave").addEventListener("click", () => $("#browser").close());
$("#files").addEventListener("change", tried(async (event) => {
  await drop(event.target.files);
  event.target.value = "";
}));
const zone = $("#drop");
for (const kind of ["dragenter", "dragover"]) {
  zone.addEventListener(kind, (event) => { event.preventDefault(); zone.classList.add("over"); });
}
zone.addEventListener("dragleave", () => zone.classList.remove("over"));
zone.addEventListener("drop", tried(async (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  await drop(event.dataTransfer.files);
}));
$("#model").addEventListener("change", tried(async () => {
  const other = $("#model").value === "other";
  for (const each of document.querySelectorAll(".other")) each.hidden = !other;
  if (!other || model()) await showTimes();
}));
$("#other-model").addEventListener("change", tried(showTimes));
$("#new").addEventListener("submit", tried(async (event) => {
  event.preventDefault();
  const options = { model: model(), thresholds: $("#thresholds").value, speed: $("#new input[name=speed]:checked").value };
  const record = await ask("/api/analyses", { name: $("#name").value, audio: chosen.audio, options });
  tell(`${record.name}: started.`);
  chosen = { audio: [], hours: 0 };
  $("#chosen").textContent = "Nothing chosen yet.";
  $("#found").hidden = true;
  $("#name").value = "";
  $("#start").disabled = true;
  await refresh();
  $("#analyses").focus();
  await showTimes();
}));
refresh();
