// The page of a comparison.
"use strict";

scatter("scatter", DATA.points);
const known = DATA.curves.filter((curve) => curve.points.length > 1);
if (known.length) curvesOver("curves", known, "curves-legend");
else document.getElementById("curves-section").hidden = true;
showFooter();
