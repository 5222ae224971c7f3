// What every page needs: its data, numbers as people read them, elements made without markup (texts of strangers stay texts), the colours of the moment.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const NONE = "–";
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

const format = {
  number(value, digits = 2, signed = false) {
    if (!isNumber(value)) return NONE;
    const text = Math.abs(value).toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    if (!/[1-9]/.test(text)) return text;
    return (value < 0 ? "−" : signed ? "+" : "") + text;
  },
  percent: (ratio, digits = 2, signed = false) => (isNumber(ratio) ? `${format.number(ratio * 100, digits, signed)} %` : NONE),
  money(value, signed = false) {
    if (!isNumber(value)) return NONE;
    const size = Math.abs(value);
    return format.number(value, size >= 1 || size === 0 ? 2 : Math.min(8, 3 - Math.floor(Math.log10(size))), signed);
  },
  // As many digits as a price needs: 43,251.2 or 0.00001234.
  rate: (value) => (isNumber(value) ? value.toLocaleString("en-US", { minimumSignificantDigits: 6, maximumSignificantDigits: 6 }) : NONE),
  moment: (seconds) => (isNumber(seconds) ? new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ") : NONE),
  day: (seconds) => (isNumber(seconds) ? new Date(seconds * 1000).toISOString().slice(0, 10) : NONE),
  duration(seconds) {
    if (!isNumber(seconds)) return NONE;
    let left = Math.round(seconds);
    if (left < 60) return seconds < 10 ? `${seconds.toFixed(1)} s` : `${left} s`;
    const parts = [];
    for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
      const count = Math.floor(left / size);
      left -= count * size;
      if (count) parts.push(`${count} ${unit}`);
    }
    return parts.slice(0, 2).join(" ");
  },
};

const tone = (value) => (!isNumber(value) || value === 0 ? "" : value > 0 ? "gain" : "loss");

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Redraw when the device goes dark or light.
const redraws = [];
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraws.forEach((redraw) => redraw()));

// Lines over each other: colours that the colour-blind can tell apart (Okabe and Ito), with dashes as the second sign.
const LINES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];
const lineColour = (place) => LINES[place % LINES.length];
const lineDash = (place) => [[], [6, 3], [2, 3]][Math.floor(place / LINES.length) % 3];

// Each page's script ends with it: what is filled by then moves nothing any more.
const showFooter = () => { document.querySelector("footer").hidden = false; };
