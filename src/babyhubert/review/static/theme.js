/* Light or dark: as the system has it, until the button says otherwise. */

const system = matchMedia("(prefers-color-scheme: dark)");

export function theme(button, changed) {
  let chosen = null;
  const apply = () => {
    const name = chosen ?? (system.matches ? "dark" : "light");
    document.documentElement.dataset.theme = name;
    button.textContent = name === "dark" ? "Light" : "Dark";
  };
  button.addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    apply();
    changed();
  });
  system.addEventListener("change", () => {
    apply();
    changed();
  });
  apply();
}
