/* The annotations of one clip: segments, changes of them, undo and redo. Times are whole milliseconds. */

export const SHORTEST = 20;

export class ClipDocument {
  #past = [];
  #future = [];
  #number = 0;

  constructor(record) {
    this.record = record;
    this.now = { segments: record.segments.map((one) => this.#with_id(one)), note: record.note, done: record.done };
    this.#sort(this.now);
    this.selected = null;
  }

  #with_id(one) {
    this.#number += 1;
    return { ...one, id: `s${this.#number}` };
  }

  #sort(state) {
    state.segments.sort((a, b) => a.start - b.start || a.end - b.end || (a.label < b.label ? -1 : a.label > b.label ? 1 : 0));
  }

  #change(segments, more = {}) {
    this.#past.push(this.now);
    this.#future = [];
    this.now = { ...this.now, segments: [...segments], ...more };
    this.#sort(this.now);
  }

  get segments() {
    return this.now.segments;
  }

  get current() {
    return this.segments.find((one) => one.id === this.selected) ?? null;
  }

  get can() {
    return { undo: this.#past.length > 0, redo: this.#future.length > 0 };
  }

  isOutside(one) {
    return one.end <= this.record.stretch[0] || one.start >= this.record.stretch[1];
  }

  add(start, end, label) {
    const [first, last] = this.#within(start, end);
    const one = this.#with_id({ start: first, end: last, label, tier: "", text: "", values: {} });
    this.#change([...this.segments, one]);
    this.selected = one.id;
    return one;
  }

  #within(start, end) {
    const length = this.record.length;
    const first = Math.max(0, Math.min(Math.round(Math.min(start, end)), length - SHORTEST));
    return [first, Math.min(length, Math.max(Math.round(Math.max(start, end)), first + SHORTEST))];
  }

  update(id, changes) {
    const one = this.segments.find((other) => other.id === id);
    if (!one) return false;
    const next = { ...one, ...changes };
    if ("start" in changes || "end" in changes) [next.start, next.end] = this.#within(next.start, next.end);
    if (next.label !== one.label) next.tier = "";
    if (JSON.stringify(next) === JSON.stringify(one)) return false;
    this.#change(this.segments.map((other) => (other.id === id ? next : other)));
    return true;
  }

  setValue(id, column, value) {
    const one = this.segments.find((other) => other.id === id);
    if (!one) return false;
    const values = { ...one.values };
    if (value) values[column] = value;
    else delete values[column];
    return this.update(id, { values });
  }

  remove(id) {
    const place = this.segments.findIndex((one) => one.id === id);
    if (place < 0) return false;
    this.#change(this.segments.filter((one) => one.id !== id));
    this.selected = (this.segments[place] ?? this.segments[place - 1])?.id ?? null;
    return true;
  }

  split(id, at) {
    const one = this.segments.find((other) => other.id === id);
    const time = Math.round(at);
    if (!one || time - one.start < SHORTEST || one.end - time < SHORTEST) return false;
    const second = this.#with_id({ ...one, start: time });
    this.#change(this.segments.flatMap((other) => (other.id === id ? [{ ...one, end: time }, second] : [other])));
    this.selected = id;
    return true;
  }

  setNote(note) {
    if (note === this.now.note) return false;
    this.#change(this.segments, { note });
    return true;
  }

  setDone(done) {
    if (done === this.now.done) return false;
    this.#change(this.segments, { done });
    return true;
  }

  undo() {
    return this.#travel(this.#past, this.#future);
  }

  redo() {
    return this.#travel(this.#future, this.#past);
  }

  #travel(from, to) {
    if (!from.length) return false;
    to.push(this.now);
    this.now = from.pop();
    if (!this.current) this.selected = null;
    return true;
  }

  step(by, time) {
    const places = this.segments;
    const here = places.findIndex((one) => one.id === this.selected);
    let next = here + by;
    if (here < 0) {
      const later = places.findIndex((one) => one.start >= time);
      next = by > 0 ? later : (later < 0 ? places.length : later) - 1;
    }
    if (next < 0 || next >= places.length) return null;
    this.selected = places[next].id;
    return places[next];
  }

  /** Rows of a lane in which segments of one voice lie that overlap: number of the row by id, and how many. */
  rows(label) {
    const ends = [];
    const row = new Map();
    for (const one of this.segments) {
      if (one.label !== label) continue;
      let place = ends.findIndex((end) => end <= one.start);
      if (place < 0) place = ends.push(0) - 1;
      ends[place] = one.end;
      row.set(one.id, place);
    }
    return { row, count: Math.max(1, ends.length) };
  }

  content(version) {
    const segments = this.segments.map(({ start, end, label, tier, text, values }) => ({ start, end, label, tier, text, values }));
    return { version, done: this.now.done, note: this.now.note, segments };
  }
}
