// Candles with the trades on them: drawn on uPlot's canvas, which has no candles of its own.
"use strict";

function candleData(bars) {
  const moments = bars.open.map((_, place) => bars.start + place * bars.step);
  return [moments, bars.open, bars.high, bars.low, bars.close];
}

function drawCandles(chart, bars) {
  const { ctx } = chart;
  const [moments, open, high, low, close] = chart.data;
  const [from, to] = [chart.scales.x.min, chart.scales.x.max];
  const wide = (bars.step / (to - from)) * chart.bbox.width;
  const body = Math.max(1, Math.floor(wide * 0.7));
  const y = (value) => Math.round(chart.valToPos(value, "y", true));
  ctx.save();
  ctx.beginPath();
  ctx.rect(chart.bbox.left, chart.bbox.top, chart.bbox.width, chart.bbox.height);
  ctx.clip();
  const [up, down] = [colour("gain"), colour("loss")];
  ctx.globalAlpha = 0.75;
  ctx.lineWidth = Math.max(1, Math.min(devicePixelRatio, wide * 0.3));
  for (let place = 0; place < moments.length; place++) {
    if (moments[place] + bars.step < from || moments[place] > to || open[place] === null) continue;
    const middle = Math.round(chart.valToPos(moments[place] + bars.step / 2, "x", true));
    const rises = close[place] >= open[place];
    ctx.strokeStyle = ctx.fillStyle = rises ? up : down;
    ctx.beginPath();
    ctx.moveTo(middle + 0.5, y(high[place]));
    ctx.lineTo(middle + 0.5, y(low[place]));
    ctx.stroke();
    if (wide < 3) continue;
    const [top, bottom] = [y(Math.max(open[place], close[place])), y(Math.min(open[place], close[place]))];
    const left = middle - Math.floor(body / 2);
    // Rising ones are hollow where there is room: another sign beside the colour.
    if (rises && body >= 5) {
      ctx.clearRect(left, top, body, Math.max(1, bottom - top));
      ctx.strokeRect(left + 0.5, top + 0.5, body - 1, Math.max(1, bottom - top - 1));
    } else ctx.fillRect(left, top, body, Math.max(1, bottom - top));
  }
  ctx.restore();
}

function drawTrades(chart, trades) {
  const { ctx } = chart;
  const [from, to] = [chart.scales.x.min, chart.scales.x.max];
  const seen = trades.filter((trade) => trade.closed >= from && trade.opened <= to);
  const size = (seen.length > 300 ? 2.5 : seen.length > 80 ? 3.5 : 5) * devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(chart.bbox.left, chart.bbox.top, chart.bbox.width, chart.bbox.height);
  ctx.clip();
  ctx.lineWidth = 1.5 * devicePixelRatio;
  for (const trade of seen) {
    const at = (seconds, rate) => [chart.valToPos(seconds, "x", true), chart.valToPos(rate, "y", true)];
    const [x1, y1] = at(trade.opened, trade.entry);
    const [x2, y2] = at(trade.closed, trade.exit);
    ctx.strokeStyle = ctx.fillStyle = colour(trade.profit < 0 ? "loss" : "gain");
    ctx.setLineDash(trade.profit < 0 ? [4 * devicePixelRatio, 3 * devicePixelRatio] : []);
    ctx.beginPath();
    ctx.moveTo(x1, y1);
    ctx.lineTo(x2, y2);
    ctx.stroke();
    ctx.setLineDash([]);
    mark(ctx, colour(trade.short ? "loss" : "gain"), (shape) => {
      const way = trade.short ? -1 : 1;
      shape.moveTo(x1, y1 - way * size);
      shape.lineTo(x1 + size, y1 + way * size);
      shape.lineTo(x1 - size, y1 + way * size);
      shape.closePath();
    });
    mark(ctx, colour("fg"), (shape) => shape.arc(x2, y2, size * 0.7, 0, 2 * Math.PI));
  }
  ctx.restore();
}

function mark(ctx, fill, shape) {
  ctx.beginPath();
  shape(ctx);
  ctx.fillStyle = fill;
  ctx.fill();
  ctx.lineWidth = devicePixelRatio;
  ctx.strokeStyle = colour("card");
  ctx.stroke();
}

function candleChart(id, bars, trades) {
  const data = candleData(bars);
  // uPlot gives the least and the most of what is in sight: of the four columns, the lows and the highs.
  const range = (chart, least, most) => {
    if (!isNumber(least)) return [0, 1];
    const room = (most - least || most * 0.01) * 0.06;
    return [least - room, most + room];
  };
  const told = (place) => {
    const trade = trades.filter((each) => each.opened <= data[0][place] + bars.step && each.closed >= data[0][place]).pop();
    const candle = ["O", "H", "L", "C"].map((name, column) => `${name} ${format.rate(data[column + 1][place])}`).join("  ");
    return `${format.moment(data[0][place])}  ${candle}` + (trade ? `  ·  ${trade.short ? "short" : "long"} ${format.percent(trade.ratio, 2, true)} (${trade.exit_reason})` : "");
  };
  return plot(
    id,
    data,
    {
      scales: { x: { time: true, range: (chart, from, to) => [from, to] }, y: { range } },
      axes: [timeAxis(), { ...valueAxis(), values: (chart, splits) => stepped(splits, format.number) }],
      series: [{}, ...[1, 2, 3, 4].map(() => ({ paths: () => null, points: { show: false } }))],
      cursor: { drag: { x: true, y: false }, points: { show: false } },
      hooks: { draw: [(chart) => drawCandles(chart, bars), (chart) => drawTrades(chart, trades)] },
    },
    (index) => (index === null ? "" : told(index)),
  );
}

// Buttons for those who don't drag: fingers, keyboards.
function moveButtons(chartOf) {
  const move = (shift, zoom) => {
    const chart = chartOf();
    const all = chart.data[0];
    const { min, max } = chart.scales.x;
    const half = Math.min(((max - min) / 2) * zoom, (all[all.length - 1] - all[0]) / 2);
    let middle = (min + max) / 2 + shift * (max - min);
    middle = Math.max(all[0] + half, Math.min(all[all.length - 1] - half, middle));
    chart.setScale("x", { min: middle - half, max: middle + half });
  };
  const onClick = (id, action) => document.getElementById(id).addEventListener("click", action);
  onClick("back", () => move(-0.5, 1));
  onClick("forth", () => move(0.5, 1));
  onClick("closer", () => move(0, 0.5));
  onClick("wider", () => move(0, 2));
  onClick("whole", () => move(0, Infinity));
}
