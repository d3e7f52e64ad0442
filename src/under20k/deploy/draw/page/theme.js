// Light or dark: as the system has it, until the reader chooses.

const THEME_KEY = "under20k-theme";

/** Return the theme that was chosen, or null. */
function chosenTheme() {
  try {
    return localStorage.getItem(THEME_KEY);
  } catch {
    return null; // some browsers keep nothing for files
  }
}

/** Follow the system's theme and the switch; call `changed` after each change. */
function followTheme(changed) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const dark = (chosen ?? (system.matches ? "dark" : "light")) === "dark";
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    themeColours.clear();
    setText(byId("theme"), dark ? "☀ Light" : "☾ Dark");
    byId("theme").setAttribute("aria-label", dark ? "Light colours" : "Dark colours");
    changed();
  };
  let chosen = chosenTheme();
  system.addEventListener("change", apply);
  byId("theme").addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(THEME_KEY, chosen);
    } catch {
      // Then it holds until the page is closed.
    }
    apply();
  });
  apply();
}
