// What scrolls by itself on a narrow page can be reached with the keyboard, as the theme sees to for code and outputs.
"use strict";
addEventListener("DOMContentLoaded", () => {
  const look = () => {
    for (const box of document.querySelectorAll("figure, table, .scrolls, div.math, mjx-container")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  new ResizeObserver(look).observe(document.body); // also when formulas have been drawn
});
