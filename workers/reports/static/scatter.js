// Profit against drawdown: a point for each run.
"use strict";

// points: [drawdown, profit, trades, name, place of its colour].
function scatter(id, points) {
  const known = points.filter((point) => isNumber(point[0]) && isNumber(point[1])).sort((a, b) => a[0] - b[0]);
  const data = [known.map((point) => point[0] * 100), known.map((point) => point[1] * 100)];
  const padded = (least, most) => {
    const room = (most - least || Math.abs(most) || 1) * 0.1;
    return [least - room, most + room];
  };
  const percents = (chart, splits) => stepped(splits, (value, digits) => `${format.number(value, digits)} %`);
  const dots = (chart) => {
    const { ctx } = chart;
    const size = 5 * devicePixelRatio;
    const zero = Math.round(chart.valToPos(0, "y", true)) + 0.5;
    if (zero > chart.bbox.top && zero < chart.bbox.top + chart.bbox.height) {
      ctx.strokeStyle = colour("muted");
      ctx.lineWidth = devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(chart.bbox.left, zero);
      ctx.lineTo(chart.bbox.left + chart.bbox.width, zero);
      ctx.stroke();
    }
    known.forEach((point, place) => {
      const [x, y] = [chart.valToPos(data[0][place], "x", true), chart.valToPos(data[1][place], "y", true)];
      ctx.beginPath();
      ctx.arc(x, y, size, 0, 2 * Math.PI);
      ctx.fillStyle = point[4] ?? colour(point[1] < 0 ? "loss" : "gain");
      ctx.globalAlpha = 0.85;
      ctx.fill();
      ctx.globalAlpha = 1;
      ctx.strokeStyle = colour("card");
      ctx.stroke();
    });
  };
  const nearest = (chart) => {
    const { left, top } = chart.cursor;
    if (left === undefined || left < 0) return null;
    let [best, least] = [null, 40 * 40];
    known.forEach((point, place) => {
      const far = (chart.valToPos(data[0][place], "x") - left) ** 2 + (chart.valToPos(data[1][place], "y") - top) ** 2;
      if (far < least) [best, least] = [point, far];
    });
    return best;
  };
  let made = null;
  made = plot(
    id,
    data,
    {
      scales: { x: { time: false, range: (chart, least, most) => padded(least, most) }, y: { range: (chart, least, most) => padded(least, most) } },
      axes: [axis({ size: 44, values: percents, label: "Largest drawdown", labelSize: 16, labelFont: FONT, labelGap: 0 }), { ...valueAxis(), values: percents }],
      series: [{}, { paths: () => null, points: { show: false } }],
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      hooks: { draw: [dots] },
    },
    () => {
      const point = made ? nearest(made) : null;
      return point ? `${point[3]}: ${format.percent(point[1], 2, true)}, drawdown ${format.percent(point[0])}, ${format.number(point[2], 0)} trades` : "";
    },
  );
  return made;
}
