// The table of trades: rows out of columns, a hundred at a time.
"use strict";

const TRADES = (() => {
  const columns = DATA.trades;
  const text = (place) => columns.texts[place];
  return columns.pair.map((pair, place) => ({
    pair: text(pair),
    opened: columns.opened[place],
    closed: columns.closed[place],
    held: columns.closed[place] - columns.opened[place],
    entry: columns.entry[place],
    exit: columns.exit[place],
    ratio: columns.ratio[place],
    profit: columns.profit[place],
    short: columns.short[place] === 1,
    side: (columns.short[place] === 1 ? "short" : "long") + (columns.leverage[place] > 1 ? ` ×${columns.leverage[place]}` : ""),
    enter_tag: text(columns.enter_tag[place]),
    exit_reason: text(columns.exit_reason[place]),
  }));
})();

function tradeTable() {
  // The same for the whole column: two of a thousand USDT, five of one BTC.
  const digits = Math.max(2, Math.min(8, 5 - Math.floor(Math.log10(DATA.starting || 1))));
  const shown = [
    ["Pair", "pair", String],
    ["Side", "side", String],
    ["Opened", "opened", format.moment],
    ["Held", "held", format.duration],
    ["Entry", "entry", format.rate, true],
    ["Exit", "exit", format.rate, true],
    ["Profit", "ratio", (value) => format.percent(value, 2, true), true],
    [`Profit ${DATA.currency}`, "profit", (value) => format.number(value, digits, true), true],
    ["Entry tag", "enter_tag", String],
    ["Exit reason", "exit_reason", String],
  ];
  const table = document.getElementById("trades");
  const more = document.getElementById("more-trades");
  let [rows, count] = [TRADES, 25];
  const fill = () => {
    const made = rows.slice(0, count).map((trade) =>
      element("tr", {}, ...shown.map(([, key, text, isNum]) =>
        element("td", { class: `${isNum ? "num " : "nowrap "}${key === "ratio" || key === "profit" ? tone(trade[key]) : ""}` }, text(trade[key])))));
    table.tBodies[0].replaceChildren(...made);
    more.hidden = count >= rows.length;
    more.textContent = `More (${count} of ${rows.length.toLocaleString("en-US")})`;
  };
  const heads = element("tr");
  table.tHead.append(heads);
  for (const [title, key, , isNum] of shown) {
    const head = element("th", { scope: "col", class: isNum ? "num" : "" }, title);
    heads.append(head);
    sortHead(head, (sign) => {
      rows = [...TRADES].sort((a, b) => compare(a[key], b[key], sign));
      fill();
    });
  }
  more.addEventListener("click", () => {
    count += 100;
    fill();
  });
  fill();
}
