// The index: rows made a hundred at a time, sorted and filtered over all.
"use strict";

const PAGE = 100;
const textPairs = (places) => {
  const found = new Map();
  for (let place = 0; place < places.length; place += 2) found.set(DATA.texts[places[place]], DATA.texts[places[place + 1]]);
  return found;
};

const RUNS = DATA.runs.map((run) => {
  const facts = textPairs(run.facts);
  const config = textPairs(run.config);
  const [start, minutes, places] = run.curve;
  const curve = minutes.map((minute, place) => [start + minute * 60, places[place] / 10000]);
  const searched = [run.title, run.strategy, run.task, run.kind, run.host, ...facts.values(), ...config.values()].join("\n").toLowerCase();
  // The link is made of the folder's name alone: no record can name another place.
  return { ...run, facts, config, curve, searched, link: `${encodeURIComponent(run.folder)}/${DATA.report}` };
});

const value = (key) => (run) => run.numbers[key];
const signedPercent = (ratio) => format.percent(ratio, 2, true);
const number = (digits) => (value) => format.number(value, digits);
const title = (run) => run.title || run.strategy || run.task;
// Title, value, how it is written; what tells most comes first, as a phone shows only that.
const COLUMNS = [
  ["Run", title, (text, run) => [linked(run, text), ...warnings(run)]],
  ["Profit", value("profit_total"), signedPercent, tone],
  ["Drawdown", value("max_drawdown_account"), (ratio) => format.percent(ratio)],
  ["Sharpe", value("sharpe"), number(2)],
  ["Sortino", value("sortino"), number(2)],
  ["Calmar", value("calmar"), number(2)],
  ["Factor", value("profit_factor"), number(2)],
  ["Trades", value("total_trades"), number(0)],
  ["Won", value("winrate"), (ratio) => format.percent(ratio, 0)],
  ["Took", (run) => run.seconds, format.duration],
  ["Kind", (run) => run.kind, (kind) => element("span", { class: "kind" }, kind)],
  ["When", (run) => run.at, format.moment],
];
const [FIRST, WHEN] = [0, COLUMNS.length - 1];
const isNumeric = (column) => column > FIRST && column < WHEN - 1;

const state = { column: WHEN, sign: -1, shown: PAGE, rows: RUNS };
const selected = new Set();
const byId = (id) => document.getElementById(id);

function rowOf(run) {
  const box = element("input", { type: "checkbox", "aria-label": `Compare ${run.title}`, onchange: (event) => select(run, event.target.checked) });
  box.checked = selected.has(run);
  const cells = COLUMNS.map(([, of, written, toneOf], column) => {
    const it = of(run);
    if (column === FIRST) return element("th", { scope: "row" }, ...written(it, run));
    return element("td", { class: `${isNumeric(column) ? "num" : "nowrap"} ${toneOf ? toneOf(it) : ""}` }, written(it, run));
  });
  return element("tr", {}, element("td", {}, box), ...cells);
}

const linked = (run, text) => (run.page ? element("a", { href: run.link }, text) : text);
const warnings = (run) => (run.facts.get("markets") === "made up" ? [" ", element("span", { class: "kind", title: "fees, precision and smallest orders were guessed" }, "made-up markets")] : []);

function fill() {
  byId("runs").tBodies[0].replaceChildren(...state.rows.slice(0, state.shown).map(rowOf));
  byId("more").hidden = state.rows.length <= state.shown;
  byId("more").textContent = `More (${Math.min(state.shown, state.rows.length)} of ${state.rows.length.toLocaleString("en-US")})`;
  byId("empty").hidden = state.rows.length > 0;
  const all = RUNS.length.toLocaleString("en-US");
  byId("summary").textContent = (state.rows.length === RUNS.length ? `${all} runs` : `${state.rows.length.toLocaleString("en-US")} of ${all} runs`) + `, ${format.moment(Date.parse(DATA.made_at) / 1000)}`;
}

function choose() {
  const words = byId("text").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [kind, strategy, days] = [byId("kind").value, byId("strategy").value, Number(byId("since").value)];
  const oldest = days ? Date.now() / 1000 - days * 86400 : -Infinity;
  const of = COLUMNS[state.column][1];
  state.rows = RUNS.filter(
    (run) => (!kind || run.kind === kind) && (!strategy || run.strategy === strategy) && run.at >= oldest && words.every((word) => run.searched.includes(word)),
  ).sort((a, b) => compare(of(a), of(b), state.sign));
  state.shown = PAGE;
  fill();
}

function start() {
  const heads = element("tr", {}, element("td", {}));
  byId("runs").tHead.append(heads);
  COLUMNS.forEach(([heading], column) => {
    const head = element("th", { scope: "col", class: isNumeric(column) ? "num" : "" }, heading);
    heads.append(head);
    sortHead(head, (sign) => {
      Object.assign(state, { column, sign });
      choose();
    });
    if (column === WHEN) head.setAttribute("aria-sort", "descending");
  });
  for (const [id, of] of [["kind", (run) => run.kind], ["strategy", (run) => run.strategy]]) {
    for (const each of [...new Set(RUNS.map(of))].filter(Boolean).sort()) byId(id).append(element("option", { value: each }, each));
    byId(id).addEventListener("change", choose);
  }
  byId("since").addEventListener("change", choose);
  byId("text").addEventListener("input", choose);
  byId("more").addEventListener("click", () => {
    state.shown += PAGE;
    fill();
  });
  choose();
}
