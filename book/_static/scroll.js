// What scrolls by itself on a narrow page can be reached with the keyboard, as the theme sees to for code and outputs; and
// the caption of a figure says so, since a phone shows no bar until it is moved.
"use strict";
addEventListener("DOMContentLoaded", () => {
  const look = () => {
    for (const box of document.querySelectorAll("figure, table, .scrolls, div.math, mjx-container")) {
      const wider = box.scrollWidth > box.clientWidth;
      box.classList.toggle("wider-than-page", wider);
      if (wider) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  new ResizeObserver(look).observe(document.body); // also when formulas have been drawn
});
