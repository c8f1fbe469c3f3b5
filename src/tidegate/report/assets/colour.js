(function (T) {
  const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const variable = (name) => channels(getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  let palette = null;

  // Backgrounds stay lighter (or darker) than this share of the full colour, so that text on them can be read.
  const STRONGEST = 0.82;

  T.newTheme = () => {
    palette = null;
  };

  function colours() {
    return (palette ||= {
      paper: variable("--paper"),
      low: variable("--low"),
      high: variable("--high"),
      amount: variable("--amount"),
    });
  }

  // A scale: {low, high, diverging}. Diverging scales are symmetric around zero.
  T.scaleOf = function (low, high, values) {
    if (low === 0 && high === 1) return { low: 0, high: 1, diverging: false };
    if (low === -1 && high === 1) return { low: -1, high: 1, diverging: true };
    let limit = 0;
    for (const value of values) if (Math.abs(value) > limit) limit = Math.abs(value);
    return { low: -(limit || 1), high: limit || 1, diverging: true };
  };

  T.channels = function (value, scale) {
    const { paper, low, high, amount } = colours();
    if (value === null || Number.isNaN(value)) return paper;
    const part = scale.diverging ? value / scale.high : (value - scale.low) / (scale.high - scale.low);
    const end = scale.diverging ? (part < 0 ? low : high) : amount;
    const share = Math.min(1, Math.abs(part < 0 && !scale.diverging ? 0 : part)) * STRONGEST;
    return paper.map((c, i) => Math.round(c + (end[i] - c) * share));
  };

  T.colour = (value, scale) => `rgb(${T.channels(value, scale).join(" ")})`;

  // A strip of the scale with the numbers at its ends.
  T.legend = function (container, words, scale) {
    const strip = T.make("canvas", { width: 96, height: 1, "aria-hidden": "true" }),
      context = strip.getContext("2d");
    for (let i = 0; i < 96; i++) {
      context.fillStyle = T.colour(scale.low + ((scale.high - scale.low) * i) / 95, scale);
      context.fillRect(i, 0, 1, 1);
    }
    container.replaceChildren(
      T.make("span", { text: words }),
      T.make("span", { text: T.number(scale.low) }),
      strip,
      T.make("span", { text: T.number(scale.high) + (scale.above ? " or more" : "") }),
    );
  };

  T.themes = function (button) {
    const root = document.documentElement,
      system = matchMedia("(prefers-color-scheme: dark)");
    const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const refresh = () => {
      T.newTheme();
      button.textContent = dark() ? "Light" : "Dark";
      button.setAttribute("aria-label", dark() ? "Use light colours" : "Use dark colours");
      document.dispatchEvent(new Event("theme"));
    };
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      refresh();
    });
    system.addEventListener("change", refresh);
    refresh();
  };
})(Tidegate);
