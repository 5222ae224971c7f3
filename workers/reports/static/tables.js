// Tables that are sorted by a click on a heading: what a cell sorts by is in its data-v, else it is its text.
"use strict";

function sortHead(head, onSort) {
  const button = element("button", { type: "button" }, ...head.childNodes);
  button.addEventListener("click", () => {
    const now = head.getAttribute("aria-sort");
    const first = head.classList.contains("num") ? "descending" : "ascending";
    const next = now === null ? first : now === "ascending" ? "descending" : "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", next);
    onSort(next === "ascending" ? 1 : -1);
  });
  head.replaceChildren(button);
}

// What has no value comes last, whichever way.
function compare(a, b, sign) {
  const none = (value) => value === "" || value === null || value === undefined;
  if (none(a) || none(b)) return none(a) - none(b);
  return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
}

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const value = (row) => {
      const cell = row.cells[column];
      if (cell.dataset.v === undefined) return cell.textContent.trim();
      return cell.dataset.v === "" ? "" : Number(cell.dataset.v);
    };
    sortHead(head, (sign) => body.append(...[...body.rows].sort((a, b) => compare(value(a), value(b), sign))));
  });
}
