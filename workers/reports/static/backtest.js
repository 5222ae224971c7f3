// The page of one backtest.
"use strict";

timeLine("equity", DATA.equity, {
  label: (value, digits) => format.number(value, digits),
  read: (place, data) => `${format.moment(data[0][place])}   ${format.money(data[1][place])} ${DATA.currency}  (${format.percent(data[1][place] / DATA.starting - 1, 2, true)})`,
  kind: "steps",
  sync: "balance",
});
timeLine("drawdown", DATA.drawdown.map(([moment, ratio]) => [moment, -ratio * 100]), {
  label: (value, digits) => `${format.number(value, digits)} %`,
  read: (place, data) => `${format.moment(data[0][place])}   ${format.number(data[1][place], 2)} %`,
  series: { stroke: () => colour("loss"), fill: () => `rgba(${colour("loss-rgb")}, .15)`, fillTo: () => 0 },
  range: (chart, least) => [Math.min(least * 1.1, -0.1), 0],
  kind: "steps",
  sync: "balance",
});

let chart = null;
const pairs = Object.keys(DATA.candles);
if (pairs.length === 0) document.getElementById("candles-section").hidden = true;
else {
  const choice = document.getElementById("pair");
  const show = () => {
    if (chart !== null) {
      chart.destroy();
      redraws.pop();
    }
    const bars = DATA.candles[choice.value];
    const trades = TRADES.filter((trade) => trade.pair === choice.value);
    chart = candleChart("candles", bars, trades);
    const minutes = bars.step / 60;
    const bar = minutes % 1440 === 0 ? `${minutes / 1440} d` : minutes % 60 === 0 ? `${minutes / 60} h` : `${minutes} min`;
    document.querySelector("#candles").closest("figure").querySelector("h3").textContent =
      bars.together > 1 ? `${choice.value}: ${bars.together} candles in a bar (${bar})` : `${choice.value}: bars of ${bar}`;
  };
  for (const pair of pairs) {
    const count = TRADES.filter((trade) => trade.pair === pair).length;
    choice.append(element("option", { value: pair }, `${pair} (${count} trades)`));
  }
  choice.addEventListener("change", show);
  moveButtons(() => chart);
  show();
}

tradeTable();
showFooter();
