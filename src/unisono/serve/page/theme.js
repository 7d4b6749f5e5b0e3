// Before anything is drawn: the theme that was chosen here before. Without a choice the system's holds.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("unisono-theme");
  } catch {
    // storage is closed to this page: the system's theme holds
  }
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}
