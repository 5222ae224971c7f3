// Selected runs side by side: numbers, the config that differs, the curves over each other.
"use strict";

const NUMBERS = [
  ["Profit", "profit_total", signedPercent, 1],
  ["Profit, amount", "profit_total_abs", (number) => format.money(number, true), 1],
  ["Drawdown", "max_drawdown_account", (ratio) => format.percent(ratio), -1],
  ["Sharpe", "sharpe", (number) => format.number(number), 1],
  ["Sortino", "sortino", (number) => format.number(number), 1],
  ["Calmar", "calmar", (number) => format.number(number), 1],
  ["Profit factor", "profit_factor", (number) => format.number(number), 1],
  ["Won", "winrate", (ratio) => format.percent(ratio, 1), 0],
  ["Trades", "total_trades", (number) => format.number(number, 0), 0],
  ["Market", "market_change", signedPercent, 0],
];
let overlay = null;

function select(run, chosen) {
  if (chosen) selected.add(run);
  else selected.delete(run);
  compareSelected();
}

function compareSelected() {
  const runs = [...selected];
  byId("compare").hidden = runs.length === 0;
  if (runs.length === 0) return;
  byId("compared").tHead.replaceChildren(
    element("tr", {}, element("td", {}), ...runs.map((run) => element("th", { scope: "col" }, linked(run, run.title || run.task), element("br"), format.moment(run.at)))),
  );
  byId("compared").tBodies[0].replaceChildren(...numberRows(runs), ...textRows(runs, (run) => run.facts, true), ...textRows(runs, (run) => run.config, byId("only-differing").checked), ...textRows(runs, (run) => textPairs(run.hashes), true));
  drawOverlay(runs);
}

const LISTED = new Set(NUMBERS.map(([, key]) => key));

function numberRows(runs) {
  const others = [...new Set(runs.flatMap((run) => Object.keys(run.numbers)))].filter((key) => !LISTED.has(key)).sort();
  return [...NUMBERS, ...others.map((key) => [key, key, (number) => format.money(number), 0])].filter(([, key]) => runs.some((run) => isNumber(run.numbers[key]))).map(([title, key, text, better]) => {
    const values = runs.map((run) => run.numbers[key]);
    const known = values.filter(isNumber);
    const best = better === 0 || known.length < 2 ? null : better * Math.max(...known.map((each) => better * each));
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, title),
      ...values.map((each) => {
        const isBest = best !== null && each === best && known.some((other) => other !== best);
        return element("td", { class: key.startsWith("profit_total") ? tone(each) : "" }, isBest ? element("strong", { title: "the best" }, `${text(each)} ★`) : text(each));
      }),
    );
  });
}

function textRows(runs, of, onlyDiffering) {
  const maps = runs.map(of);
  const keys = [...new Set(maps.flatMap((map) => [...map.keys()]))].sort();
  return keys
    .map((key) => [key, maps.map((map) => map.get(key) ?? NONE)])
    .filter(([, values]) => !onlyDiffering || (runs.length > 1 && new Set(values).size > 1))
    .map(([key, values]) => element("tr", {}, element("th", { scope: "row" }, element("code", {}, key)), ...values.map((each) => element("td", { class: new Set(values).size > 1 ? "differs" : "" }, each))));
}

function drawOverlay(runs) {
  if (overlay !== null) {
    overlay.destroy();
    redraws.pop();
    overlay = null;
  }
  const curves = runs.filter((run) => run.curve.length > 1).map((run) => ({ name: run.title, points: run.curve }));
  byId("overlay-place").hidden = curves.length === 0;
  if (curves.length) overlay = curvesOver("overlay", curves, "overlay-legend");
}

byId("only-differing").addEventListener("change", compareSelected);
byId("clear").addEventListener("click", () => {
  selected.clear();
  compareSelected();
  fill();
});
start();
showFooter();
