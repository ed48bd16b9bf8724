"use strict";
// The slider uncovers the source to its left and the result to its right.
for (const pair of document.querySelectorAll(".pair")) {
  const slider = pair.querySelector("input");
  const show = () => pair.style.setProperty("--cut", slider.value + "%");
  slider.addEventListener("input", show);
  show();
}
