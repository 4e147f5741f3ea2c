// Before the first paint, so that nothing flashes: a theme chosen on this page goes before the system's.
try {
  const chosen = localStorage.getItem("frt-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch { /* storage may be forbidden; the system's theme holds */ }
