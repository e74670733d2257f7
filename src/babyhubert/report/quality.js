// Quality of a recording: its faults with their remedies, and where it is bad.

const BAD_KINDS = {
  silent: "digital silence", cancelled: "channels cancel out", clipped: "clipped", dropouts: "dropouts", repeated: "repeated blocks",
  muffled: "muffled", noisy: "too noisy", still: "still",
};

/** A row a kind: when in the recording it is bad, and how much of it. */
function badStretches(recording, kinds) {
  const narrow = window.innerWidth < 600;
  const wide = narrow ? 400 : 720;
  const left = narrow ? 108 : 150;
  const right = 8;
  const row = 22;
  const high = kinds.length * row + 22;
  const x = (share) => left + share * (wide - left - right);
  const picture = drawing("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": "Bad stretches over the recording" });
  kinds.forEach(([kind, found], place) => {
    const top = place * row;
    const shares = unpackBytes(found.shares);
    picture.append(text(left - 10, top + 15, BAD_KINDS[kind] ?? kind, "end"),
      drawing("rect", { x: left, y: top + 3, width: wide - left - right, height: row - 6, fill: colour("line"), "fill-opacity": 0.4 }));
    shares.forEach((share, part) => {
      if (!share) return;
      const tall = Math.max(4, (row - 6) * (share / 255));
      picture.append(drawing("rect", { x: x(part / shares.length), y: top + row - 3 - tall, width: (wide - left - right) / shares.length + 0.2, height: tall,
        fill: colour(kind === "still" ? "level" : "clipped") }));
    });
  });
  for (const share of narrow ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1]) {
    picture.append(text(x(share), high - 6, clock(share * recording.duration, recording.start, recording.duration < 3_600_000 ? 0 : -1), share === 0 ? "start" : share === 1 ? "end" : "middle"));
  }
  return picture;
}

function stretchTable(recording, kinds) {
  const time = (ms) => clock(ms, recording.start, 0);
  return element("details", {}, element("summary", {}, "Times of the longest stretches"),
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Longest bad stretches" }, element("table", {},
      element("thead", {}, element("tr", {}, ...["Kind", "Stretches", "Together", "The longest"].map((head) => element("th", { scope: "col", class: head === "The longest" ? "left" : null }, head)))),
      element("tbody", {}, ...kinds.map(([kind, found]) => element("tr", {}, element("th", { scope: "row" }, BAD_KINDS[kind] ?? kind),
        element("td", {}, found.count.toLocaleString("en")), element("td", {}, duration(found.ms)),
        element("td", { class: "left" }, found.longest.map(([start, end]) => `${time(start)}–${time(end)}`).join(", "))))))));
}

function qualitySection(recording) {
  const { quality } = recording;
  if (!quality) return null;
  const hours = (value) => duration(value * 3_600_000);
  const usable = `${hours(quality.usable_h)} of ${hours(quality.duration_h)} usable`;
  const noise = quality.snr_db === null ? "" : `, speech ${format(quality.snr_db, 0)} dB above the background`;
  const kinds = Object.keys(BAD_KINDS).filter((kind) => quality.stretches[kind]).map((kind) => [kind, quality.stretches[kind]]);
  const words = { fault: "Fault: ", note: "Note: " };
  return element("section", { class: "quality" }, element("h3", {}, "Quality of the recording"),
    element("p", {}, element("b", {}, quality.verdict === "fault" ? "Has faults" : "No faults"), `: ${usable}${noise}.`),
    quality.findings.length ? element("ul", {}, ...quality.findings.map(({ severity, told }) => element("li", {}, element("b", {}, words[severity]), `${told}.`))) : null,
    kinds.length ? figure("Bad stretches", "Counts in these stretches are too low or wrong; still ones are listed for information (a sleeping child is still, too). The usable rest is in quality.uem.",
      badStretches(recording, kinds), stretchTable(recording, kinds)) : null);
}
