"use strict";
// A slider shows what is left of it as it was, and what is right of it as it became.
for (const pair of document.querySelectorAll(".pair")) {
  const slider = pair.querySelector("input");
  const show = () => pair.style.setProperty("--cut", slider.value + "%");
  slider.addEventListener("input", show);
  show();
}
