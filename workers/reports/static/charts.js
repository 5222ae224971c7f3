// uPlot with this page's colours, UTC, its readout, and its width followed. A place for it is kept from the start, so nothing moves.
"use strict";

const utc = (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC");
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

function axis(options = {}) {
  return { stroke: () => colour("muted"), font: FONT, grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false }, gap: 6, ...options };
}

// Wide enough for its labels, whatever they are.
function valueAxis(label) {
  return axis({
    size: (plot, values) => (values ? Math.max(60, Math.ceil(Math.max(...values.map((text) => (text ?? "").length)) * 7 + 14)) : 60),
    values: (plot, splits) => splits.map(label),
  });
}

// Labels with as many digits as tell neighbours apart.
const stepped = (values, label) => {
  const step = values.length > 1 ? Math.abs(values[1] - values[0]) : 1;
  let digits = 0;
  while (digits < 8 && Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6 * step * 10 ** digits) digits += 1;
  return values.map((value) => label(value, digits));
};

const timeAxis = () => axis({ size: 28, space: 70, values: timeLabels });

function timeLabels(plot, splits) {
  const day = 86400;
  const step = splits.length > 1 ? splits[1] - splits[0] : day;
  const part = (seconds, options) => new Date(seconds * 1000).toLocaleString("en-GB", { timeZone: "UTC", ...options });
  return splits.map((seconds) => {
    if (seconds % day) return part(seconds, { hour: "2-digit", minute: "2-digit" });
    if (step >= 360 * day) return part(seconds, { year: "numeric" });
    if (step >= 27 * day) return part(seconds, { month: "short", year: "numeric" });
    return part(seconds, { day: "numeric", month: "short" });
  });
}

// A plot in the element `id`. `readout(place)` says what is under the cursor; null is the resting text.
function plot(id, data, options, readout = null) {
  const place = document.getElementById(id);
  const told = document.getElementById(`${id}-readout`);
  const height = place.clientHeight;
  const hooks = options.hooks ?? {};
  const made = new uPlot(
    {
      width: place.clientWidth,
      height,
      tzDate: utc,
      legend: { show: false },
      padding: [8, 16, 0, 0],
      ...options,
      hooks: { ...hooks, setCursor: [(chart) => { if (readout && told) told.textContent = readout(chart.cursor.idx ?? null) ?? ""; }] },
    },
    data,
    place,
  );
  if (readout && told) told.textContent = readout(null) ?? "";
  new ResizeObserver(() => {
    if (place.clientWidth && place.clientWidth !== made.width) made.setSize({ width: place.clientWidth, height });
  }).observe(place);
  redraws.push(() => made.redraw(false));
  return made;
}

const columnsOf = (points) => [points.map((point) => point[0]), points.map((point) => point[1])];

// One value over time; `options` are uPlot's own for the series.
function timeLine(id, points, { label, read, series, range, sync, kind = "line" }) {
  const data = columnsOf(points);
  const shown = kind === "steps" ? { paths: uPlot.paths.stepped({ align: 1 }) } : {};
  return plot(
    id,
    data,
    {
      scales: { x: { time: true }, y: range ? { range } : {} },
      axes: [timeAxis(), { ...valueAxis(), values: (chart, splits) => stepped(splits, label) }],
      series: [{}, { stroke: () => colour("accent"), width: 1.5, points: { show: false }, ...shown, ...series }],
      cursor: { sync: sync ? { key: sync, setSeries: false } : undefined, drag: { x: true, y: false }, y: false, points: { size: 7 } },
    },
    (index) => (index === null ? read(data[0].length - 1, data) : read(index, data)),
  );
}

const signed = (value) => format.percent(value, 2, true);
const inPercent = (value, digits) => `${format.number(value, digits)} %`;

// Several curves over each other: each is {name, points}, on the moments of all. Ratios, unless the options say how else to write a value.
function curvesOver(id, curves, legendId, { text = signed, label = inPercent, times = text === signed ? 100 : 1, dots = false } = {}) {
  const tables = curves.map((curve) => columnsOf(curve.points));
  const data = uPlot.join(tables);
  const series = curves.map((curve, place) => ({
    label: curve.name, stroke: lineColour(place), dash: lineDash(place), width: 1.5, spanGaps: true,
    points: { show: dots, size: 5, fill: lineColour(place), stroke: lineColour(place) },
  }));
  const legend = document.getElementById(legendId);
  legend.replaceChildren();
  const values = curves.map((curve, place) => {
    const value = element("span", { class: "num" });
    const swatch = element("span", { class: "swatch" });
    swatch.style.background = lineColour(place);
    legend.append(element("span", { class: "entry" }, swatch, curve.name, " ", value));
    return value;
  });
  const last = (column, index) => {
    for (let place = index; place >= 0; place--) if (isNumber(column[place])) return column[place];
    return null;
  };
  return plot(
    id,
    data,
    {
      axes: [timeAxis(), { ...valueAxis(), values: (chart, splits) => stepped(splits.map((value) => value * times), label) }],
      series: [{}, ...series],
      cursor: { y: false, drag: { x: true, y: false }, points: { show: false } },
    },
    (index) => {
      const at = index ?? data[0].length - 1;
      values.forEach((value, place) => { value.textContent = text(last(data[place + 1], at)); });
      return format.moment(data[0][at]);
    },
  );
}
