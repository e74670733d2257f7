/* What a page says: to screen readers in its live region, to everybody in its alerts. */

export function say(text) {
  const live = document.getElementById("live");
  live.textContent = "";
  setTimeout(() => (live.textContent = text), 30); // the same words twice are two changes
}

export function alertLine(text, action, act) {
  const line = Object.assign(document.createElement("p"), { textContent: text });
  if (action) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: action });
    button.addEventListener("click", act);
    line.append(button);
  }
  document.getElementById("alerts").replaceChildren(line);
}

export function clearAlerts() {
  document.getElementById("alerts").replaceChildren();
}
