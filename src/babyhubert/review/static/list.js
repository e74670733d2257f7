/* The segments as a list, and the one that is selected with all that may be said of it. */

export const seconds = (ms) => (ms / 1000).toFixed(2);

export function describe(one) {
  const values = Object.entries(one.values)
    .filter(([, value]) => value)
    .map(([name, value]) => (name === "note" ? `note: ${value}` : value));
  return [one.text, ...values].filter(Boolean).join(", ");
}

export class SegmentList {
  constructor(list, empty, colour, picked) {
    this.list = list;
    this.empty = empty;
    this.colour = colour;
    this.shown = new Map();
    list.addEventListener("click", (event) => {
      const item = event.target.closest("li");
      if (item) picked(item.id);
    });
  }

  draw(document) {
    const items = document.segments.map((one) => this.#item(document, one));
    const same = items.length === this.list.children.length && items.every((item, place) => item === this.list.children[place]);
    if (!same) this.list.replaceChildren(...items);
    this.empty.hidden = items.length > 0;
    const chosen = document.current;
    for (const item of items) item.setAttribute("aria-selected", String(item.id === chosen?.id));
    if (chosen) this.list.setAttribute("aria-activedescendant", chosen.id);
    else this.list.removeAttribute("aria-activedescendant");
    const item = items.find((one) => one.id === chosen?.id);
    if (item) this.#reveal(item);
  }

  /** Scroll the list alone, never the page. */
  #reveal(item) {
    const [top, bottom] = [item.offsetTop - this.list.offsetTop, item.offsetTop - this.list.offsetTop + item.offsetHeight];
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    else if (bottom > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = bottom - this.list.clientHeight;
  }

  clear() {
    this.shown.clear();
    this.list.replaceChildren();
  }

  #item(document, one) {
    const key = JSON.stringify([one, this.colour(one.label)]);
    const known = this.shown.get(one.id);
    if (known?.key === key) return known.item;
    const item = window.document.createElement("li");
    item.id = one.id;
    item.setAttribute("role", "option");
    item.className = document.isOutside(one) ? "outside" : "";
    const swatch = part("swatch", "");
    swatch.style.background = this.colour(one.label);
    const voice = part("voice", one.label);
    voice.prepend(swatch);
    const more = document.isOutside(one) ? ["context", describe(one)].filter(Boolean).join(", ") : describe(one);
    item.append(part("times", `${seconds(one.start)} to ${seconds(one.end)}`), " ", voice, " ", part("more", more));
    this.shown.set(one.id, { key, item });
    return item;
  }
}

function part(name, text) {
  const span = window.document.createElement("span");
  span.className = name;
  span.textContent = text;
  return span;
}

/** Buttons for the classes of each column; `chosen(column, value)` is called with "" where a class is taken back. */
export class ColumnButtons {
  constructor(place, columns, keys, chosen) {
    this.columns = columns;
    this.rows = columns.map((column, number) => {
      const row = window.document.createElement("fieldset");
      const title = window.document.createElement("legend");
      title.textContent = column.name;
      if (keys[number]) title.append(" ", Object.assign(window.document.createElement("kbd"), { textContent: keys[number] }));
      row.append(title);
      for (const value of column.classes) {
        const button = window.document.createElement("button");
        button.type = "button";
        button.textContent = button.value = value;
        button.addEventListener("click", () => chosen(column, button.getAttribute("aria-pressed") === "true" ? "" : value));
        row.append(button);
      }
      place.append(row);
      return row;
    });
  }

  draw(one) {
    this.rows.forEach((row, number) => {
      const column = this.columns[number];
      row.hidden = !column.voices.includes(one.label) && !one.values[column.name];
      for (const button of row.querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(button.value === one.values[column.name]));
      }
    });
  }
}

const TRANSCRIPTION = "transcription";

/** Fields for what the segments of a clip hold as text: transcriptions, and columns without known classes. */
export class TextFields {
  constructor(place, changed) {
    this.place = place;
    this.changed = changed;
    this.fields = new Map();
  }

  open(segments, known) {
    const names = new Set(segments.flatMap((one) => [...(one.text ? [TRANSCRIPTION] : []), ...Object.keys(one.values)]));
    for (const name of known) names.delete(name);
    this.fields = new Map([...names].sort().map((name) => [name, this.#field(name)]));
    this.place.replaceChildren(...[...this.fields.values()].map((field) => field.parentElement));
  }

  #field(name) {
    const label = Object.assign(window.document.createElement("label"), { className: "block", textContent: name });
    const field = Object.assign(window.document.createElement("input"), { type: "text", autocomplete: "off" });
    field.addEventListener("change", () => this.changed(name === TRANSCRIPTION ? null : name, field.value.trim()));
    label.append(field);
    return field;
  }

  draw(one) {
    for (const [name, field] of this.fields) {
      if (window.document.activeElement !== field) field.value = (name === TRANSCRIPTION ? one.text : one.values[name]) ?? "";
    }
  }
}
