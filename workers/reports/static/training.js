// The page of a FreqAI training: one number of each window, a line for each pair.
"use strict";

const choice = document.getElementById("metric");
DATA.metrics.forEach((name, place) => choice.append(element("option", { value: place }, name)));

let chart = null;
function show() {
  if (chart !== null) {
    chart.destroy();
    redraws.pop();
  }
  const lines = new Map();
  for (const [pair, moment, values] of DATA.windows) {
    if (!lines.has(pair)) lines.set(pair, []);
    lines.get(pair).push([moment, values[choice.value]]);
  }
  const curves = [...lines].map(([name, points]) => ({ name, points }));
  chart = curvesOver("windows", curves, "windows-legend", { text: (value) => format.money(value), label: format.number, dots: true });
}
choice.addEventListener("change", show);
show();
showFooter();
