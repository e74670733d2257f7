/* Keys of a page: a table of what each does, for the handler and for the list of help. */

const WRITING = "input:not([type=checkbox]), textarea, select, [contenteditable]";
const PRESSING = "button, summary, a[href], input[type=checkbox]";

/** Name of a key event: "Ctrl+Z", "Shift+Enter", "Space", "1", "?". */
export function keyName(event) {
  const key = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const shift = event.shiftKey && (event.key.length > 1 || /[a-z]/i.test(event.key));
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${shift ? "Shift+" : ""}${key}`;
}

/**
 * @param table rows [keys, what it says, what it does]; keys are divided by spaces
 * @param single tells whether keys without Ctrl are on
 */
export function listenToKeys(table, single) {
  const actions = new Map(table.flatMap(([keys, , act]) => keys.split(" ").map((key) => [key, act])));
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
    const name = keyName(event);
    const act = actions.get(name);
    if (!act) return;
    const target = event.composedPath()[0];
    if (target.matches?.(WRITING)) {
      if (name === "Escape") target.blur();
      return;
    }
    if (target.matches?.(PRESSING) && ["Space", "Enter"].includes(name)) return;
    const plain = !name.startsWith("Ctrl+") && name.replace("Shift+", "").length === 1;
    if (plain && !single()) return;
    event.preventDefault();
    act();
  });
}

export function listKeys(place, table) {
  for (const [keys, says] of table) {
    if (!says) continue;
    const term = document.createElement("dt");
    for (const key of keys.split(" ")) term.append(Object.assign(document.createElement("kbd"), { textContent: key }), " ");
    place.append(term, Object.assign(document.createElement("dd"), { textContent: says }));
  }
}
