// Sorting, filtering and searching of the table of all verdicts. Without scripts the table is whole, and this is absent.
// The address keeps what is asked for, as in #paper=gmvae&search=best; any other fragment is the place of a row.
// On a phone the list begins with what was measured: a card for each row that was not run would be all that one sees.
"use strict";

(() => {
  const KINDS = { paper: "Paper", data: "Data", verdict: "Verdict", profile: "Profile" };
  const MEASURED = "measured"; // a choice among the verdicts: all except "not run"

  function prepare(box) {
    if (box.dataset.prepared) return; // Jupyter Book adds every script twice
    box.dataset.prepared = "yes";
    const table = box.querySelector("table");
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const controls = document.createElement("form");
    controls.className = "verdict-filters";
    controls.addEventListener("submit", (event) => event.preventDefault());

    const selects = Object.entries(KINDS).map(([kind, title]) => {
      const select = document.createElement("select");
      select.name = kind;
      select.add(new Option("all", ""));
      const texts = new Map(rows.map((row) => [row.dataset[kind], shown(row, kind)]));
      if (kind === "verdict") select.add(new Option("all that were measured", MEASURED));
      texts.forEach((text, value) => select.add(new Option(text, value)));
      controls.append(labelled(title, select));
      return select;
    });
    const search = document.createElement("input");
    search.type = "search";
    search.name = "search";
    controls.append(labelled("Search", search));
    const count = document.createElement("output");
    controls.append(count);
    box.before(controls);

    function filter() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let visible = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        const fits = selects.every(({ name, value }) => suits(row, name, value));
        row.hidden = !(fits && words.every((word) => text.includes(word)));
        visible += !row.hidden;
      }
      count.value = `${visible} of ${rows.length}`;
    }
    controls.addEventListener("input", () => {
      filter();
      const asked = [...new FormData(controls)].filter(([, value]) => value);
      history.replaceState(null, "", `#${new URLSearchParams(asked)}`);
    });

    function follow() {
      const narrow = matchMedia("(max-width: 640px)").matches;
      const begin = narrow ? `verdict=${MEASURED}` : "";
      const asked = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : begin);
      for (const control of [...selects, search]) {
        control.value = asked.get(control.name) ?? "";
        if (control.selectedIndex === -1) control.value = ""; // the address asks for what there is not
      }
      filter();
      reveal(rows);
    }

    [...table.tHead.rows[0].cells].forEach((head, column) => sortable(head, column, body, rows));
    follow();
    addEventListener("hashchange", follow);
  }

  function suits(row, kind, value) {
    if (kind === "verdict" && value === MEASURED) return row.dataset.verdict !== "not run";
    return !value || row.dataset[kind] === value;
  }

  function labelled(title, control) {
    const label = document.createElement("label");
    label.append(`${title} `, control);
    return label;
  }

  function shown(row, kind) {
    if (kind === "paper") return row.querySelector('[data-label="Row"] small').textContent.split(", ")[0];
    return row.dataset[kind];
  }

  function sortable(head, column, body, rows) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const sorted = rows.map((row) => [key(row.cells[column].textContent), row]);
      sorted.sort(([a], [b]) => compare(a, b) * (descending && a !== "" && b !== "" ? -1 : 1));
      body.append(...sorted.map(([, row]) => row));
    });
  }

  // A cell that begins with a number is sorted by it, and one that holds none of both comes last.
  function key(text) {
    const trimmed = text.trim().replace("\u2212", "-");
    if (trimmed === "" || trimmed === "\u2013") return "";
    const number = Number.parseFloat(trimmed);
    return Number.isNaN(number) ? trimmed.toLowerCase() : number;
  }

  function compare(a, b) {
    if (a === "" || b === "") return (a === "") - (b === "");
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1;
  }

  // A link to a row that a filter hides would lead nowhere.
  function reveal(rows) {
    const wanted = rows.find((row) => row.id && `#${row.id}` === location.hash);
    if (wanted) {
      wanted.hidden = false;
      wanted.scrollIntoView({ block: "center" });
    }
  }

  addEventListener("DOMContentLoaded", () => document.querySelectorAll(".searchable").forEach(prepare));
})();
