// All recordings together: by child and age, the words of the page, and what a paper should say.

const OVERVIEW = [
  ["kchi_vocalisations_per_hour", "Key child vocalisations / h", 0],
  ["kchi_speech_min_per_hour", "Key child min / h", 1],
  ["och_speech_min_per_hour", "Other children min / h", 1],
  ["fem_speech_min_per_hour", "Women min / h", 1],
  ["mal_speech_min_per_hour", "Men min / h", 1],
  ["turns_lena_per_hour", "Turns / h", 0],
  ["kcds_min_per_hour", "To key child min / h", 1],
  ["ads_min_per_hour", "To adults min / h", 1],
  ["linguistic_per_hour", "Utterances with phones / h", 0],
];

/** Mean of a rate over recordings, each weighted by its hours; null where none has it. */
function weightedMean(rows, name) {
  const known = rows.filter((row) => row.measures[name] !== null && row.measures[name] !== undefined && row.measures.duration_h);
  const hours = known.reduce((sum, row) => sum + row.measures.duration_h, 0);
  return hours ? known.reduce((sum, row) => sum + row.measures[name] * row.measures.duration_h, 0) / hours : null;
}

const hoursOf = (rows) => rows.reduce((sum, row) => sum + (row.measures.duration_h || 0), 0);
const plural = (number, noun, more = `${noun}s`) => `${number.toLocaleString("en")} ${number === 1 ? noun : more}`;

function ages(rows) {
  const known = rows.map((row) => row.age).filter((age) => age !== null && age !== undefined);
  if (!known.length) return "–";
  const [low, high] = [Math.min(...known), Math.max(...known)].map((age) => format(age, 1));
  return low === high ? low : `${low} to ${high}`;
}

function overviewSection(rows) {
  if (rows.length < 2) return null;
  const measures = OVERVIEW.filter(([name]) => weightedMean(rows, name) !== null);
  const children = new Map();
  for (const row of rows) if (row.child) children.set(row.child, [...(children.get(row.child) ?? []), row]);
  const someAge = rows.some((row) => row.age !== null && row.age !== undefined);
  const line = (name, own, kind) => element("tr", { class: kind }, element("th", { scope: "row" }, name),
    ...(someAge ? [element("td", {}, ages(own))] : []), element("td", {}, String(own.length)), element("td", {}, format(hoursOf(own), 1)),
    ...measures.map(([measure, , digits]) => element("td", {}, format(weightedMean(own, measure), digits))));
  const order = [...children.keys()].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  const heads = [children.size ? "Child" : "Group", ...(someAge ? ["Age, months"] : []), "Recordings", "Hours", ...measures.map(([, title]) => title)];
  const without = rows.filter((row) => !row.child);
  return element("section", { id: "overview" }, element("h2", {}, "All recordings together"),
    scrolling("Means by child", element("table", {},
      element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...order.map((child) => line(child, children.get(child))),
        ...(children.size && without.length ? [line("child unknown", without)] : []), line("all", rows, "total")))),
    element("p", { class: "faint small" }, "Rates are means over recordings, weighted by their hours."
      + (children.size ? "" : " Children and ages are shown if the recordings are in a ChildProject data set, or with 'babyhubert report --recordings'.")),
    more(children.size, 8, "children"), ageChart(rows, measures));
}

/** On paper, where long tables are cut: how much of one is not there. */
function more(rows, shown, noun) {
  return rows > shown ? element("p", { class: "print-only small" }, `${rows - shown} more ${noun}: on the screen, and in measures.csv.`) : null;
}

/** A measure of each recording over the child's age; nothing for fewer than two ages. */
function ageChart(rows, measures) {
  const known = rows.filter((row) => row.age !== null && row.age !== undefined);
  if (new Set(known.map((row) => row.age)).size < 2) return null;
  const holder = element("div");
  const choice = element("select", { "aria-label": "Measure" }, ...measures.map(([name, title]) => element("option", { value: name }, title)));
  const draw = () => {
    const [name, title, digits] = measures.find(([measure]) => measure === choice.value);
    const points = known.filter((row) => row.measures[name] !== null);
    const oldest = niceTop(Math.max(...points.map((row) => row.age), 1));
    const chart = plot(`${title} over age`, niceTop(Math.max(1e-9, ...points.map((row) => row.measures[name]))), { xTitle: "age in months" });
    for (const row of points) {
      chart.picture.append(drawing("circle", { cx: chart.x(row.age / oldest), cy: chart.y(row.measures[name]), r: 4, fill: colour("accent"), "fill-opacity": 0.75 },
        drawing("title", {}, `${row.id}${row.child ? `, ${row.child}` : ""}, ${format(row.age, 1)} months: ${format(row.measures[name], digits)}`)));
    }
    for (let tick = 0; tick <= 4; tick++) chart.picture.append(text(chart.x(tick / 4), chart.bottom + 14, format((oldest * tick) / 4, oldest % 4 ? 1 : 0)));
    holder.replaceChildren(chart.picture);
  };
  choice.onchange = draw;
  draw();
  return element("figure", { class: "ages" }, element("h3", {}, "Over age"), choice, holder, element("figcaption", {}, "A point is a recording."));
}

// --------------------------------------------------------------------------------------------------- words and notices

const GLOSSARY = [
  ["Key child (KCHI)", "The child who wears the recorder. Other children (OCH) are all others; FEM and MAL are women and men."],
  ["Segment", "A stretch in which the model finds one voice. Segments of different voices may overlap."],
  ["Vocalisation", "Segments of one voice that are less than a short gap apart (0.3 s by default), taken as one. Cries are among them: the model does not tell them from speech."],
  ["Turn", "A change of speaker between the key child and somebody else. The rules differ in the longest pause and in who counts: name the rule with the number."],
  ["Chance", "Turns that remain if the key child's segments of an hour are moved along a circle: what two people who ignore each other would show."],
  ["Score", "How clearly the model found a segment, 0 to 1. It orders segments; it is no probability of being right."],
  ["Threshold", "Score from which on a frame of 20 ms counts as a voice. Higher thresholds find fewer and surer segments."],
  ["Addressee", "To whom an adult speaks: the key child (KCDS), adults (ADS), or somebody else."],
  ["Canonical", "A syllable of a vowel and a true consonant, such as 'ba'. The share of such syllables or utterances grows in the first years."],
  ["dBFS", "Level of the sound, in decibels below the loudest that the file can hold. Clipping: samples at that limit, which are cut off."],
];

function glossarySection() {
  return element("details", { class: "screen" }, element("summary", {}, "Words on this page"),
    element("dl", {}, ...GLOSSARY.flatMap(([word, meaning]) => [element("dt", {}, word), element("dd", {}, meaning)])));
}

/** Notices above all: a demonstration model, and notes on the results. */
function notices() {
  const demonstration = about.demonstration || [];
  const list = (about.notes || []).map((note) => element("p", { class: "notice small" }, note));
  if (demonstration.length) {
    list.unshift(element("p", { class: "banner", role: "note" }, element("strong", {}, "Demonstration model. "),
      `${demonstration.join(" and ")} ${demonstration.length > 1 ? "are" : "is"} for trying things out, not for research: the numbers on this page may be far from the truth.`));
  }
  return list;
}

function copyable(title, content, kind = "") {
  const area = element("pre", { tabindex: "0" }, content);
  const copy = element("button", { type: "button" }, "Copy");
  copy.onclick = async () => {
    try {
      await navigator.clipboard.writeText(content);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(area); // then Ctrl+C copies it
      copy.textContent = "Selected: press Ctrl+C";
    }
  };
  return element("div", { class: kind }, element("div", { class: "tools" }, element("h3", {}, title), copy), area);
}

function paperSection() {
  if (!about.paper) return null;
  return element("section", { id: "paper" }, element("h2", {}, "In a paper"),
    element("p", { class: "faint small screen" }, "In short; 'babyhubert methods' with the output folder writes a whole methods section."),
    copyable("Sentence", about.paper.sentence), copyable("To cite", about.paper.bibtex, "screen"));
}
