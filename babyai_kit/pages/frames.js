"use strict";
// Each frame of the kit gets the height that its page tells; a page whose width changes tells it anew.
if (!window.babyaiFrames) {
  window.babyaiFrames = true;
  window.addEventListener("message", (event) => {
    const height = event.data && event.data.babyaiHeight;
    if (typeof height !== "number" || !(height > 0)) return;
    for (const frame of document.querySelectorAll("iframe.babyai-frame")) {
      if (frame.contentWindow === event.source) frame.style.height = `${Math.min(Math.ceil(height) + 2, 5000)}px`;
    }
  });
}
